"""Reading a topic without a group: ends, a bounded read, and a follower that notices when nothing comes any more."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from pipeline.log.contract import Ends, LogUnreachableError, Record
from pipeline.log.kafka_client import client_options, explained
from pipeline.log.kafka_disposal import dispose_consumer
from pipeline.log.kafka_producer import PARTITION
from pipeline.log.kafka_watchdog import Look, Verdict, Watchdog
from pipeline.log.refusal import check_start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.log.kafka_url import KafkaAddress

FETCH_MAX_WAIT_MS: Final = 500
FETCH_MAX_BYTES: Final = 16 << 20
"""Twice max.message.bytes; a batch that is larger is still delivered, alone."""
VISIBLE_INTERVAL_S: Final = 0.003
CHECK_INTERVAL_S: Final = 1.0
"""How often a follower that got nothing looks whether it still gets answers."""

_LOGGER = logging.getLogger(__name__)


def fetch_options(address: KafkaAddress) -> dict[str, Any]:
    """Give the options of every consumer: committed records only, delivered as soon as there is one."""
    return client_options(address) | {
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "fetch_min_bytes": 1,
        "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
        "fetch_max_bytes": FETCH_MAX_BYTES,
        "max_partition_fetch_bytes": FETCH_MAX_BYTES,
    }


@asynccontextmanager
async def open_consumer(address: KafkaAddress, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer of one topic, without a position yet."""
    consumer = AIOKafkaConsumer(**fetch_options(address), auto_offset_reset="none")
    consumer.assign([TopicPartition(topic, PARTITION)])
    try:
        async with explained(address, topic):
            await consumer.start()
        yield consumer
    finally:
        await dispose_consumer(consumer)


async def read_ends(address: KafkaAddress, topic: str, min_end: int = 0) -> Ends:
    """Tell the readable range.

    Args:
        address: the brokers.
        topic: which topic.
        min_end: an end that is known to come. A broker answers a commit before the last stable offset has moved past
            its records, and whoever has written them wants to find them.
    """
    async with open_consumer(address, topic) as consumer:
        return await _ends(address, consumer, topic, min_end)


async def _ends(address: KafkaAddress, consumer: AIOKafkaConsumer, topic: str, min_end: int) -> Ends:
    partition = TopicPartition(topic, PARTITION)
    async with explained(address, topic):
        first = await consumer.beginning_offsets([partition])
        last = await consumer.end_offsets([partition])
        while last[partition] < min_end:
            await asyncio.sleep(VISIBLE_INTERVAL_S)
            last = await consumer.end_offsets([partition])
    return Ends(first[partition], last[partition])


async def read_to_end(address: KafkaAddress, topic: str, start: int, min_end: int) -> AsyncIterator[list[Record]]:
    """Read from `start` to the end as it is now; see `Log.read`.

    The consumer's position is compared with the end, not the records' offsets: the last offsets of a topic are
    usually transaction markers, which no consumer sees.
    """
    partition = TopicPartition(topic, PARTITION)
    async with open_consumer(address, topic) as consumer:
        ends = await _ends(address, consumer, topic, min_end)
        check_start(topic, start, ends)
        consumer.seek(partition, start)
        position, moved_at_s = start, time.monotonic()
        while position < ends.next:
            records = await _poll(address, consumer, topic, timeout_s=0.05)
            reached = await consumer.position(partition)
            if reached > position:
                position, moved_at_s = reached, time.monotonic()
            elif time.monotonic() - moved_at_s > address.timeout_ms / 1000:
                raise LogUnreachableError(f"{address.name}: {topic}: no records within {address.timeout_ms} ms")
            wanted = [record for record in records if record.offset < ends.next]
            if wanted:
                yield wanted


async def follow(address: KafkaAddress, topic: str, start: int, min_end: int) -> AsyncIterator[list[Record]]:
    """Read from `start` and go on for ever; see `Log.follow`."""
    while True:
        async with open_consumer(address, topic) as consumer:
            check_start(topic, start, await _ends(address, consumer, topic, min_end))
            consumer.seek(TopicPartition(topic, PARTITION), start)
            async for records in _until_stalled(address, consumer, topic):
                start = records[-1].offset + 1
                yield records
        _LOGGER.warning("%s: the consumer stalled at offset %d, starting another one", topic, start)


async def _until_stalled(address: KafkaAddress, consumer: AIOKafkaConsumer, topic: str) -> AsyncIterator[list[Record]]:
    watchdog = new_watchdog(address)
    while True:
        records = await _poll(address, consumer, topic, timeout_s=CHECK_INTERVAL_S)
        if records:
            yield records
            continue
        verdict = watchdog.look(time.monotonic(), await look_at(consumer, TopicPartition(topic, PARTITION)))
        if verdict is Verdict.ASK:
            await ask(address, topic, watchdog)
        elif verdict is Verdict.REPLACE:
            return


async def ask(address: KafkaAddress, topic: str, watchdog: Watchdog) -> None:
    """Find out whether a broker can be reached at all; one that restarts has the address's timeout to come back.

    Raises:
        LogUnreachableError: none can, and the consumer has had no answer for that long either.
    """
    try:
        await read_ends(address, topic)
    except LogUnreachableError:
        if watchdog.silence_s(time.monotonic()) >= address.timeout_ms / 1000:
            raise


async def _poll(address: KafkaAddress, consumer: AIOKafkaConsumer, topic: str, timeout_s: float) -> list[Record]:
    try:
        async with explained(address, topic, timeout_s=timeout_s + address.timeout_ms / 1000):
            fetched = await consumer.getmany(timeout_ms=int(timeout_s * 1000))
    except LogUnreachableError as error:
        if isinstance(error.__cause__, OffsetOutOfRangeError):
            await _explain_out_of_range(address, consumer, topic)
        raise
    return [record_of(message) for messages in fetched.values() for message in messages]


async def _explain_out_of_range(address: KafkaAddress, consumer: AIOKafkaConsumer, topic: str) -> None:
    position = await consumer.position(TopicPartition(topic, PARTITION))
    check_start(topic, position, await read_ends(address, topic))


def record_of(message: Any) -> Record:
    """Translate aiokafka's record; one without a key, which meshferry never writes, has the empty key."""
    return Record(
        message.offset,
        (message.key or b"").decode("utf-8", "replace"),
        message.value,
        message.timestamp,
        message.headers,
    )


async def look_at(consumer: AIOKafkaConsumer, partition: TopicPartition) -> Look:
    """See what a watchdog judges by."""
    return Look(
        consumer.last_poll_timestamp(partition),
        await consumer.position(partition),
        consumer.last_stable_offset(partition),
    )


def new_watchdog(address: KafkaAddress) -> Watchdog:
    """Start watching a consumer of these brokers; a request that timed out has had its time and half as much again."""
    return Watchdog(time.monotonic(), silence_limit_s=1.5 * address.timeout_ms / 1000)
