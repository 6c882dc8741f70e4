"""Leading on Kafka when members hang, and when the broker does."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.log import LogUnreachableError, NewRecord, TopicSpec, open_log
from tests.pipeline.log.conftest import candidate_process, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline.log import Log
    from tests.kafka.broker import Broker

pytestmark = pytest.mark.kafka


@pytest.fixture
def url(kafka: Broker) -> str:
    return f"kafka://{kafka.bootstrap}?timeout_ms=2000&session_timeout_ms=2000"


@pytest.fixture
async def log(url: str) -> AsyncIterator[Log]:
    async with open_log(url) as opened:
        yield opened


@pytest.fixture
async def topic(log: Log, name: Callable[[str], str]) -> str:
    await log.apply([TopicSpec(name("topic"), {})])
    return name("topic")


async def test_a_leader_that_was_stopped_is_fenced_when_it_wakes_and_stands_by(url: str, log: Log, topic: str):
    async with candidate_process(url, topic) as process:
        assert await said(process) == "leads"
        lead = log.lead(topic, topic)
        waiting = asyncio.create_task(lead.take())
        await asyncio.wait({waiting}, timeout=2)
        assert not waiting.done()
        process.send_signal(signal.SIGSTOP)
        stopped_s = time.monotonic()
        await asyncio.wait_for(waiting, 30)
        assert time.monotonic() - stopped_s < 15, "several times the session timeout"
        writer = await log.writer(topic)
        await writer.append(topic, [NewRecord("leader", b"standby")])
        losing = asyncio.create_task(lead.lost())
        process.send_signal(signal.SIGCONT)
        assert await said(process) == "fenced"
        await asyncio.wait({losing}, timeout=3)
        assert not losing.done(), "who woke up was given the lead back"
        await writer.append(topic, [NewRecord("leader", b"still")])
        losing.cancel()
        await writer.close()
        await lead.close()
        assert await said(process) == "leads"
    values = [record.value async for batch in log.read(topic, 0) for record in batch]
    assert values == [b"candidate", b"standby", b"still", b"candidate"]


async def test_a_broker_that_goes_away_is_told_to_leaders_and_candidates(kafka: Broker, url: str, topic: str):
    async with open_log(url) as log:
        leader, candidate = log.lead(topic, topic), log.lead(topic, topic)
        await asyncio.wait_for(leader.take(), 30)
        outcomes = asyncio.gather(leader.lost(), candidate.take(), return_exceptions=True)
        await asyncio.wait({outcomes}, timeout=2)
        assert not outcomes.done()
        await asyncio.to_thread(kafka.stop)
        try:
            assert [type(each) for each in await asyncio.wait_for(outcomes, 30)] == [LogUnreachableError] * 2
            await asyncio.wait_for(asyncio.gather(leader.close(), candidate.close()), 10)
        finally:
            await asyncio.to_thread(kafka.start)
        again = log.lead(topic, topic)
        await asyncio.wait_for(again.take(), 30)
