"""The last changes, bounded by count and bytes: what a watcher can catch up with."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.store.delta import Change

EVENT_BYTES = 300
"""What an event costs beside its key and values."""


class History:
    """A ring of changes. Covers every change with a revision above `floor`.

    Args:
        max_count: changes kept at most.
        max_bytes: bytes kept at most; the newest change is kept whatever its size.
    """

    def __init__(self, max_count: int = 10_000, max_bytes: int = 16 << 20) -> None:
        self.floor = 0
        self.bytes = 0
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._changes: list[Change | None] = []
        self._revisions: list[int] = []
        self._sizes: list[int] = []
        self._first = 0

    def __len__(self) -> int:
        return len(self._changes) - self._first

    def reset(self, floor: int) -> None:
        """Forget everything up to and including a revision."""
        self.floor, self.bytes, self._first = floor, 0, 0
        self._changes, self._revisions, self._sizes = [], [], []

    def append(self, change: Change) -> None:
        """Add the newest change and drop the oldest ones beyond the bounds."""
        size = sum(_event_bytes(event.key, event.kv, event.prev) for event in change.events)
        self._changes.append(change)
        self._revisions.append(change.revision)
        self._sizes.append(size)
        self.bytes += size
        while len(self) > 1 and (len(self) > self._max_count or self.bytes > self._max_bytes):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self.floor = self._revisions[self._first]
        self.bytes -= self._sizes[self._first]
        self._changes[self._first] = None
        self._first += 1
        if self._first > 64 and self._first * 2 > len(self._changes):  # noqa: PLR2004 - often enough to be O(1) each
            del self._changes[: self._first], self._revisions[: self._first], self._sizes[: self._first]
            self._first = 0

    def after(self, revision: int) -> Iterator[Change]:
        """Give the changes with a higher revision, oldest first. The caller has compared it with `floor`."""
        for index in range(bisect_right(self._revisions, revision, lo=self._first), len(self._changes)):
            change = self._changes[index]
            if change is not None:
                yield change


def _event_bytes(key: bytes, *values: tuple[bytes, int, int, int] | None) -> int:
    return EVENT_BYTES + len(key) + sum(len(value[0]) for value in values if value is not None)
