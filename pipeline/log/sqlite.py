"""The embedded log: one SQLite file, any number of processes, the semantics of a broker (architecture.md section 9).

Writes of a process go through one thread, reads through another, so that the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pipeline.log import sqlite_store as store
from pipeline.log.sqlite_change import ChangeWatch
from pipeline.log.sqlite_compaction import compact
from pipeline.log.sqlite_file import ConnectionThread, open_file
from pipeline.log.sqlite_lead import SQLiteLead
from pipeline.log.sqlite_transform import SQLiteTransform

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from types import TracebackType

    from pipeline.log.contract import Ends, NewRecord, Record, TopicSpec, TopicState

T = TypeVar("T")


class SQLiteLog:
    """A log in one file; see `pipeline.log.contract.Log`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writes = ConnectionThread(path)
        self._reads = ConnectionThread(path)
        self._changes: ChangeWatch | None = None
        self._leads: set[SQLiteLead] = set()
        self._user_count = 0
        self._is_open = False
        self._opening = asyncio.Lock()

    @classmethod
    def from_url(cls, url: str) -> SQLiteLog:
        """Make the log of a URL such as `sqlite:///var/lib/meshferry/log.db`.

        Raises:
            ValueError: not an absolute path, or options, of which there are none.
        """
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.netloc or not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"log URL {url!r}: give an absolute path after three slashes: sqlite:///path/log.db")
        if parts.query or parts.fragment:
            raise ValueError(f"log URL {url!r}: sqlite takes no options; write ? as %3F and # as %23 in the path")
        return cls(Path(path))

    async def __aenter__(self) -> Self:
        """Open the file, making it if needed; roles of one process may share a log, each entering it for itself.

        Raises:
            BrokenTopicError: no directory, no permission, not a log, or a log of another version.
            LogUnreachableError: the file is locked for too long, or the disk is full.
        """
        async with self._opening:
            if not self._is_open:
                await self._open()
            self._user_count += 1
        return self

    async def _open(self) -> None:
        try:
            await self._writes.open()
            await self._reads.open()
            self._changes = ChangeWatch(await asyncio.to_thread(open_file, self.path))
            self._is_open = True
        except BaseException:
            await self._close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish queued writes and close the file, when its last user leaves."""
        self._user_count -= 1
        async with self._opening:
            if not self._user_count and self._is_open:
                await self._close()

    async def _close(self) -> None:
        self._is_open = False
        while self._leads:
            await next(iter(self._leads)).close()
        if self._changes is not None:
            self._changes.close()
        await self._reads.close()
        await self._writes.close()

    async def describe(self, names: Sequence[str]) -> list[TopicState]:
        """Tell how topics are configured."""
        return await self._reads.call(lambda connection: store.describe(connection, names))

    async def apply(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics and set their configuration."""
        await self._writes.call(lambda connection: store.apply(connection, specs))

    async def ends(self, topic: str) -> Ends:
        """Tell the readable range."""
        return await self._reads.call(lambda connection: store.ends(connection, topic))

    async def read(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        """Read from `start` to the present end."""
        end = (await self.ends(topic)).next
        while True:
            batch = await self.read_batch(topic, start, end)
            if not batch:
                return
            start = batch[-1].offset + 1
            yield batch

    async def follow(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        """Read from `start` and go on as records are written."""
        while True:
            seen = self.changes.count
            batch = await self.read_batch(topic, start)
            if batch:
                start = batch[-1].offset + 1
                yield batch
            else:
                await self.changes.after(seen)

    async def read_batch(self, topic: str, start: int, end: int | None = None) -> list[Record]:
        """Read what is there from `start`, at most a batch; empty at the end."""
        return await self._reads.call(lambda connection: store.read(connection, topic, start, end))

    async def writer(self, name: str) -> SQLiteWriter:
        """Open the writer of a name, fencing its predecessor in any process."""
        epoch = await self._writes.call(lambda connection: store.open_writer(connection, name))
        return SQLiteWriter(self, name, epoch)

    def lead(self, topic: str, group: str) -> SQLiteLead:
        """Stand for the lead of a topic, by a lock on a file beside the log."""
        lead = SQLiteLead(self, topic, group)
        self._leads.add(lead)
        return lead

    def forget(self, lead: SQLiteLead) -> None:
        """A candidate was closed by its user."""
        self._leads.discard(lead)

    def transform(
        self, sinks: Mapping[str, str], group: str, step: Callable[[str, Sequence[Record]], Sequence[NewRecord]]
    ) -> SQLiteTransform:
        """Consume topics and produce into others, exactly once."""
        return SQLiteTransform(self, sinks, group, step)

    async def compact(self, topic: str) -> None:
        """Remove superseded records now; other processes may go on reading and writing."""
        thread = ConnectionThread(self.path)
        await thread.open()
        try:
            await thread.call(lambda connection: compact(connection, topic))
        finally:
            await thread.close()

    async def truncate(self, topic: str, before_offset: int) -> None:
        """Drop the records below an offset."""
        await self._writes.call(lambda connection: store.truncate(connection, topic, before_offset))

    @property
    def changes(self) -> ChangeWatch:
        """What wakes followers; there only while the log is open."""
        if self._changes is None:
            raise RuntimeError("a log is entered before it is used")
        return self._changes

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write in the writer thread and wake this process's followers at once."""
        written = await self._writes.call(work)
        self.changes.notify()
        return written


class SQLiteWriter:
    """The writer of a name; see `pipeline.log.contract.Writer`."""

    def __init__(self, log: SQLiteLog, name: str, epoch: int) -> None:
        self._log = log
        self._name = name
        self._epoch = epoch

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[int]:
        """Append records in one transaction."""
        return await self._log.write(
            lambda connection: store.append(connection, topic, records, self._name, self._epoch)
        )

    async def close(self) -> None:
        """Nothing is held but the epoch, which the next writer of the name supersedes."""
