"""What a source has spoken for so far, and what it may therefore take away (architecture.md law 7).

After a restart the log holds units that this process has not seen the source of. A control plane that is still silent
about endpoints, or whose one bad resource has its last good version only in the log, must not empty them: a published
unit loses a resource only once the source has told everything it holds of that type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.unit_key import RANKS
from producers.units import Removal
from producers.xds.extension import pending
from schemas import xds
from schemas.records import Role, UnitKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.records import Resource, Unit

STANDS_FOR = {
    xds.ROUTE_ACTION: xds.ROUTE_CONFIGURATION,
    xds.TCP_PROXY: xds.LISTENER,
    xds.DOWNSTREAM_TLS_CONTEXT: xds.LISTENER,
}
"""Parts that units hold on their own, and the resource type they are cut from."""


class Coverage:
    """Holds back what would take away more than the source has spoken for."""

    def __init__(self) -> None:
        self._covered: set[str] | None = set()
        self._refused: frozenset[str] = frozenset()
        self._published: dict[str, Unit] = {}
        self._held: dict[str, Unit | Removal] = {}

    def resume(self, published: Iterable[Unit]) -> None:
        """Start over from what the log holds."""
        self._held = {}
        self._published = {} if self._is_settled else {unit.key: unit for unit in published}

    def extend(self, covers: frozenset[str] | None) -> None:
        """Note that the source has told everything of these types; None for every type."""
        if covers is None:
            self._covered = None
        elif self._covered is not None:
            self._covered |= covers

    def refuse(self, type_urls: frozenset[str]) -> None:
        """Note of which types a resource is refused now: what the source holds of them is not all that is in force."""
        self._refused = type_urls

    @property
    def _is_settled(self) -> bool:
        return self._covered is None and not self._refused

    def admit(self, outcomes: list[Unit | Removal]) -> list[Unit | Removal]:
        """Give what may be written now, in order; the rest is held and comes with a later call.

        Args:
            outcomes: what the cutter gave, in the order of writing.
        """
        fresh = {outcome.key for outcome in outcomes}
        held = sorted((outcome for key, outcome in self._held.items() if key not in fresh), key=_order)
        updates = [outcome for outcome in held if not isinstance(outcome, Removal)]
        self._held = {}
        admitted = []
        for outcome in (*updates, *outcomes, *held[len(updates) :]):
            if self._takes_too_much(outcome):
                self._held[outcome.key] = outcome
            else:
                self._published.pop(outcome.key, None)
                admitted.append(outcome)
        if self._is_settled:
            self._published = {}
        return admitted

    def _takes_too_much(self, outcome: Unit | Removal) -> bool:
        old = self._published.get(outcome.key)
        if old is None or self._is_settled:
            return False
        kept = set() if isinstance(outcome, Removal) else {_place(resource) for resource in outcome.resources}
        if any(not self._covers(_type(resource)) for resource in old.resources if _place(resource) not in kept):
            return True
        if isinstance(outcome, Removal) or self._covers(xds.TYPED_EXTENSION_CONFIG):
            return False
        return not _pending_filters(outcome) <= _pending_filters(old)

    def _covers(self, type_url: str) -> bool:
        return type_url not in self._refused and (self._covered is None or type_url in self._covered)


def _pending_filters(unit: Unit) -> set[str]:
    """Give the names of filters whose discovered configuration is not known: they would block the routes they guard."""
    listeners = [resource for resource in unit.resources if resource.type_url == xds.LISTENER]
    return {name for resource in listeners for name in pending(xds.parse(xds.LISTENER, resource.body))}


def _order(outcome: Unit | Removal) -> tuple[bool, int]:
    """Law 1 among what was held: what others refer to first, removals the other way round and last."""
    rank = RANKS[UnitKind(outcome.key.partition("/")[0])]
    return (True, -rank) if isinstance(outcome, Removal) else (False, rank)


def _type(resource: Resource) -> str:
    return STANDS_FOR.get(resource.type_url, resource.type_url)


def _place(resource: Resource) -> tuple[Role, str, str]:
    return resource.role, resource.type_url, "" if resource.role is Role.USE else resource.name
