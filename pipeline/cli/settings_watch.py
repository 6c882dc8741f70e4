"""Tells when the settings are to be read again: on SIGHUP, and when their file has changed.

The file is looked at twice a second. Its identity is that of what the path leads to, so that atomic renames and the
symlink swaps of a mounted ConfigMap are seen like plain writes.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    Identity = tuple[int, ...]

logger = logging.getLogger(__name__)

POLL_S = 0.5


class SettingsWatch:
    """Watches from when it is made, which is before the settings are read; a context manager."""

    def __init__(self, path: str, *, poll_s: float = POLL_S) -> None:
        """Watch the file.

        Args:
            path: the settings file; empty where there is none, then only the signal counts.
            poll_s: how often the file is looked at.
        """
        self._path = Path(path) if path else None
        self._poll_s = poll_s
        self._signalled = asyncio.Event()
        self._seen = self._identity()

    def __enter__(self) -> Self:
        """Take SIGHUP, which would end the process."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._signalled.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave SIGHUP to the system again."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    async def changed(self) -> bool:
        """Wait until the settings are to be read; at once on the signal.

        Returns:
            Whether the signal asked for it.
        """
        while not await self._is_signalled():
            if self._identity() != self._seen and await self._is_settled():
                return False
        self._seen = self._identity()
        return True

    async def _is_settled(self) -> bool:
        """Wait until the file is the same at two looks in a row: one that is written in place may be cut short.

        Returns:
            False when it is again what it was, such as a file that was away for a moment.
        """
        before, now = self._seen, self._identity()
        self._seen = now
        while not await self._is_signalled() and (later := self._identity()) != now:
            self._seen = now = later
        return now != before

    async def _is_signalled(self) -> bool:
        """Let the time between two looks pass, or less when the signal comes."""
        try:
            async with asyncio.timeout(self._poll_s):
                await self._signalled.wait()
        except TimeoutError:
            return False
        self._signalled.clear()
        return True

    def _identity(self) -> Identity:
        """Tell one state of the file from another; equal for a file that is absent both times."""
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            status = None
        if status is None:
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def say_refused(role: str, path: str, error: Exception) -> None:
    """Log why settings are not taken, with their file."""
    place = "" if not path or path in str(error) else f"{path}: "
    logger.error("%s: %s%s; not taken, everything runs on as it was", role, place, error)


def say_fixed(role: str, places: Sequence[str]) -> None:
    """Log in one line what a running process cannot take; values may be secret and are not told."""
    if places:
        logger.error(
            "%s: changed but only read at the start: %s; restart the process to use it", role, ", ".join(places)
        )
