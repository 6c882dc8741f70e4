"""A full read of the topic, kept aside until the end of the log is reached.

Of a re-read the last record of each unit counts. The first read of all is a replay into a store that nobody sees yet:
so an agent whose disk was wiped gives a key the same revisions as one that has followed the log, as far as the log
still has the records that decided them (law 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.store.image import UnitState
    from agent.store.store import Store
    from schemas.records import Genesis


class Read(NamedTuple):
    """A unit's last good record: its offset and what it says (None: a tombstone)."""

    offset: int
    state: UnitState | None


class Reading:
    """What a full read has seen so far. The image is not touched until it is complete.

    Args:
        first: what the first read of all is replayed into; None for a re-read.

    Attributes:
        early: of the first read, the records before any genesis.
        genesis: the topic's first record, once seen.
        last_offset: the newest offset seen, -1 before the first.
        units: unit key -> its last good record, in the order of the offsets.
        rejected: unit key -> why its newest record was not taken.
    """

    __slots__ = ("early", "first", "genesis", "last_offset", "rejected", "units")

    def __init__(self, first: Store | None = None) -> None:
        self.first = first
        self.early: list[tuple[int, str, bytes | None]] = []
        self.genesis: Genesis | None = None
        self.last_offset = -1
        self.units: dict[str, Read] = {}
        self.rejected: dict[str, str] = {}

    @property
    def has_units(self) -> bool:
        """Whether any unit was mentioned: a topic without any is never taken as "everything is gone" (law 7)."""
        return bool(self.units or self.rejected) or (self.first is not None and self.first.image.is_ready)

    def add(self, unit_key: str, read: Read) -> None:
        """Take a unit's newer record, unless its seq is lower than the one already seen (law 4)."""
        known = self.units.get(unit_key)
        if (
            known is not None
            and known.state is not None
            and read.state is not None
            and read.state.seq < known.state.seq
        ):
            return
        self.units.pop(unit_key, None)
        self.units[unit_key] = read
        self.rejected.pop(unit_key, None)

    def reject(self, unit_key: str, reason: str) -> None:
        """Take a unit's record back: what is served of it stays as it is."""
        self.units.pop(unit_key, None)
        self.rejected[unit_key] = reason
