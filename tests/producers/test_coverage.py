"""What a source has not spoken about is not taken away."""

from __future__ import annotations

from producers.coverage import Coverage
from producers.publication import Publication
from producers.source import Changes, ResourceChange
from producers.units import Removal
from schemas import xds
from schemas.records import Unit
from tests.producers.scene import key_of, listener, rds, route, route_configuration, seal, virtual_host

EDS = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}
SEEN = frozenset({xds.CLUSTER, xds.LISTENER, xds.ROUTE_CONFIGURATION})


def eds_cluster(name: str) -> ResourceChange:
    body = xds.from_json({"name": name, **EDS}, xds.message_class(xds.CLUSTER)())
    return ResourceChange(xds.CLUSTER, name, body)


def assignment(name: str, port: int = 80) -> ResourceChange:
    address = {"socket_address": {"address": "10.0.0.1", "port_value": port}}
    data = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    body = xds.from_json(data, xds.message_class(xds.CLUSTER_LOAD_ASSIGNMENT)())
    return ResourceChange(xds.CLUSTER_LOAD_ASSIGNMENT, name, body)


ROUTING = (
    listener("l", rds("r") | {"name": "c"}),
    route_configuration("r", virtual_host("h", ["a"], route("a"))),
)
STATE = (*ROUTING, eds_cluster("a"), assignment("a"), eds_cluster("b"), assignment("b"))


def complete(*changes: ResourceChange, covers: frozenset[str] | None = None) -> Changes:
    return Changes(changes, is_complete=True, source="peer", covers=covers)


def published() -> list[Unit]:
    first = Publication("v", seal, "1")
    first.resume([], 0)
    return [unit for unit in first.apply(complete(*STATE), 1)[0] if isinstance(unit, Unit)]


def restarted() -> Publication:
    publication = Publication("v", seal, "1")
    assert publication.resume(published(), 2) == []
    return publication


def keys(written) -> list[str]:
    return [key_of(unit) for unit in written[0]]


def test_silence_about_endpoints_empties_no_cluster():
    publication = restarted()
    without_endpoints = complete(*ROUTING, eds_cluster("a"), eds_cluster("b"), covers=SEEN)
    assert keys(publication.apply(without_endpoints, 3)) == []


def test_what_was_held_is_written_when_the_source_has_spoken():
    publication = restarted()
    publication.apply(complete(*ROUTING, eds_cluster("a"), eds_cluster("b"), covers=SEEN), 3)
    spoken = complete(assignment("a", 81), covers=frozenset({xds.CLUSTER_LOAD_ASSIGNMENT}))
    assert sorted(keys(publication.apply(spoken, 4))) == ["cluster/a", "cluster/b"]


def test_new_endpoints_of_one_cluster_pass_while_the_rest_is_silent():
    publication = restarted()
    partly = complete(*ROUTING, eds_cluster("a"), eds_cluster("b"), assignment("a", 81), covers=SEEN)
    assert keys(publication.apply(partly, 3)) == ["cluster/a"]


def test_a_cluster_that_is_gone_stays_until_its_endpoints_are_spoken_for_too():
    publication = restarted()
    assert keys(publication.apply(complete(*ROUTING, eds_cluster("a"), assignment("a"), covers=SEEN), 3)) == []
    everything = complete(*ROUTING, eds_cluster("a"), assignment("a"))
    assert keys(publication.apply(everything, 4)) == ["-cluster/b"]


def test_silence_about_routes_removes_no_virtual_host():
    publication = restarted()
    seen = frozenset({xds.CLUSTER, xds.LISTENER, xds.CLUSTER_LOAD_ASSIGNMENT})
    assert keys(publication.apply(complete(*STATE[:1], *STATE[2:], covers=seen), 3)) == ["view"]


def test_reconnecting_to_the_log_holds_back_as_before():
    publication = restarted()
    publication.apply(complete(*ROUTING, eds_cluster("a"), eds_cluster("b"), covers=SEEN), 3)
    assert publication.resume(published(), 4) == []


def test_a_refused_resource_keeps_what_the_log_holds_of_its_type():
    units = published()
    clusters = [Removal(unit.key) for unit in units if unit.key.startswith("cluster/")]
    coverage = Coverage()
    coverage.resume(units)
    coverage.extend(None)
    coverage.refuse(frozenset({xds.CLUSTER}))
    assert coverage.admit(clusters) == []
    coverage.refuse(frozenset())
    assert sorted(coverage.admit([])) == sorted(clusters)
