"""The two logs, and what only tests do to them."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.log import NewRecord, TopicSpec, open_log
from pipeline.log import sqlite_store as store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline.log import Log

PROJECT = Path(__file__).parents[3]
COMPACTED = {"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.001"}
"""Compacted by a broker as soon as its cleaner looks."""


class Backend(Protocol):
    """A log's address, and what only the other side of the log can do."""

    url: str
    lead_url: str
    """The same log for candidates: one that is gone is missed soon."""
    tells_zombies: bool
    """A worker that lost its topic ends with WriterFencedError; in a consumer group it waits for its next turn."""

    def named(self, client: str) -> str:
        """Give the URL with a name for the client."""

    def unfinished(self, topic: str) -> AbstractAsyncContextManager[None]:
        """Hold a transaction with one record `intruder` open, and abort it at the end."""

    async def compacted(self, log: Log, topic: str, written_count: int) -> None:
        """Have a topic compacted that so many records were written to."""


class SQLiteBackend:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = self.lead_url = f"sqlite://{path}"
        self.tells_zombies = True

    def named(self, client: str) -> str:  # noqa: ARG002 - a file does not know its clients
        return self.url

    @asynccontextmanager
    async def unfinished(self, topic: str) -> AsyncIterator[None]:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        found = store.find_topic(connection, topic)
        store.insert(connection, found, [NewRecord("intruder", b"never seen")])
        yield
        connection.execute("ROLLBACK")
        connection.close()

    async def compacted(self, log: Log, topic: str, written_count: int) -> None:  # noqa: ARG002 - done at once
        await log.compact(topic)


class KafkaBackend:
    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.url = f"kafka://{bootstrap}?timeout_ms=5000"
        self.lead_url = f"{self.url}&session_timeout_ms=2000"
        self.tells_zombies = False

    def named(self, client: str) -> str:
        return f"{self.url}&client_id={client}"

    @asynccontextmanager
    async def unfinished(self, topic: str) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=f"intruder-{topic}")
        async with producer:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"never seen", b"intruder", 0)
            yield
            await producer.abort_transaction()

    async def compacted(self, log: Log, topic: str, written_count: int) -> None:
        """Append, which closes segments, until the cleaner has removed something."""
        end = (await log.ends(topic)).next
        writer = await log.writer(f"filler-{topic}")
        async with asyncio.timeout(30):
            while await count_below(log, topic, end) == written_count:
                await writer.append(topic, [NewRecord("filler", b"")])


async def count_below(log: Log, topic: str, end: int) -> int:
    return sum([sum(record.offset < end for record in batch) async for batch in log.read(topic, 0)])


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """One log after the other."""
    if request.param == "kafka":
        return KafkaBackend(request.getfixturevalue("kafka").bootstrap)
    return SQLiteBackend(tmp_path / "log.db")


@pytest.fixture
async def log(backend: Backend) -> AsyncIterator[Log]:
    async with open_log(backend.url) as opened:
        yield opened


@pytest.fixture
async def other(backend: Backend) -> AsyncIterator[Log]:
    """The same log, opened again as another process would."""
    async with open_log(backend.url) as opened:
        yield opened


@asynccontextmanager
async def candidate_process(url: str, topic: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `tests.pipeline.log.candidate`; it is killed at the end, stopped or not."""
    command = [sys.executable, "-m", "tests.pipeline.log.candidate", url, topic]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process) -> str:
    """Give the next line a process says."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


_NUMBERS = itertools.count()


@pytest.fixture
def name(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Names that no other test has used, on this broker either."""
    unique = f"{tmp_path.parent.name}-{next(_NUMBERS)}"
    return lambda what: f"test.{unique}.{what}"


@pytest.fixture
async def topic(log: Log, name: Callable[[str], str]) -> str:
    """A compacted topic that nobody compacts meanwhile."""
    spec = TopicSpec(name("topic"), {"cleanup.policy": "compact"})
    await log.apply([spec])
    return spec.name


@pytest.fixture
async def sink(log: Log, name: Callable[[str], str]) -> str:
    """Where a transform writes to."""
    spec = TopicSpec(name("sink"), {"cleanup.policy": "compact"})
    await log.apply([spec])
    return spec.name
