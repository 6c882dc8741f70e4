"""Files as a source: read at the start, and again whenever one of them or a file that they name has changed. I/O.

They are looked at ten times a second. A file's identity is device, inode, size and times of what the path leads to, so
atomic renames and the symlink swaps of mounted ConfigMaps are seen like plain writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from producers.files.assembly import Assembly, identity_of
from producers.files.reading import MAX_FILE_BYTES
from producers.source import Changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from producers.files.assembly import Identity
    from producers.source import SourceProblem

POLL_S = 0.1
INODE = 2
"""Length of the part of an identity that says which file it is, not in which state."""


class FileSource:
    """Yields everything each time something changed; a broken file yields its problems instead."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, poll_s: float = POLL_S) -> None:
        """Watch a file and those it subscribes to, or a directory of them.

        Args:
            path: the file or directory; it need not exist yet.
            max_bytes: a larger file is refused.
            poll_s: how often the files are looked at.
        """
        self._path = path
        self._poll_s = poll_s
        self._assembly = Assembly(path, max_bytes, is_strict=True)

    async def changes(self) -> AsyncIterator[Changes | SourceProblem]:
        """Follow the files until cancelled.

        Yields:
            A complete set whenever what is good has changed, and the problems of what is broken once per change.
        """
        said: tuple[SourceProblem, ...] = ()
        while True:
            now = await asyncio.to_thread(self._assembly.read)
            if now.problems and now.problems != said and await self._is_being_written():
                await self._changed()
                continue
            if now.problems != said:
                said = now.problems
                for problem in said:
                    yield problem
            if now.is_whole:
                yield Changes(now.resources, is_complete=True, source=str(self._path), notes=now.notes)
            await self._changed()

    async def _changed(self) -> None:
        """Wait for the next state of the files that is worth reading.

        A renamed file is whole when it appears. One that is written in place may be cut short and still be good YAML,
        so it has to be the same at two looks in a row.
        """
        while not self._has_changed():  # noqa: ASYNC110 - a file system has no event to wait for
            await asyncio.sleep(self._poll_s)
        before = self._assembly.identities
        while _grows(before, now := {path: identity_of(path) for path in before}):
            before = now
            await asyncio.sleep(self._poll_s)

    async def _is_being_written(self) -> bool:
        """A half-written file changes again at once; only a file that stays broken is reported."""
        await asyncio.sleep(self._poll_s)
        return self._has_changed()

    def _has_changed(self) -> bool:
        return any(identity_of(path) != identity for path, identity in self._assembly.identities.items())


def _grows(before: dict[Path, Identity], now: dict[Path, Identity]) -> bool:
    """Tell whether a file is another than before in the same place."""
    return any(before[path] != identity and before[path][:INODE] == identity[:INODE] for path, identity in now.items())
