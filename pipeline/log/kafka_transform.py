"""Consume-translate-produce on Kafka: records and consumed offset are one transaction.

The consumer group gives each source topic to one worker. aiokafka has no KIP-447, so the fence is the transactional
id `<group>-<source topic>`: a worker that is given a topic opens a new producer with that id, which aborts what its
predecessor left and locks it out, and only then asks for the committed offset, which can no longer change.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from pipeline.log.contract import LogUnreachableError, WriterFencedError
from pipeline.log.kafka_client import explained, group_options, join_timeout_s
from pipeline.log.kafka_disposal import dispose_consumer
from pipeline.log.kafka_producer import TransactionalProducer
from pipeline.log.kafka_reader import CHECK_INTERVAL_S, ask, fetch_options, look_at, new_watchdog, record_of
from pipeline.log.kafka_watchdog import Verdict, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pipeline.log.contract import NewRecord, Record
    from pipeline.log.kafka import KafkaLog
    from pipeline.log.kafka_url import KafkaAddress

HAND_OVER_TIMEOUT_S: Final = 4.0
"""A batch that is being worked on may be finished before its topic is given away."""
MAX_BATCH_RECORD_COUNT: Final = 500

_LOGGER = logging.getLogger(__name__)


class KafkaTransform(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One worker of a group; see `pipeline.log.contract.Transform`."""

    def __init__(
        self,
        address: KafkaAddress,
        sinks: Mapping[str, str],
        group: str,
        step: Callable[[str, Sequence[Record]], Sequence[NewRecord]],
        log: KafkaLog,
    ) -> None:
        self._address = address
        self._sinks = dict(sinks)
        self._group = group
        self._step = step
        self._log = log
        self._consumer: AIOKafkaConsumer | None = None
        self._producers: dict[TopicPartition, TransactionalProducer] = {}
        self._watchdogs: dict[TopicPartition, Watchdog] = {}
        self._working = asyncio.Lock()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._log.require(*self._sinks, *self._sinks.values())
        options = (
            fetch_options(self._address)
            | group_options(self._address)
            | {
                "group_id": self._group,
                "auto_offset_reset": "earliest",  # a first start; and a topic made anew: all its records count
                "max_poll_records": MAX_BATCH_RECORD_COUNT,
            }
        )
        self._consumer = consumer = AIOKafkaConsumer(**options)
        consumer.subscribe(list(self._sinks), listener=self)
        try:
            async with explained(self._address, f"group {self._group}", timeout_s=join_timeout_s(self._address)):
                await consumer.start()
            while True:
                await self._take_over(consumer)
                fetched = await self._poll(consumer)
                await self._work(fetched)
        finally:
            await self.close()

    async def _poll(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Any]]:
        limit_s = CHECK_INTERVAL_S + 2 * self._address.session_timeout_ms / 1000
        async with explained(self._address, f"group {self._group}", timeout_s=limit_s):
            fetched: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=int(CHECK_INTERVAL_S * 1000))
        if not fetched:
            await self._watch(consumer)
        return fetched

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        """Make sure that nothing comes because nothing is there."""
        for partition in set(self._watchdogs) & set(consumer.assignment()):
            async with explained(self._address, f"group {self._group}"):
                look = await look_at(consumer, partition)
            verdict = self._watchdogs[partition].look(time.monotonic(), look)
            if verdict is Verdict.ASK:
                await ask(self._address, partition.topic, self._watchdogs[partition])
            elif verdict is Verdict.REPLACE:
                raise LogUnreachableError(
                    f"{self._address.name}: group {self._group}: {partition.topic} stalled at offset {look.position}"
                )

    async def _take_over(self, consumer: AIOKafkaConsumer) -> None:
        """Open a producer for each topic that was assigned since, and go to the group's offset."""
        async with self._working:
            assigned = set(consumer.assignment())
            await self._release(set(self._producers) - assigned)
            for partition in assigned - set(self._producers):
                name = f"{self._group}-{partition.topic}"
                producer = await TransactionalProducer.open(self._address, name)
                self._producers[partition] = producer
                self._watchdogs[partition] = new_watchdog(self._address)
                async with explained(self._address, f"group {self._group}"):
                    committed = await consumer.committed(partition)
                    if committed is None:
                        await consumer.seek_to_beginning(partition)
                    else:
                        consumer.seek(partition, committed)

    async def _work(self, fetched: Mapping[TopicPartition, list[Any]]) -> None:
        """Work off what was fetched; a topic that is not, or no longer, ours is left to its worker."""
        async with self._working:
            mine = [(partition, fetched[partition]) for partition in fetched if partition in self._producers]
            outcomes = await asyncio.gather(*(self._advance(*each) for each in mine), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _advance(self, partition: TopicPartition, messages: Sequence[Any]) -> None:
        producer = self._producers[partition]
        records = [record_of(message) for message in messages]
        results = await asyncio.to_thread(self._step, partition.topic, records)
        await self._log.check(self._sinks[partition.topic], results)
        consumed = {partition: records[-1].offset + 1}
        try:
            if self._is_ours(partition, producer):
                await producer.transact(self._sinks[partition.topic], results, consumed, self._group)
        except LogUnreachableError:
            if self._is_ours(partition, producer):
                raise
        except WriterFencedError as error:
            if self._is_ours(partition, producer):
                doing = f"group {self._group}: {partition.topic}"
                raise WriterFencedError(f"{doing} was taken over by another worker") from error
        if not self._is_ours(partition, producer):
            _LOGGER.info("group %s: %s was given to another worker meanwhile", self._group, partition.topic)

    def _is_ours(self, partition: TopicPartition, producer: TransactionalProducer) -> bool:
        return self._producers.get(partition) is producer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Give topics away; called by the consumer before it joins the group again."""
        is_idle = True
        try:
            async with asyncio.timeout(HAND_OVER_TIMEOUT_S):
                await self._working.acquire()
        except TimeoutError:
            is_idle = False  # the step takes long; its results will be fenced off
        try:
            await self._release(revoked)
        finally:
            if is_idle:
                self._working.release()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Nothing yet: the worker's own loop takes the topics over, where its errors are seen."""

    async def _release(self, partitions: Collection[TopicPartition]) -> None:
        producers = [self._producers.pop(partition, None) for partition in partitions]
        for partition in partitions:
            self._watchdogs.pop(partition, None)
        await asyncio.gather(*(producer.close() for producer in producers if producer is not None))

    async def close(self) -> None:
        """Leave the group; another worker takes over."""
        self._log.forget(self)
        consumer, self._consumer = self._consumer, None
        await self._release(list(self._producers))
        if consumer is not None:
            await dispose_consumer(consumer)
