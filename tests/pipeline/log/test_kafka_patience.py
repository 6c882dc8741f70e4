"""How long a quiet consumer waits for a broker that refuses connections: as long as the log URL says."""

from __future__ import annotations

import time

import pytest

from pipeline.log import LogUnreachableError, kafka_reader
from pipeline.log.kafka_reader import ask
from pipeline.log.kafka_url import parse_kafka_url
from pipeline.log.kafka_watchdog import Watchdog

ADDRESS = parse_kafka_url("kafka://127.0.0.1:1?timeout_ms=10000")


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise LogUnreachableError("no broker answers")

    monkeypatch.setattr(kafka_reader, "read_ends", refuse)


def silent_for(seconds: float) -> Watchdog:
    return Watchdog(time.monotonic() - seconds, silence_limit_s=15.0)


async def test_a_broker_that_restarts_has_the_timeout_of_the_log_url():
    await ask(ADDRESS, "t", silent_for(3.0))
    await ask(ADDRESS, "t", silent_for(9.0))


async def test_a_broker_that_stays_away_longer_is_unreachable():
    with pytest.raises(LogUnreachableError):
        await ask(ADDRESS, "t", silent_for(10.0))
