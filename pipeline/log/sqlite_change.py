"""Waiting for a commit to a SQLite log, by this process or another.

Followers are woken at once by their own process and within a poll of `PRAGMA data_version` by others; that pragma reads
a counter in shared memory, costs microseconds, and runs only while somebody waits.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

POLL_INTERVAL_S: Final = 0.012


class ChangeWatch:
    """Tells waiting followers that something was committed, by this process or another."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.count = 0
        self._connection = connection
        self._version = self._data_version()
        self._waiting: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def notify(self) -> None:
        """Wake everybody who waits."""
        self.count += 1
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def after(self, count: int) -> None:
        """Wait until there was a change after the one numbered `count`."""
        if self.count != count or self._is_closed:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        if self._timer is None:
            self._poll()
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _poll(self) -> None:
        version = self._data_version()
        if version != self._version:
            self._version = version
            self.notify()
        self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(POLL_INTERVAL_S, self._poll)

    def _data_version(self) -> int:
        """Give a number that differs after a commit of any other connection.

        A file in trouble counts as changed: the follower's own read then says what the trouble is.
        """
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.DatabaseError:
            return -1
        return int(version)

    def close(self) -> None:
        """Stop polling and wake everybody; they find the log closed."""
        self._is_closed = True
        self.notify()
        if self._timer is not None:
            self._timer.cancel()
        self._connection.close()
