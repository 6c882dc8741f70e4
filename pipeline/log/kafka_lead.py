"""Leading a topic on Kafka: a consumer group gives its one partition to one member, and nothing is read through it.

A member that was given the partition keeps it through every rebalance until an assignment says otherwise: between being
asked to rejoin and the answer nobody else has it. Whoever was stopped, or cut off, believes in its lead for a while
after the group has moved on; what it writes then is refused, because its successor has opened the writer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from pipeline.log.kafka_assignor import LeadAssignor
from pipeline.log.kafka_client import explained, group_options, join_timeout_s
from pipeline.log.kafka_disposal import dispose_consumer
from pipeline.log.kafka_membership import is_member
from pipeline.log.kafka_producer import PARTITION

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.log.kafka import KafkaLog
    from pipeline.log.kafka_url import KafkaAddress


POLL_S: Final = 3.0
"""How often a candidate asks whether brokers are there."""


class KafkaLead(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One candidate of a group; see `pipeline.log.contract.Lead`."""

    def __init__(self, address: KafkaAddress, topic: str, group: str, log: KafkaLog) -> None:
        self._address = address
        self._topic = topic
        self._group = group
        self._log = log
        self._consumer: AIOKafkaConsumer | None = None
        self._is_mine = False
        self._assigned = asyncio.Event()

    async def take(self) -> None:
        """Join the group if need be, and wait for the topic."""
        if self._consumer is None:
            await self._join()
        await self._until(is_mine=True)

    async def is_held(self) -> bool:
        """Ask the group by a heartbeat: whoever is no member of this generation any more was replaced."""
        consumer = self._consumer
        if consumer is None or not self._is_mine:
            return False
        async with explained(self._address, f"group {self._group}"):
            if not await is_member(consumer):
                self._is_mine = False
        return self._is_mine

    async def lost(self) -> None:
        """Wait until the group has given the topic to another member."""
        await self._until(is_mine=False)

    async def _join(self) -> None:
        await self._log.require(self._topic)
        self._consumer = consumer = AIOKafkaConsumer(
            **group_options(self._address),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            partition_assignment_strategy=(LeadAssignor(),),
        )
        consumer.subscribe([self._topic], listener=self)
        try:
            async with explained(self._address, f"group {self._group}", timeout_s=join_timeout_s(self._address)):
                await consumer.start()
        except BaseException:
            await self._leave()
            raise

    async def _until(self, *, is_mine: bool) -> None:
        """Wait for an assignment that says so, or for what keeps it from coming."""
        tasks = {asyncio.create_task(self._poll()), asyncio.create_task(self._assigned_as(is_mine=is_mine))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _assigned_as(self, *, is_mine: bool) -> None:
        while self._is_mine is not is_mine:
            self._assigned.clear()
            await self._assigned.wait()

    async def _poll(self) -> None:
        """Stay a member: a consumer that nobody asks for records counts as stuck, and tells of errors only who asks.

        Raises:
            LogUnreachableError: no broker has answered for as long as the log URL says.
        """
        partition, doing = TopicPartition(self._topic, PARTITION), f"group {self._group}"
        while (consumer := self._consumer) is not None:
            async with explained(self._address, doing):
                await consumer.end_offsets([partition])  # the group itself seeks its coordinator in silence
            async with explained(self._address, doing, timeout_s=POLL_S + self._address.timeout_ms / 1000):
                await consumer.getmany(timeout_ms=int(POLL_S * 1000))

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing: before a member joins again it gives everything back; whether that is for good is not known yet."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """See who leads from now on; nothing is read."""
        if self._consumer is not None:
            self._consumer.pause(*assigned)
        self._is_mine = bool(assigned)
        self._assigned.set()

    async def close(self) -> None:
        """Leave the group; the next candidate takes over."""
        self._log.forget(self)
        await self._leave()

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._is_mine = False
        if consumer is not None:
            await dispose_consumer(consumer)
