"""Follows a source of xDS resources the way the producer does, and keeps what it says."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from producers.source import Changes, SourceProblem
from producers.xds.session import Timing

if TYPE_CHECKING:
    from producers.xds.transport import ADSSource

FAST = Timing(existence_ms=300, confirmation_ms=300, nack_interval_ms=50)
DEADLINE_S = 10.0


class Follower:
    """Follows a source in a task of its own and keeps what it says."""

    def __init__(self, source: ADSSource) -> None:
        self.source = source
        self.image = {}
        self.changes: list[Changes] = []
        self.problems: list[SourceProblem] = []
        self._said = asyncio.Condition()
        self._task = asyncio.create_task(self._follow(source))

    async def _follow(self, source) -> None:
        async for output in source.changes():
            async with self._said:
                if isinstance(output, SourceProblem):
                    self.problems.append(output)
                else:
                    self.changes.append(output)
                    self._take(output)
                self._said.notify_all()

    def _take(self, changes: Changes) -> None:
        given = {(change.type_url, change.name): change.body for change in changes.changes}
        if changes.is_complete:
            covers = changes.covers
            kept = {k: v for k, v in self.image.items() if covers is not None and k[0] not in covers}
            self.image = kept
        self.image.update(given)
        self.image = {key: body for key, body in self.image.items() if body is not None}

    async def until(self, predicate) -> None:
        async with asyncio.timeout(DEADLINE_S), self._said:
            await self._said.wait_for(predicate)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def names(self) -> Counter[str]:
        return Counter(type_url.rpartition(".")[2] for type_url, _ in self.image)

    def moved(self) -> list[tuple[str, str]]:
        """What has changed since the first delivery; one that only says that a set is whole changes nothing."""
        held, moved = {}, []
        for number, changes in enumerate(self.changes):
            given = {(change.type_url, change.name): change.body for change in changes.changes}
            if changes.is_complete:
                given |= {key: None for key in held if key not in given and _is_covered(key, changes)}
            moved += [key for key, body in given.items() if number and held.get(key) != body]
            held |= given
        return moved

    def removed(self) -> list[tuple[str, str]]:
        """What was taken away at any time, by name or by its absence from a complete delivery."""
        held, removed = set(), []
        for changes in self.changes:
            given = {(change.type_url, change.name) for change in changes.changes if change.body is not None}
            removed += [(change.type_url, change.name) for change in changes.changes if change.body is None]
            if changes.is_complete:
                removed += [key for key in held - given if _is_covered(key, changes)]
            held = (held - set(removed)) | given
        return removed

    def told(self) -> list[str]:
        return [str(problem) for problem in self.problems]


def _is_covered(key: tuple[str, str], changes: Changes) -> bool:
    return changes.covers is None or key[0] in changes.covers
