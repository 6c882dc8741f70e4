"""Make before break inside a cluster or secret: a use is taken away only after what made it (law 1).

A use becomes an upstream of its own. When routes change how they use a cluster, the cluster's unit comes first, with
the new uses beside the old ones; the routes follow; then the unit comes again without those that nobody makes any more.
So do secrets, whose certificates clusters present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.records import Role

if TYPE_CHECKING:
    from producers.unit_key import UnitName
    from schemas.records import Resource

Resources = tuple["Resource", ...]


class KeptUses:
    """The uses in the units as they are written."""

    def __init__(self) -> None:
        self._uses: dict[UnitName, frozenset[Resource]] = {}

    def remember(self, name: UnitName, resources: Resources) -> None:
        """Note a unit as it is written."""
        uses = frozenset(resource for resource in resources if resource.role is Role.USE)
        if uses:
            self._uses[name] = uses
        else:
            self._uses.pop(name, None)

    def forget(self, name: UnitName) -> None:
        """Note that a unit is gone."""
        self._uses.pop(name, None)

    def beside(self, name: UnitName, resources: Resources) -> Resources:
        """Put the written uses that a unit is about to lose beside its own; the same resources when it loses none."""
        lost = self._uses.get(name, frozenset()).difference(resources)
        if not lost:
            return resources
        uses = [resource for resource in resources if resource.role is Role.USE]
        first = next((index for index, resource in enumerate(resources) if resource.role is Role.USE), None)
        if first is None:  # behind the subjects, where a unit has its uses
            first = sum(resource.role is Role.SUBJECT for resource in resources)
        ordered = sorted([*uses, *lost], key=lambda use: (use.type_url, use.body))
        return (*resources[:first], *ordered, *resources[first + len(uses) :])
