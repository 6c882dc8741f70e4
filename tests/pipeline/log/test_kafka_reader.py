from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from pipeline.log import NewRecord, OffsetBelowStartError, TopicSpec, kafka_reader, open_log
from pipeline.log.kafka_watchdog import Verdict, Watchdog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline.log import Log
    from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka: Broker) -> AsyncIterator[Log]:
    async with open_log(f"kafka://{kafka.bootstrap}?timeout_ms=5000") as opened:
        yield opened


@pytest.fixture
async def topic(log: Log, name: Callable[[str], str]) -> str:
    spec = TopicSpec(name("topic"), {"cleanup.policy": "delete"})
    await log.apply([spec])
    return spec.name


async def test_a_stalled_consumer_is_replaced_without_a_gap(
    log: Log, topic: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(kafka_reader, "CHECK_INTERVAL_S", 0.02)
    monkeypatch.setattr(Watchdog, "look", lambda *_: Verdict.REPLACE)  # every quiet moment counts as a stall
    writer = await log.writer(topic)
    seen: list[str] = []
    with caplog.at_level(logging.WARNING, "pipeline.log.kafka_reader"):
        async with asyncio.timeout(30), aclosing(log.follow(topic, 0)) as batches:
            while "stalled" not in caplog.text or len(seen) < 3:
                waiting = asyncio.ensure_future(anext(batches))
                await asyncio.wait([waiting], timeout=0.1)  # long enough for the consumer to be quiet
                await writer.append(topic, [NewRecord(str(len(seen)), b"")])
                seen += [record.key for record in await waiting]
    assert seen == [str(number) for number in range(len(seen))]
    assert f"{topic}: the consumer stalled at offset" in caplog.text


async def test_a_follower_that_falls_below_the_start_is_told(log: Log, topic: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kafka_reader, "FETCH_MAX_BYTES", 1)  # one batch at a time
    writer = await log.writer(topic)
    for number in range(20):
        await writer.append(topic, [NewRecord("k", b"%d" % number)])
    async with asyncio.timeout(30), aclosing(log.follow(topic, 0)) as batches:
        await anext(batches)
        end = (await log.ends(topic)).next
        await log.truncate(topic, end)
        with pytest.raises(OffsetBelowStartError) as told:
            [batch async for batch in batches]
        assert told.value.start == end


async def test_large_records_pass(log: Log, name: Callable[[str], str]):
    topic = name("large")
    await log.apply([TopicSpec(topic, {"max.message.bytes": str(8 << 20)})])
    writer = await log.writer(topic)
    for size_bytes in (8 << 20, (7 << 20) + 1):
        value = bytes(range(256)) * (size_bytes // 256 - 200)
        await writer.append(topic, [NewRecord("k", value), NewRecord("small", b"")])
    sizes = [len(record.value or b"") for batch in [b async for b in log.read(topic, 0)] for record in batch]
    assert [size // (1 << 20) for size in sizes] == [7, 0, 6, 0]
