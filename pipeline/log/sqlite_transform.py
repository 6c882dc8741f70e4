"""Consume-translate-produce on the embedded log: results and consumed offset are one SQLite transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.log.sqlite_group import Claim, claim, commit_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.log.contract import NewRecord, Record
    from pipeline.log.sqlite import SQLiteLog


class SQLiteTransform:
    """One worker of a group; see `pipeline.log.contract.Transform`.

    The worker that starts last has the topics: it raises the group's epoch on each, and the worker before it finds
    that out at its next commit.
    """

    def __init__(
        self,
        log: SQLiteLog,
        sinks: Mapping[str, str],
        group: str,
        step: Callable[[str, Sequence[Record]], Sequence[NewRecord]],
    ) -> None:
        self._log = log
        self._sinks = dict(sinks)
        self._group = group
        self._step = step

    async def run(self) -> None:
        """Work until cancelled."""
        claims = await self._log.write(lambda connection: claim(connection, self._group, list(self._sinks)))
        while True:
            seen = self._log.changes.count
            advanced = [await self._advance(source, claims) for source in self._sinks]
            if not any(advanced):
                await self._log.changes.after(seen)

    async def _advance(self, source: str, claims: dict[str, Claim]) -> bool:
        """Work off one batch of a source topic, if there is any."""
        held = claims[source]
        batch = await self._log.read_batch(source, held.next_offset)
        if not batch:
            return False
        results = await asyncio.to_thread(self._step, source, batch)
        moved = held._replace(next_offset=batch[-1].offset + 1)
        sink = self._sinks[source]
        await self._log.write(lambda connection: commit_step(connection, moved, sink, results))
        claims[source] = moved
        return True

    async def close(self) -> None:
        """Nothing is held but the epoch, which the next worker supersedes."""
