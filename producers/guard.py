"""The guard: what would take away much is held until somebody approves it; everything else passes. Pure.

architecture.md section 7, laws 1 and 7. It stands behind the cutter and knows what is in the log by digests, so that
what was held and came back unchanged is not written again. A kind is held as a whole, because a part of what the source
took away could leave a route without its cluster.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from producers.endpoints import usable_endpoints, wants_endpoints, with_endpoints
from producers.hold import GuardLimits, Hold
from producers.unit_key import RANKS
from producers.units import Removal, content_digest
from schemas import xds
from schemas.keys import unit_key
from schemas.records import HeldKind, Role, Unit, UnitKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.records import Held, Resource


REFERRED: Final = {xds.CLUSTER: UnitKind.CLUSTER, xds.SECRET: UnitKind.SECRET}
"""The units that the resources in the role `reference` have for themselves."""


class _Published(NamedTuple):
    """What the guard knows of a unit in the log."""

    digest: bytes
    endpoints: Resource | None
    """Its ClusterLoadAssignment with anything usable in it."""
    references: frozenset[str]
    """Keys of the units of the clusters and secrets it carries."""
    listeners: frozenset[str]
    """Names of the listeners that the unit of the view tells of."""


class Guard:
    """Holds removals and emptied endpoints above the limits, and removals of what is still in use."""

    def __init__(self, limits: GuardLimits | None) -> None:
        """Start with nothing published.

        Args:
            limits: above which a change is held; None holds only what law 1 demands.
        """
        self._removals: Hold[Removal] = Hold(HeldKind.REMOVALS, limits)
        self._emptied: Hold[Unit] = Hold(HeldKind.ENDPOINTS, limits)
        self._published: dict[str, _Published] = {}
        self._deferred: dict[str, Unit] = {}
        self._in_use: dict[str, Removal] = {}
        self._users: Counter[str] = Counter()
        self._usable_count = 0

    def resume(self, published: Iterable[Unit], held: Iterable[Held]) -> None:
        """Start over from what the log holds.

        Args:
            published: the units in the log.
            held: the holds in the control topic, which go on.
        """
        by_kind = {record.kind: record for record in held}
        self._removals.resume(by_kind.get(HeldKind.REMOVALS))
        self._emptied.resume(by_kind.get(HeldKind.ENDPOINTS))
        self._published = {}
        self._deferred = {}
        self._in_use = {}
        self._users.clear()
        self._usable_count = 0
        for unit in published:
            self._publish(unit.key, _facts(unit))

    def admit(self, outcomes: Iterable[Unit | Removal], time_ms: int) -> list[Unit | Removal]:
        """Give what may be written now, in the order of law 1.

        Args:
            outcomes: what the cutter gave; for each unit the last one counts.
            time_ms: the present.
        """
        passing: list[Unit | Removal] = []
        for outcome in outcomes:
            self._removals.pending.pop(outcome.key, None)
            self._emptied.pending.pop(outcome.key, None)
            self._deferred.pop(outcome.key, None)
            self._in_use.pop(outcome.key, None)
            if isinstance(outcome, Removal):
                if outcome.key in self._published:
                    self._removals.pending[outcome.key] = outcome
            elif self._empties(outcome):
                self._emptied.pending[outcome.key] = outcome
            else:
                passing.append(outcome)
        passing += self._pass_emptied(time_ms)
        added = {outcome.key for outcome in passing} - self._published.keys()
        removals = self._pass_removals(time_ms, len(added))
        return self._write([*passing, *removals])

    def approve(self, fingerprint: str) -> list[Unit | Removal] | None:
        """Release the hold of a fingerprint.

        Returns:
            What to write; None when nothing of that fingerprint is held, or not any more.
        """
        held = next((record for record in self.held() if record.fingerprint == fingerprint), None)
        if held is None:
            return None
        if held.kind is HeldKind.ENDPOINTS:
            return self._write([*self._emptied.approve()])
        return self._write([*self._removals.approve()])

    def held(self) -> tuple[Held, ...]:
        """Describe what is held, one record per kind."""
        records = (
            self._removals.held(self._removals.pending),
            self._emptied.held(unit.params["cluster"] for unit in self._emptied.pending.values()),
        )
        return tuple(record for record in records if record is not None)

    def _empties(self, unit: Unit) -> bool:
        old = self._published.get(unit.key)
        return (
            old is not None and old.endpoints is not None and usable_endpoints(unit) is None and wants_endpoints(unit)
        )

    def _pass_emptied(self, time_ms: int) -> list[Unit]:
        """Give the emptied clusters, or while they are held what else changed in them, with the endpoints they had."""
        pending = list(self._emptied.pending.values())
        if self._emptied.is_over(time_ms, self._usable_count, leaves_nothing=False):
            kept = ((unit, self._published[unit.key].endpoints) for unit in pending)
            return [with_endpoints(unit, endpoints) for unit, endpoints in kept if endpoints is not None]
        self._emptied.pending = {}
        return pending

    def _pass_removals(self, time_ms: int, added_count: int) -> list[Removal]:
        pending = list(self._removals.pending.values())
        published_count = len(self._published) - (UnitKind.VIEW in self._published)
        leaves_nothing = published_count == len(pending) and not added_count
        if self._removals.is_over(time_ms, published_count, leaves_nothing=leaves_nothing):
            return []
        self._removals.pending = {}
        return pending

    def _breaks(self, unit: Unit) -> bool:
        """Tell whether a unit would refer to what is not there.

        It may carry a cluster that went while it waited. Or it only follows a removal that is held: it names what it
        can carry no longer; the unit in the log still carries the cluster, which stays, so the unit stays too.
        """
        if not _references(unit) <= self._published.keys():
            return True
        old = self._published.get(unit.key)
        if old is None:
            return False
        if self._removals.pending and not old.listeners <= _listeners(unit):
            return True  # what it says for all routes, such as an access log, is still said for those that stay
        if old.references.isdisjoint(self._removals.pending):
            return False
        lost = (old.references - _references(unit)) & self._removals.pending.keys()
        bodies = [resource.body for resource in unit.resources if resource.role is Role.SUBJECT]
        return any(name in body for name in map(_name, lost) for body in bodies)

    def _write(self, passing: Iterable[Unit | Removal]) -> list[Unit | Removal]:
        """Order what passes, with what waited for it; drop what the log holds already, and note the rest."""
        waiting = [*passing, *self._deferred.values(), *self._in_use.values()]
        self._deferred, self._in_use = {}, {}
        written: list[Unit | Removal] = []
        for outcome in sorted(waiting, key=_order):
            if isinstance(outcome, Removal):
                if self._users[outcome.key]:
                    self._in_use[outcome.key] = outcome
                elif self._publish(outcome.key, None):
                    written.append(outcome)
            elif self._breaks(outcome):
                self._deferred[outcome.key] = outcome
            elif self._publish(outcome.key, _facts(outcome)):
                written.append(outcome)
        return written

    def _publish(self, key: str, new: _Published | None) -> bool:
        """Note what is in the log from now on, and tell whether that is news."""
        old = self._published.get(key)
        if (old and old.digest) == (new and new.digest):
            return False
        if old is not None:
            del self._published[key]
            self._usable_count -= old.endpoints is not None
            self._users.subtract(old.references)
        if new is not None:
            self._published[key] = new
            self._usable_count += new.endpoints is not None
            self._users.update(new.references)
        return True


def _facts(unit: Unit) -> _Published:
    digest = content_digest(unit.params, unit.resources)
    return _Published(digest, usable_endpoints(unit), _references(unit), _listeners(unit))


def _references(unit: Unit) -> frozenset[str]:
    referred = (resource for resource in unit.resources if resource.role is Role.REFERENCE)
    return frozenset(
        unit_key(REFERRED[resource.type_url], resource.name) for resource in referred if resource.type_url in REFERRED
    )


def _listeners(unit: Unit) -> frozenset[str]:
    if unit.kind is not UnitKind.VIEW:
        return frozenset()
    return frozenset(resource.name for resource in unit.resources if resource.type_url == xds.LISTENER)


def _name(key: str) -> bytes:
    return unquote(key.partition("/")[2]).encode()


def _order(outcome: Unit | Removal) -> tuple[bool, int]:
    rank = RANKS[UnitKind(outcome.key.partition("/")[0])]
    return (True, -rank) if isinstance(outcome, Removal) else (False, rank)
