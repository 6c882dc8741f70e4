"""Clusters of clusters: members behind each other."""

from __future__ import annotations

from typing import Any

from schemas import xds
from schemas.records import Role, UnitKind
from tests.translators.unit_outcome import Outcome, lb_endpoint, locality, outcome, packed, resource

AGGREGATE = "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
TLS = {
    "transport_socket": {
        "name": "tls",
        "typed_config": packed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
    }
}


def aggregate(names: tuple[str, ...], *members: tuple[str, dict[str, Any], list[dict[str, Any]]]) -> Outcome:
    """Translate an aggregate of these names; members as (name, fields of the Cluster, localities)."""
    typed = {"name": "envoy.clusters.aggregate", "typed_config": packed(AGGREGATE, {"clusters": list(names)})}
    resources = [
        resource(Role.SUBJECT, xds.CLUSTER, {"name": "all", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": typed}),
        resource(Role.USE, xds.ROUTE_ACTION, {}, "l7"),
    ]
    for name, fields, localities in members:
        assignment = {"cluster_name": f"of {name}", "endpoints": localities}
        resources.append(resource(Role.REFERENCE, xds.CLUSTER, {"name": name, **fields}))
        resources.append(resource(Role.REFERENCE, xds.CLUSTER_LOAD_ASSIGNMENT, assignment, name))
    return outcome(UnitKind.CLUSTER, resources)


def nodes(found: Outcome) -> list[tuple[str, int]]:
    return [(node["host"], node["priority"]) for node in found.value["nodes"]]


def at(*addresses: str, **fields: Any) -> dict[str, Any]:
    return locality(*map(lb_endpoint, addresses), **fields)


def test_members_stand_behind_each_other_with_their_own_priorities():
    found = aggregate(("b", "a"), ("b", {}, [at("10.0.0.2"), at("10.0.0.3", priority=1)]), ("a", {}, [at("10.0.0.1")]))
    assert nodes(found) == [("10.0.0.2", 0), ("10.0.0.3", -1), ("10.0.0.1", -1000)]
    assert found.value["labels"]["xds.cluster"] == "all"
    assert found.codes == []


def test_the_first_member_with_endpoints_says_how_all_are_spoken_to():
    policy = {"lb_policy": "LEAST_REQUEST", "connect_timeout": "1s"}
    found = aggregate(("a", "b", "c"), ("a", {}, []), ("b", policy, [at("10.0.0.2")]), ("c", TLS, [at("10.0.0.3")]))
    assert nodes(found) == [("10.0.0.2", -1000)]
    assert (found.value["type"], found.value["timeout"]["connect"], found.value["scheme"]) == ("least_conn", 1, "http")
    assert found.codes == ["CL-TLS-MIXED", "EP-PENDING"]


def test_members_that_are_not_known_are_told():
    found = aggregate(("a", "gone"), ("a", {}, [at("10.0.0.1")]))
    assert (nodes(found), found.codes) == ([("10.0.0.1", 0)], ["RA-CLUSTER-UNKNOWN"])
    assert aggregate(("gone",)).value["nodes"] == []


def test_members_of_members_count_and_the_aggregates_between_do_not():
    inner = {"cluster_type": {"name": "a", "typed_config": packed(AGGREGATE, {"clusters": ["a"]})}}
    found = aggregate(("inner",), ("inner", inner, []), ("a", {}, [at("10.0.0.1")]))
    assert (nodes(found), found.codes) == ([("10.0.0.1", 0)], [])


def test_endpoints_are_not_chosen_by_hash():
    found = aggregate(("a",), ("a", {"lb_policy": "MAGLEV"}, [at("10.0.0.1")]))
    assert (found.value["type"], found.codes) == ("roundrobin", ["CL-FEATURE"])
