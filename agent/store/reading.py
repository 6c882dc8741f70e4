"""A full re-read of the topic: the last record of each unit, kept aside until the end of the log is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.store.image import UnitState
    from schemas.records import Genesis


class Read(NamedTuple):
    """A unit's last good record: its offset and what it says (None: a tombstone)."""

    offset: int
    state: UnitState | None


class Reading:
    """What a full re-read has seen so far. The image is not touched until it is complete.

    Attributes:
        genesis: the topic's first record, once seen.
        last_offset: the newest offset seen, -1 before the first.
        units: unit key -> its last good record, in the order of the offsets.
        rejected: unit key -> why its newest record was not taken.
    """

    __slots__ = ("genesis", "last_offset", "rejected", "units")

    def __init__(self) -> None:
        self.genesis: Genesis | None = None
        self.last_offset = -1
        self.units: dict[str, Read] = {}
        self.rejected: dict[str, str] = {}

    @property
    def has_units(self) -> bool:
        """Whether any unit was mentioned: a topic without any is never taken as "everything is gone" (law 7)."""
        return bool(self.units or self.rejected)

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
