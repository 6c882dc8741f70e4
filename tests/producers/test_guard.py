"""Law 1 and the guard over random changes of a source."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.hold import GuardLimits
from producers.publication import Publication
from producers.source import Changes
from producers.units import Removal
from schemas import xds
from schemas.keys import unit_key
from schemas.records import HeldKind, Role, Unit, UnitKind
from tests.producers.scene import (
    change,
    cluster,
    listener,
    rds,
    route,
    route_configuration,
    seal,
    secret,
    tls,
    virtual_host,
)

CLUSTERS = "abcdef"
EDS = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}
TIGHT = GuardLimits(share=0.3, minimum=2, window_ms=50)


def said(*changes) -> Changes:
    return Changes(changes, is_complete=True, source="t")


def endpoints(name: str, *addresses: str, **fields):
    localities = [
        {"endpoint": {"address": {"socket_address": {"address": address, "port_value": 80}}}, **fields}
        for address in addresses
    ]
    return change(xds.CLUSTER_LOAD_ASSIGNMENT, {"cluster_name": name, "endpoints": [{"lb_endpoints": localities}]})


class View:
    """A view, its log as a dictionary, and the law that holds at every record."""

    def __init__(self, limits: GuardLimits | None) -> None:
        self.limits = limits
        self.publication = Publication("v", seal, "1", limits)
        self.publication.resume([], 0)
        self.units: dict[str, Unit] = {}

    def say(self, changes: Changes, time_ms: int = 0) -> list[str]:
        return self.write(self.publication.apply(changes, time_ms)[0])

    def write(self, outcomes) -> list[str]:
        for outcome in outcomes:
            if isinstance(outcome, Removal):
                assert outcome.key in self.units
                del self.units[outcome.key]
            else:
                before = self.units.get(outcome.key)
                assert before is None or before.content() != outcome.content(), "an equal unit was written again"
                self.units[outcome.key] = outcome
            self.check()
        return [outcome.key for outcome in outcomes]

    def check(self) -> None:
        for unit in self.units.values():
            for resource in unit.resources:
                if unit.kind in (UnitKind.HTTP, UnitKind.STREAM) and resource.role is Role.REFERENCE:
                    assert resource.type_url != xds.CLUSTER or unit_key(UnitKind.CLUSTER, resource.name) in self.units

    def restart(self, time_ms: int) -> list[str]:
        held = self.publication.held()
        self.publication = Publication("v", seal, "1", self.limits)
        return self.write(self.publication.resume(list(self.units.values()), time_ms, held))


names = st.frozensets(st.sampled_from(CLUSTERS))
hosts = st.dictionaries(st.sampled_from(["h0", "h1", "h2"]), st.sampled_from(CLUSTERS))
states = st.tuples(names, names, st.dictionaries(st.sampled_from(["l0", "l1"]), hosts, max_size=2), st.booleans())


def world(clusters, populated, listeners, is_tls) -> Changes:
    said_now = [cluster(name, **EDS) for name in sorted(clusters)]
    said_now += [endpoints(name, "10.0.0.1") for name in sorted(clusters & populated)]
    for number, (name, targets) in enumerate(sorted(listeners.items())):
        chain = rds(f"r-{name}") | {"name": "c"}
        said_now.append(listener(name, tls(chain, "a.example") if is_tls else chain, port=80 + number))
        virtual_hosts = [virtual_host(host, [f"{host}.example"], route(to)) for host, to in sorted(targets.items())]
        said_now.append(route_configuration(f"r-{name}", *virtual_hosts))
    if is_tls:
        said_now.append(secret("cert", "private"))
    return said(*said_now)


steps = st.lists(
    st.tuples(st.sampled_from(["say", "say", "say", "approve", "restart"]), states, st.integers(1, 100)), max_size=12
)


@settings(max_examples=150)
@given(st.sampled_from([None, TIGHT, GuardLimits()]), steps)
def test_law_1_no_route_ever_names_a_cluster_whose_unit_was_removed(limits, history):
    view, time_ms, last = View(limits), 0, None
    for what, state, pause_ms in history:
        time_ms += pause_ms
        if what == "say":
            last = world(*state)
            view.say(last, time_ms)
        elif what == "approve":
            for held in view.publication.held():
                view.write(view.publication.approve(held.fingerprint, time_ms) or [])
        elif last is not None:
            held = view.publication.held()
            assert view.restart(time_ms) == []
            view.say(last, time_ms)
            if not any(hold.kind is HeldKind.FLAPPING for hold in held):
                kept = {name for hold in held if hold.kind is HeldKind.REMOVALS for name in hold.names}
                assert kept <= view.units.keys(), "a restart published a held removal"


@settings(max_examples=150)
@given(st.lists(st.tuples(states, st.integers(1, 100)), min_size=1, max_size=10))
def test_after_all_approvals_the_log_holds_what_the_source_says(history):
    guarded, fresh, time_ms = View(TIGHT), View(None), 0
    for state, pause_ms in history:
        time_ms += pause_ms
        guarded.say(world(*state), time_ms)
    time_ms += 60_000
    guarded.write(guarded.publication.release(time_ms))
    while held := guarded.publication.held():
        guarded.write(guarded.publication.approve(held[0].fingerprint, time_ms))
    fresh.say(world(*history[-1][0]))
    assert {key: unit.content() for key, unit in guarded.units.items()} == {
        key: unit.content() for key, unit in fresh.units.items()
    }


def clusters(*numbers: int) -> list:
    return [cluster(f"c{number}") for number in numbers]


def full(count: int = 40) -> View:
    view = View(GuardLimits())
    view.say(said(*clusters(*range(count))))
    return view


def test_few_removals_pass():
    view = full()
    assert len(view.say(said(*clusters(*range(9, 40))))) == 9
    assert view.publication.held() == ()


def test_a_large_share_below_the_minimum_passes():
    view = full(12)
    assert len(view.say(said(*clusters(0, 1, 2)))) == 9


def test_above_share_and_minimum_nothing_goes_and_additions_pass():
    view = full()
    assert view.say(said(*clusters(*range(20), 99))) == ["cluster/c99"]
    [held] = view.publication.held()
    assert (held.kind, held.count, held.published_count) == (HeldKind.REMOVALS, 20, 40)
    assert held.reason == "20 of 40; limit 30%, at least 10, within 60 s"


def test_removals_within_the_window_count_together_and_later_ones_do_not():
    view = full()
    assert len(view.say(said(*clusters(*range(9, 40))), 0)) == 9
    assert view.say(said(*clusters(*range(16, 40))), 59_999) == []
    later = full()
    later.say(said(*clusters(*range(9, 40))), 0)
    assert len(later.say(said(*clusters(*range(16, 40))), 60_000)) == 7


def test_what_comes_back_leaves_the_hold_and_a_small_rest_goes():
    view = full()
    view.say(said(*clusters(*range(20))), 0)
    first = view.publication.held()[0]
    assert view.say(said(*clusters(*range(25))), 1) == []
    [held] = view.publication.held()
    assert (held.count, held.since_ms) == (15, 0)
    assert held.fingerprint != first.fingerprint
    assert view.publication.approve(first.fingerprint, 2) is None
    assert view.say(said(*clusters(*range(35))), 3) == [f"cluster/c{number}" for number in range(39, 34, -1)]
    assert view.publication.held() == ()


def test_time_alone_releases_nothing():
    view = full()
    view.say(said(*clusters(*range(9, 40))), 0)
    view.say(said(*clusters(*range(16, 40))), 1)
    assert view.say(said(*clusters(*range(16, 40), 50)), 1_000_000) == ["cluster/c50"]
    assert view.publication.held()[0].count == 7


def eds(populated: range, count: int = 20, **fields) -> Changes:
    known = [cluster(f"c{n}", **EDS, **fields) for n in range(count)]
    return said(*known, *(endpoints(f"c{n}", "10.0.0.1") for n in populated))


def test_emptied_clusters_keep_their_endpoints_and_take_other_changes():
    view = View(GuardLimits())
    view.say(eds(range(20)))
    assert view.say(eds(range(5))) == []
    [held] = view.publication.held()
    assert (held.kind, held.count, held.names[0]) == (HeldKind.ENDPOINTS, 15, "c10")
    assert len(view.say(eds(range(5), alt_stat_name="x"))) == 20
    for number in range(20):
        assert any(r.type_url == xds.CLUSTER_LOAD_ASSIGNMENT for r in view.units[f"cluster/c{number}"].resources)
    assert view.say(eds(range(20), alt_stat_name="x")) == []
    assert view.publication.held() == ()
    view.say(eds(range(5), alt_stat_name="x"), 20_000)
    [held] = view.publication.held()
    assert len(view.write(view.publication.approve(held.fingerprint, 1))) == 15


@pytest.mark.parametrize("status", ["UNHEALTHY", "DRAINING", "TIMEOUT"])
def test_endpoints_that_get_no_traffic_are_no_endpoints(status):
    view = View(GuardLimits())
    view.say(eds(range(20)))
    sick = [endpoints(f"c{n}", "10.0.0.1", health_status=status) for n in range(20)]
    assert view.say(said(*(cluster(f"c{n}", **EDS) for n in range(20)), *sick)) == []
    assert view.publication.held()[0].count == 20


def test_a_cluster_that_no_longer_has_endpoints_of_its_own_is_not_emptied():
    view = View(TIGHT)
    view.say(eds(range(4), 4))
    original = [cluster(f"c{n}", type="ORIGINAL_DST", lb_policy="CLUSTER_PROVIDED") for n in range(4)]
    assert len(view.say(said(*original))) == 4


def test_routes_keep_clusters_whose_removal_is_held():
    """The source dropped clusters that its routes still name: the routes in the log go on as they are."""
    hosts_of_all = [virtual_host(f"h{n}", [f"{n}.example"], route(f"c{n}")) for n in range(12)]
    routes = (listener("l", rds("r") | {"name": "c"}), route_configuration("r", *hosts_of_all))
    view = View(GuardLimits())
    view.say(said(*routes, *clusters(*range(12))))
    assert view.say(said(*routes)) == []
    [held] = view.publication.held()
    written = view.write(view.publication.approve(held.fingerprint, 1))
    assert len(written) == 24
    assert written[0].startswith("http/")


def test_what_the_view_says_for_all_routes_stays_while_routes_are_held():
    """A global rule of a listener, such as its access log, goes on with the routes that it is for."""
    hosts = [virtual_host(f"h{n}", [f"{n}.example"], route("c")) for n in range(12)]
    routes = (listener("l", rds("r") | {"name": "c"}), route_configuration("r", *hosts))
    view = View(GuardLimits())
    assert "view" in view.say(said(*routes, cluster("c")))
    assert view.say(said()) == []
    assert view.say(said(*routes, cluster("c"))) == []
    view.say(said(), 60_000)
    [held] = view.publication.held()
    assert "view" in view.write(view.publication.approve(held.fingerprint, 60_001))
