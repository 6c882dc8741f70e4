"""What one record may take away: the agent's own limit, behind the guard of the producer.

A bundle or tombstone beyond it counts as poison: the unit's last good state stays and the rejection is reported, as for
a bundle that cannot be read (architecture.md section 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.store.image import Image, UnitState


class RemovalLimit(NamedTuple):
    """How much of what is served may go at once.

    Attributes:
        share: of all objects, 0 to 1; 1 is no limit.
        minimum: fewer objects than this may always go.
    """

    share: float = 1.0
    minimum: int = 0

    def reason_against(self, image: Image, removed_count: int) -> str | None:
        """Tell why so many objects may not go; None if they may."""
        total = len(image.objects)
        if self.share >= 1 or removed_count < self.minimum or removed_count <= self.share * total:
            return None
        return (
            f"it would remove {removed_count} of {total} objects, more than the agent's limit of {self.share:.0%}: "
            "if that is meant, raise agent.removal.share and restart the agent"
        )


UNLIMITED = RemovalLimit()


def removed_count(image: Image, replaced: Iterable[tuple[str, UnitState | None]]) -> int:
    """Count the objects that no unit would carry any more if units were replaced together.

    Args:
        image: as it is before.
        replaced: unit key and its new state, None when the unit goes.
    """
    states = dict(replaced)
    kept = {key for state in states.values() if state is not None for key in state.objects}
    gone = {
        key
        for unit_key in states
        if (known := image.units.get(unit_key)) is not None
        for key in known.objects
        if key not in kept
    }
    return sum(all(carrier in states for carrier in image.carriers[key]) for key in gone)
