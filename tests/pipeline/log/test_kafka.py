"""The Kafka log with brokers that come and go."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.log import BrokenTopicError, LogUnreachableError, NewRecord, TopicSpec, open_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pipeline.log import Log, Record
    from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka

TIMEOUT_MS = 1500
BOUND_S = 8.0
"""Within this every call on a broker that is away has ended."""


@pytest.fixture
async def log(kafka: Broker) -> AsyncIterator[Log]:
    async with open_log(f"kafka://{kafka.bootstrap}?timeout_ms={TIMEOUT_MS}") as opened:
        yield opened


@pytest.fixture
async def topics(log: Log, name: Callable[[str], str]) -> tuple[str, str]:
    specs = [TopicSpec(name(kind), {"cleanup.policy": "compact"}) for kind in ("source", "sink")]
    await log.apply(specs)
    return specs[0].name, specs[1].name


def copy(source: str, records: Sequence[Record]) -> list[NewRecord]:
    return [NewRecord(record.key, record.value) for record in records]


async def keys_of(log: Log, topic: str, count: int) -> list[str]:
    keys: list[str] = []
    async with asyncio.timeout(30), aclosing(log.follow(topic, 0)) as batches:
        while len(keys) < count:
            keys += [record.key for record in await anext(batches)]
    return keys


async def test_everything_says_that_the_broker_is_away_and_works_again_afterwards(
    kafka: Broker, log: Log, topics: tuple[str, str]
):
    source, sink = topics
    writer = await log.writer(source)
    await writer.append(source, [NewRecord("a", b"")])
    worker = asyncio.create_task(log.transform({source: sink}, source, copy).run())
    assert await keys_of(log, sink, 1) == ["a"]
    follower = log.follow(source, 0)
    assert len(await anext(follower)) == 1

    await asyncio.to_thread(kafka.stop)
    try:
        started_s = time.monotonic()
        calls = [
            writer.append(source, [NewRecord("lost", b"")]),
            log.writer("another"),
            log.ends(source),
            anext(log.read(source, 0)),
            anext(follower),
            log.describe([source]),
            worker,
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        duration_s = time.monotonic() - started_s
    finally:
        await asyncio.to_thread(kafka.start)
    assert [type(outcome) for outcome in outcomes] == [LogUnreachableError] * len(calls)
    assert all(kafka.bootstrap in str(outcome) and "\n" not in str(outcome) for outcome in outcomes)
    assert duration_s < BOUND_S

    with pytest.raises(LogUnreachableError, match="open a new one"):
        await writer.append(source, [NewRecord("lost", b"")])
    await writer.close()
    writer = await log.writer(source)
    await writer.append(source, [NewRecord("b", b"")])
    worker = asyncio.create_task(log.transform({source: sink}, source, copy).run())
    assert await keys_of(log, sink, 2) == ["a", "b"]
    assert await keys_of(log, source, 2) == ["a", "b"]
    worker.cancel()
    await asyncio.wait([worker])


async def test_a_follower_survives_a_short_restart(kafka: Broker, topics: tuple[str, str]):
    source, _ = topics
    async with (
        open_log(f"kafka://{kafka.bootstrap}?timeout_ms=10000") as patient,
        asyncio.timeout(40),
        aclosing(patient.follow(source, 0)) as follower,
    ):
        writer = await patient.writer(source)
        await writer.append(source, [NewRecord("before", b"")])
        assert [record.key for record in await anext(follower)] == ["before"]
        waiting = asyncio.ensure_future(anext(follower))
        await asyncio.to_thread(kafka.stop)
        await asyncio.to_thread(kafka.start)
        writer = await patient.writer(source)
        await writer.append(source, [NewRecord("after", b"")])
        assert [record.key for record in await waiting] == ["after"]


async def test_a_broker_that_was_never_there_is_named_by_the_first_operation():
    """Not by entering: an agent starts without brokers and serves its last good state."""
    async with open_log("kafka://127.0.0.1:1?timeout_ms=1000") as log:
        with pytest.raises(LogUnreachableError, match=r"127\.0\.0\.1:1"):
            await log.ends("topic")


async def test_a_topic_with_too_many_partitions_is_refused(kafka: Broker, log: Log, name: Callable[[str], str]):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name("wide"), 3, 1)])
    await admin.close()
    with pytest.raises(BrokenTopicError, match="has 3 partitions, needs exactly 1"):
        await log.apply([TopicSpec(name("wide"), {})])


async def test_what_a_broker_refuses_to_create_is_said_in_its_words(log: Log, name: Callable[[str], str]):
    with pytest.raises(BrokenTopicError, match=r"(?i)replication"):
        await log.apply([TopicSpec(name("far"), {}, replication_factor=3)])
    with pytest.raises(BrokenTopicError, match=r"cleanup\.policy"):
        await log.apply([TopicSpec(name("odd"), {"cleanup.policy": "sometimes"})])


async def test_closing_the_log_closes_its_writers(kafka: Broker, topics: tuple[str, str]):
    source, _ = topics
    async with open_log(f"kafka://{kafka.bootstrap}") as log:
        writer = await log.writer(source)
    with pytest.raises(LogUnreachableError):
        await writer.append(source, [NewRecord("late", b"")])
