"""The SQLite file behind a log: opening, its schema, its version, and what its errors mean to a reader.

Every connection is used by one thread only (`ConnectionThread`), in autocommit mode with explicit BEGIN; WAL lets
readers of any process go on while one writer commits, `synchronous=FULL` makes a commit survive a power cut.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pipeline.log.contract import BrokenTopicError, LogUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

APPLICATION_ID = 0x4D53_4652
"""`MSFR` in the file header, so that another program's database is never taken for a log."""
VERSION = 1
"""Of the schema below, kept in the file's user_version."""
BUSY_TIMEOUT_MS = 5000

# No STRICT and no RETURNING: they are newer than the SQLite that some supported systems bring along.
# A record's place is topic_id * 2^40 + offset: one integer key, so that a topic is one contiguous range of one B-tree.
SCHEMA = """
CREATE TABLE topic (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, start_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL
);
CREATE TABLE topic_config (
    topic_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (topic_id, name)
) WITHOUT ROWID;
CREATE TABLE record (
    place INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, headers BLOB, time_ms INTEGER NOT NULL
);
CREATE TABLE writer (
    name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE group_offset (
    group_name TEXT NOT NULL, topic_id INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    epoch INTEGER NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL, PRIMARY KEY (group_name, topic_id)
) WITHOUT ROWID;
"""

T = TypeVar("T")


class ConnectionThread:
    """One connection to the file and the one thread that uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, making it if it is not there.

        Raises:
            BrokenTopicError: the file cannot be opened or is not a log of this version.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="meshferry-log")
        self._connection = await self._submit(self._thread, lambda: open_file(self._path))

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the thread, errors translated.

        A call that is cancelled is still finished by the thread: what it committed stays committed.
        """
        connection, thread = self._connection, self._thread
        if connection is None or thread is None:
            raise LogUnreachableError(f"{self._path}: the log is closed")

        def run() -> T:
            with explained(self._path):
                return work(connection)

        return await self._submit(thread, run)

    async def close(self) -> None:
        """Finish what is queued and close the file; it may be opened again."""
        connection, self._connection = self._connection, None
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if connection is not None:
            await self._submit(thread, connection.close)
        thread.shutdown(wait=False)

    @staticmethod
    async def _submit(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)


def open_file(path: Path) -> sqlite3.Connection:
    """Open a log file and check that it is one.

    Raises:
        BrokenTopicError: no directory, no permission, not a log, or a log of another version.
        LogUnreachableError: another process held the file for too long, or the disk is full.
    """
    if not path.parent.is_dir():
        raise BrokenTopicError(f"{path}: the directory {path.parent} does not exist; create it or change the log URL")
    with explained(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _is_new(connection):
        _create(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise BrokenTopicError(f"{path}: a database of another program, not a meshferry log; choose another path")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise BrokenTopicError(
            f"{path}: a log of version {version}, this meshferry reads version {VERSION}; "
            "use the release that wrote it, or move the file away to start a new log"
        )
    _enter_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with immediate(connection):
        if _is_new(connection):  # another process may have been faster
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; the busy timeout does not cover this switch, so two processes that start together try again."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_new(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,))


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a write transaction; the write lock is taken at once, so that what is read in it stays true."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Run several reads on one state of the file."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Translate SQLite's errors into those of the log contract, one line each.

    Raises:
        BrokenTopicError: the file will not be right by itself.
        LogUnreachableError: it may be later; nothing was written.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.DatabaseError, path: Path) -> BrokenTopicError | LogUnreachableError:
    primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match primary:
        case sqlite3.SQLITE_NOTADB:
            return BrokenTopicError(f"{path}: not a meshferry log file; choose another path or move the file away")
        case sqlite3.SQLITE_CORRUPT:
            return BrokenTopicError(f"{path}: the log file is damaged; restore it, or move it away to start a new log")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return BrokenTopicError(
                f"{path}: cannot be opened for writing; check owner and permissions of {path.parent}"
            )
        case sqlite3.SQLITE_FULL:
            return LogUnreachableError(f"{path}: the disk is full, nothing was written; free space on {path.parent}")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LogUnreachableError(f"{path}: locked by another process for more than {BUSY_TIMEOUT_MS} ms")
        case _:
            return LogUnreachableError(f"{path}: {error}")
