"""A file as a source: read at the start, and again whenever it or a file that it names has changed. I/O.

The file is looked at ten times a second. Its identity is device, inode, size and times of what the path leads to, so
atomic renames and the symlink swaps of mounted ConfigMaps are seen like plain writes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from producers.files.load import MAX_FILE_BYTES, data_source_reader, read_file
from producers.files.parse import ParsedFile, parse
from producers.source import Changes, SourceProblem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Identity = tuple[int, ...]

POLL_S = 0.1
ABSENT: Identity = ()
INODE = 2
"""Length of the part of an identity that says which file it is, not in which state."""


class FileSource:
    """Yields the whole file each time it changed; a broken file yields its problems instead."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE_BYTES, poll_s: float = POLL_S) -> None:
        """Watch a file.

        Args:
            path: the file; it need not exist yet.
            max_bytes: a larger file is refused.
            poll_s: how often the file is looked at.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._poll_s = poll_s
        self._identities: dict[Path, Identity] = {}

    async def changes(self) -> AsyncIterator[Changes | SourceProblem]:
        """Follow the file until cancelled.

        Yields:
            A complete set whenever the file is good, and each problem of a broken one once per change of the file.
        """
        said: tuple[SourceProblem, ...] = ()
        while True:
            parsed = await asyncio.to_thread(self._read)
            if not parsed.problems:
                said = ()
                yield Changes(parsed.resources, is_complete=True, source=str(self._path), notes=parsed.notes)
            elif parsed.problems != said and not await self._is_being_written():
                said = parsed.problems
                for problem in parsed.problems:
                    yield problem
            await self._changed()

    def _read(self) -> ParsedFile:
        self._identities = {self._path: identity_of(self._path)}
        data = read_file(self._path, self._max_bytes)
        if isinstance(data, SourceProblem):
            return ParsedFile((), (), (data,))
        return parse(data, str(self._path), self._read_named, is_strict=True)

    def _read_named(self, name: str) -> bytes:
        path = self._path.parent / name
        self._identities[path] = identity_of(path)
        return data_source_reader(self._path.parent)(name)

    async def _changed(self) -> None:
        """Wait for the next state of the file that is worth reading.

        A renamed file is whole when it appears. One that is written in place may be cut short and still be good YAML,
        so it has to be the same at two looks in a row.
        """
        while not self._has_changed():  # noqa: ASYNC110 - a file system has no event to wait for
            await asyncio.sleep(self._poll_s)
        before = self._identities[self._path]
        while (now := identity_of(self._path)) != before and now[:INODE] == before[:INODE]:
            before = now
            await asyncio.sleep(self._poll_s)

    async def _is_being_written(self) -> bool:
        """A half-written file changes again at once; only a file that stays broken is reported."""
        await asyncio.sleep(self._poll_s)
        return self._has_changed()

    def _has_changed(self) -> bool:
        return any(identity_of(path) != identity for path, identity in self._identities.items())


def identity_of(path: Path) -> Identity:
    """Tell one state of a file from another; equal for a file that is absent both times."""
    try:
        status = path.stat()
    except OSError:
        return ABSENT
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
