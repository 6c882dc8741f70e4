"""Leading a topic of a SQLite log: an exclusive lock on a file beside it, which ends with the process that holds it.

The lock is `flock`, which belongs to the open file: two candidates of one process exclude each other too. A process
that is merely stopped keeps the lead, as it keeps what else it holds of the log.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pipeline.log.contract import BrokenTopicError
from pipeline.log.sqlite_store import owner

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.log.sqlite import SQLiteLog

POLL_INTERVAL_S: Final = 0.1
"""A lock that can be waited for holds a thread that cannot be told to stop."""
MODE: Final = 0o666
"""Whoever may write the log may lead it; the umask takes its part."""


class SQLiteLead:
    """One candidate; see `pipeline.log.contract.Lead`."""

    def __init__(self, log: SQLiteLog, topic: str, group: str) -> None:
        self._log = log
        self._topic = topic
        self._path = log.path.with_name(f"{log.path.name}-lead-{quote(f'{group}-{topic}', safe='')}")
        self._file: int | None = None

    async def take(self) -> None:
        """Wait until the lock is free, and hold it."""
        await self._log.ends(self._topic)
        while self._file is None:
            self._file = _locked(self._path)
            if self._file is None:
                await asyncio.sleep(POLL_INTERVAL_S)

    async def is_held(self) -> bool:
        """Tell whether the lock is held here."""
        return self._file is not None

    async def lost(self) -> None:
        """Never: only the process itself lets go of its lock."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Let the lock go. The file stays: a candidate that has it open already would lock one without a name."""
        self._log.forget(self)
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _locked(path: Path) -> int | None:
    """Lock a file, making it if needed, and write into it who has it.

    Returns:
        Its descriptor; None while somebody else has it, or when it was replaced meanwhile.

    Raises:
        BrokenTopicError: the file cannot be made, or its file system knows no locks.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            is_mine = _is_locked(file, path)
        except OSError:
            os.close(file)
            raise
    except OSError as error:
        reason = f"{error.strerror}; check its owner and {path.parent}"
        raise BrokenTopicError(f"{path}: cannot be locked: {reason}") from error
    if is_mine:
        return file
    os.close(file)
    return None


def _is_locked(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.path.samestat(os.fstat(file), os.stat(path))  # noqa: PTH116 - beside fstat, to be compared
    except (BlockingIOError, FileNotFoundError):
        return False
    if is_there:
        with suppress(OSError):  # on a full disk it is locked all the same
            os.ftruncate(file, 0)
            os.write(file, "{} {}\n".format(*owner()).encode())
    return is_there
