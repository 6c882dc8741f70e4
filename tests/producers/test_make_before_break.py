"""Law 1 from the control plane to the log: after each single record no unit refers to what is not there.

Random dialogues with an ADS session of either variant, whose deliveries become units. The units' own order is in
test_units.py, what a session delivers together in xds/test_session_law.py.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.hold import GuardLimits
from producers.publication import Publication
from producers.reference import secrets_of
from producers.units import Removal
from producers.xds.references import references_of
from schemas import xds
from schemas.keys import unit_key
from schemas.records import Role, UnitKind
from tests.producers.scene import seal
from tests.producers.xds.plane import Plan, Plane
from tests.producers.xds.watcher import Watcher

DIALOGUES = 400
STEP_MS = 2_000
"""Within the window of the hold-down, so that resources flap too."""
KINDS = {xds.CLUSTER: UnitKind.CLUSTER, xds.SECRET: UnitKind.SECRET}


class Producer:
    """A producer without I/O, and the log it writes to: what is published, record by record.

    Attributes:
        log: the last unit of each key.
        held: the resources as the source has them.
        kept: those that it has taken away although others of its resources name them; their units stay.
    """

    def __init__(self, limits: GuardLimits | None, plan: Plan) -> None:
        self.publication = Publication("v", seal, "1.0", limits)
        self.publication.resume([], 0)
        self.plan = plan
        self.log = {}
        self.held = {}
        self.kept = {}
        self.time_ms = 0
        self.record_count = 0

    def follow(self, changes) -> None:
        """Take a delivery over; now and then the operator approves what is held, or the producer starts over."""
        self.time_ms += STEP_MS
        before, self.held = self.held, self._taken(changes)
        self._write(self.publication.apply(changes, self.time_ms)[0], before)
        due_ms = self.publication.due_ms()
        if due_ms is not None and due_ms <= self.time_ms:
            self._write(self.publication.release(self.time_ms), self.held)
        match self.plan.below(8):
            case 1:
                for held in self.publication.held():
                    self._write(self.publication.approve(held.fingerprint, self.time_ms) or [], self.held)
            case 2:
                self.publication.stand_by()
                units = list(self.log.values())
                self._write(self.publication.resume(units, self.time_ms, self.publication.held()), self.held)

    def _taken(self, changes):
        held = {
            key: body
            for key, body in self.held.items()
            if not (changes.is_complete and (changes.covers is None or key[0] in changes.covers))
        }
        gone = self.held.keys() - held.keys()
        held |= {(change.type_url, change.name): change.body for change in changes.changes}
        gone |= {key for key, body in held.items() if body is None}
        held = {key: body for key, body in held.items() if body is not None}
        lost = {key: body for key, body in {**self.kept, **self.held}.items() if key in gone or key in self.kept}
        wanted = frozenset().union(*map(references_of, held.values()))
        self.kept = {key: body for key, body in lost.items() if key in wanted and key not in held}
        return held

    def _write(self, written, before) -> None:
        """Write record by record.

        Args:
            written: units and removals in their order.
            before: the resources as the source had them before this step.
        """
        fresh = set()
        for record in written:
            self.record_count += 1
            if isinstance(record, Removal):
                del self.log[record.key]
                self._check_unused(record.key)
            else:
                self.log[record.key] = record
                fresh.add(record.key)
            for unit in self.log.values():
                self._check(unit, before, is_fresh=unit.key in fresh)

    def _check_unused(self, key) -> None:
        """What is removed has no user left but one that the source itself has left alone."""
        still = {(type_url, name) for type_url, name in self._named_by_source() if type_url in KINDS}
        for unit in self.log.values():
            for type_url, name in named(unit):
                is_gone = unit_key(KINDS[type_url], name) == key
                assert not is_gone or (type_url, name) in still, f"{key} went before {unit.key}, which names it"

    def _named_by_source(self):
        for (type_url, _), body in {**self.kept, **self.held}.items():
            yield from references_of(body)
            if type_url == xds.ROUTE_CONFIGURATION:
                yield from clusters_of(body)

    def _check(self, unit, before, *, is_fresh) -> None:
        for resource in unit.resources:
            if resource.role is Role.REFERENCE and resource.type_url in KINDS:
                key = unit_key(KINDS[resource.type_url], resource.name)
                assert key in self.log, f"{unit.key} refers to {key}, which is not in the log"
                if unit.kind is UnitKind.CLUSTER and resource.type_url == xds.SECRET:
                    is_presented = any(part.role is Role.USE for part in self.log[key].resources)
                    is_pair = xds.parse(xds.SECRET, resource.body).HasField("tls_certificate")
                    assert is_presented or not is_pair, f"{key} is not made for {unit.key}, which presents it"
        for type_url, name in named(unit):
            is_there = unit_key(KINDS[type_url], name) in self.log
            known = [state for state in (before, self.held) if (type_url, name) in state]
            assert is_there or len(known) < 2, f"{unit.key} names {name}, which the source has had all along"
            assert is_there or not is_fresh or (type_url, name) not in self.held, f"{unit.key} came before {name}"


def named(unit):
    """What the routes or the TLS contexts of a unit name, whether the source has it or not."""
    for resource in unit.resources:
        if resource.role is Role.SUBJECT and resource.type_url == xds.ROUTE_CONFIGURATION:
            yield from clusters_of(xds.parse(resource.type_url, resource.body))
        elif resource.role is Role.SUBJECT and resource.type_url == xds.DOWNSTREAM_TLS_CONTEXT:
            context = xds.parse(resource.type_url, resource.body)
            yield from ((xds.SECRET, name) for name in secrets_of(context))


def clusters_of(route_configuration):
    for host in route_configuration.virtual_hosts:
        yield from ((xds.CLUSTER, route.route.cluster) for route in host.routes if route.route.cluster)


@pytest.mark.parametrize("limits", [None, GuardLimits(share=0.3, minimum=2)], ids=["free", "guarded"])
@pytest.mark.parametrize("variant", ["sotw", "delta"])
@settings(max_examples=DIALOGUES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=20, max_size=80), st.integers(0, 2))
def test_after_each_record_no_unit_refers_to_what_is_not_there(variant, limits, data, way):
    plan = Plan(data)
    producer = Producer(limits, plan)
    plane = Plane(Watcher(variant, producer.follow), plan)
    plane.play()
    plane.settle(way)
    plane.assert_agreed()
    assert producer.record_count
