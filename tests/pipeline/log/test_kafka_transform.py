"""Exactly once on Kafka when workers die or come back from the dead."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from pipeline.log import NewRecord, TopicSpec, WriterFencedError, open_log
from pipeline.log.kafka_disposal import dispose_producer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pipeline.log import Log, Record
    from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka: Broker) -> AsyncIterator[Log]:
    async with open_log(f"kafka://{kafka.bootstrap}?timeout_ms=5000") as opened:
        yield opened


@pytest.fixture
async def source(log: Log, name: Callable[[str], str]) -> str:
    """A source topic with three records; `<source>.out` is its sink."""
    topic = name("source")
    await log.apply([TopicSpec(topic, {}), TopicSpec(f"{topic}.out", {})])
    await (await log.writer(topic)).append(topic, [NewRecord(key, b"") for key in "abc"])
    return topic


def copy(source: str, records: Sequence[Record]) -> list[NewRecord]:
    return [NewRecord(record.key, record.value) for record in records]


async def results(log: Log, source: str, count: int) -> list[str]:
    keys: list[str] = []
    async with asyncio.timeout(30), aclosing(log.follow(f"{source}.out", 0)) as batches:
        while len(keys) < count:
            keys += [record.key for record in await anext(batches)]
    return keys


@pytest.mark.parametrize("dies_after", ["produce", "offsets"])
async def test_a_worker_killed_before_its_commit_has_done_nothing(
    kafka: Broker, log: Log, source: str, dies_after: str
):
    """The transaction that the dead worker left open is aborted by its successor, which starts at the same offset."""
    dead = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"group-{source}-{source}")
    await dead.start()
    await dead.begin_transaction()
    await dead.send_and_wait(f"{source}.out", b"", b"dangling", 0)
    if dies_after == "offsets":
        await dead.send_offsets_to_transaction({TopicPartition(source, 0): 3}, f"group-{source}")

    worker = asyncio.create_task(log.transform({source: f"{source}.out"}, f"group-{source}", copy).run())
    assert await results(log, source, 3) == ["a", "b", "c"]
    worker.cancel()
    await asyncio.wait([worker])
    await dispose_producer(dead)
    assert [record.key async for batch in log.read(f"{source}.out", 0) for record in batch] == ["a", "b", "c"]


async def test_a_zombie_is_fenced_and_says_so(log: Log, source: str):
    """A worker that does not know yet that its topic was given away cannot commit."""
    may_go_on, has_started = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(source: str, records: Sequence[Record]) -> list[NewRecord]:
        loop.call_soon_threadsafe(has_started.set)
        may_go_on.wait()
        return [NewRecord("zombie", b"")]

    zombie = asyncio.create_task(log.transform({source: f"{source}.out"}, source, stuck).run())
    await has_started.wait()
    await log.writer(f"{source}-{source}")  # takes the transactional id, as a successor does
    may_go_on.set()
    with pytest.raises(WriterFencedError, match=re.escape(source) + " was taken over by another worker"):
        await zombie
    assert [batch async for batch in log.read(f"{source}.out", 0)] == []


async def test_a_result_beyond_the_limit_ends_the_worker_before_anything_is_written(log: Log, source: str):
    def huge(source: str, records: Sequence[Record]) -> list[NewRecord]:
        return [NewRecord("fits", b""), NewRecord("huge", b"0" * 2_000_000)]

    with pytest.raises(ValueError, match=r"record huge has 2000004 bytes, too many for max\.message\.bytes"):
        await log.transform({source: f"{source}.out"}, source, huge).run()
    assert [batch async for batch in log.read(f"{source}.out", 0)] == []


async def test_two_workers_share_the_topics_of_a_group(kafka: Broker, log: Log, name: Callable[[str], str]):
    sinks = {name(f"in{number}"): name(f"out{number}") for number in range(4)}
    await log.apply([TopicSpec(each, {}) for pair in sinks.items() for each in pair])
    served: dict[str, set[str]] = {"x": set(), "y": set()}

    def serving(worker: str) -> Callable[[str, Sequence[Record]], list[NewRecord]]:
        def step(source: str, records: Sequence[Record]) -> list[NewRecord]:
            served[worker].add(source)
            return copy(source, records)

        return step

    writer = await log.writer(name("writer"))
    async with open_log(f"kafka://{kafka.bootstrap}?client_id=y") as second:
        workers = [
            asyncio.create_task(which.transform(sinks, name("group"), serving(worker)).run())
            for worker, which in (("x", log), ("y", second))
        ]
        async with asyncio.timeout(30):
            for round_number in range(1000):
                for source, sink in sinks.items():
                    await writer.append(source, [NewRecord(str(round_number), b"")])
                    async with aclosing(log.follow(sink, (await log.ends(sink)).start)) as batches:
                        seen: list[str] = []
                        while len(seen) <= round_number:
                            seen += [record.key for record in await anext(batches)]
                    assert seen == [str(number) for number in range(round_number + 1)]
                if all(served.values()):
                    break
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
    assert served["x"] | served["y"] == set(sinks)
    assert served["y"]
