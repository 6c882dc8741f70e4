"""Whole units: the router finds what Envoy finds, and what cannot be expressed fails closed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from time import process_time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import xds
from schemas.records import Bundle, Unit, UnitKind
from tests.oracle.envoy import find_route
from tests.oracle.router import Router
from tests.translators.traffic import calls, request_of, route_configs
from tests.translators.unit_builder import http_unit, message, units_of
from translators import translate
from translators.policy import Action, Policy

LOOSE = {"ignore_port_in_host_matching": True}
MAX_SECONDS = 3.0


def routes_of(*bundles: Bundle) -> dict[str, dict[str, Any]]:
    return {
        found.key.removeprefix("/routes/"): orjson.loads(found.value)
        for bundle in bundles
        for found in bundle.objects
        if found.key.startswith("/routes/")
    }


def codes_of(bundle: Bundle) -> list[str]:
    return sorted({diagnostic.code for diagnostic in bundle.diagnostics} - {"RA-CLUSTER-UNKNOWN"})


def title_of(route: dict[str, Any]) -> str | None:
    """Give the name of the Envoy route a route was made of; None for closing answers."""
    parts = route["name"].partition("#")[0].split("/")
    return parts[2] if len(parts) > 2 else None


def virtual_host(
    *matches: dict[str, Any], domains: tuple[str, ...] = ("example.com",), **fields: Any
) -> dict[str, Any]:
    routes = [{"match": match, "route": {"cluster": "backend"}} for match in matches]
    return {"name": "shop", "domains": list(domains), "routes": routes, **fields}


@settings(max_examples=150)
@given(st.data())
def test_the_router_finds_what_envoy_finds(data: st.DataObject):
    """Random domains, paths and conditions, all units of a scope together, nodes that insert in any order."""
    config = data.draw(route_configs())
    routes = routes_of(*(translate(unit) for unit in units_of(config, clusters=("c",))))
    order = list(routes)
    random.Random(data.draw(st.integers(0, 99))).shuffle(order)
    router = Router({route_id: routes[route_id] for route_id in order})
    built = message(xds.ROUTE_CONFIGURATION, {"name": "routes", **config})
    for _ in range(10):
        call = data.draw(calls(config))
        wanted, found = find_route(built, call), router.find(request_of(call))
        assert found is not None, "every scope ends with an answer"
        assert title_of(routes[found]) == (wanted.name if wanted is not None else None), call


def test_ids_and_bytes_do_not_depend_on_order_or_hash_seed():
    script = (
        "from tests.translators.unit_builder import http_unit\n"
        "from translators import translate\n"
        "hosts = [f'h{n}.com:{80 + n % 3}' for n in range(9)] + ['*.a.com', '*.b.com']\n"
        "routes = [{'match': {'prefix': f'/{n % 4}', 'headers': [{'name': 'a', 'exact_match': str(n)}]},"
        " 'route': {'cluster': 'c'}} for n in range(12)]\n"
        "for found in translate(http_unit([{'name': 'v', 'domains': hosts, 'routes': routes}])).objects:\n"
        "    print(found)\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "42")
    }
    assert len(outputs) == 1
    assert "/routes/" in outputs.pop()


def test_inserting_a_route_renames_no_other_and_changes_only_what_it_overlaps():
    old = [{"prefix": "/a"}, {"prefix": "/b", "headers": [{"name": "h"}]}, {"prefix": "/b"}]
    before = routes_of(translate(http_unit([virtual_host(*old)], clusters=("backend",))))
    after = routes_of(translate(http_unit([virtual_host({"path": "/c"}, *old)], clusters=("backend",))))
    assert len(after) == len(before) + 1
    assert {route_id: after[route_id] for route_id in before} == before


def test_routes_are_known_by_unique_names_or_by_their_match():
    named = {"name": "one", "match": {"prefix": "/x"}, "route": {"cluster": "backend"}}
    twins = [{"name": "twin", "match": {"prefix": f"/{n}"}, "route": {"cluster": "backend"}} for n in (1, 2)]
    same = [{"match": {"prefix": "/s", "headers": [{"name": "h"}]}, "route": {"cluster": "backend"}}] * 2
    unit = http_unit([{"name": "v", "domains": ["a.com"], "routes": [named, *twins, *same]}], clusters=("backend",))
    found = routes_of(translate(unit))
    assert len(found) == 6
    assert all(len(route_id) <= 64 for route_id in found)
    moved = http_unit(
        [{"name": "v", "domains": ["a.com"], "routes": [*same, *twins, {**named, "match": {"prefix": "/y"}}]}],
        clusters=("backend",),
    )
    assert found.keys() == routes_of(translate(moved)).keys()


def test_equal_virtual_host_names_do_not_clash():
    one = http_unit([virtual_host({"prefix": "/"}, domains=("a.com",))])
    two = http_unit([virtual_host({"prefix": "/"}, domains=("b.com",))])
    renamed = Unit(UnitKind.HTTP, two.key + "~2", {**two.params, "virtual_host": "shop~2"}, two.resources)
    assert not routes_of(translate(one)).keys() & routes_of(translate(renamed)).keys()


@pytest.mark.parametrize(
    "action",
    [{"direct_response": {"status": 403}}, {"direct_response": {"status": 200}}, {"route": {"cluster": "backend"}}],
)
def test_only_a_denial_may_match_more_than_it_should(action: dict[str, Any]):
    match = {"prefix": "/a", "headers": [{"name": "a.b", "exact_match": "x"}]}
    unit = http_unit(
        [{"name": "v", "domains": ["a.com"], "routes": [{"match": match, **action}]}], clusters=("backend",)
    )
    bundle = translate(unit)
    kept = [route for route in routes_of(bundle).values() if route["uris"] == ["/a*"]]
    assert codes_of(bundle) == ["RT-HEADER"]
    assert len(kept) == (action.get("direct_response") == {"status": 403})


def test_the_operator_may_accept_a_condition_less():
    match = {"prefix": "/a", "headers": [{"name": "a.b", "exact_match": "x"}]}
    policy = Policy(overrides={"RT-HEADER": Action.ALLOW})
    bundle = translate(http_unit([virtual_host(match)], clusters=("backend",)), policy)
    assert codes_of(bundle) == []
    assert ["/a*"] in [route["uris"] for route in routes_of(bundle).values()]


def test_a_condition_of_a_newer_api_costs_the_route():
    unit = http_unit([virtual_host({"prefix": "/a"})], clusters=("backend",))
    config = xds.parse(xds.ROUTE_CONFIGURATION, unit.resources[1].body)
    config.virtual_hosts[0].routes[0].match.MergeFromString(b"\xca\x3e\x01x")
    resource = unit.resources[1]
    changed = type(resource)(resource.role, resource.type_url, resource.name, config.SerializeToString())
    bundle = translate(Unit(unit.kind, unit.key, unit.params, (unit.resources[0], changed, *unit.resources[2:])))
    assert [route["uris"] for route in routes_of(bundle).values()] == [["/*"]]
    assert codes_of(bundle) == ["CFG-UNKNOWN-FIELD"]


def test_a_header_that_can_be_forged_is_reported_where_it_denies():
    match = {"prefix": "/", "headers": [{"name": "x-key", "present_match": False}]}
    routes = [{"match": match, "direct_response": {"status": 403}}]
    bundle = translate(http_unit([{"name": "v", "domains": ["a.com"], "routes": routes}]))
    assert [(d.code, d.severity.value) for d in bundle.diagnostics] == [("RT-HEADER", "WARN")]
    assert codes_of(translate(http_unit([virtual_host(match)], clusters=("backend",)))) == []


@pytest.mark.parametrize(
    "unit",
    [
        http_unit([virtual_host()], listener={"name": "l", "filter_chains": [{"name": "c"}]}),
        http_unit([virtual_host()], route_config={"vhost_header": "x-host"}),
        http_unit(
            [virtual_host()],
            listener={
                "name": "l",
                "address": {"socket_address": {"address": "::", "port_value": 80}},
                "filter_chains": [{"name": "c"}],
                "filter_chain_matcher": {},
            },
        ),
        Unit(UnitKind.HTTP, "http/l/c/r/v", {}, ()),
    ],
    ids=["address", "vhost_header", "filter_chain_matcher", "empty"],
)
def test_what_is_not_served_says_so(unit: Unit):
    bundle = translate(unit)
    assert bundle.objects == ()
    assert [diagnostic.severity.value for diagnostic in bundle.diagnostics] == ["ERROR"]


def test_a_virtual_host_of_unreachable_domains_is_nothing():
    bundle = translate(http_unit([virtual_host({"prefix": "/"}, domains=("a.com:80",))], route_config=LOOSE))
    assert bundle.objects == ()
    assert codes_of(bundle) == ["RT-SHADOWED"]


def test_shadowed_routes_and_flat_lists_are_reported():
    assert codes_of(translate(http_unit([virtual_host({"prefix": "/"}, {"prefix": "/a"})]))) == ["RT-SHADOWED"]
    conditional = [{"prefix": "/", "headers": [{"name": f"h{n}"}]} for n in range(9)]
    plain = [{"path": f"/p{n}"} for n in range(9)]
    assert codes_of(translate(http_unit([virtual_host(*conditional, *plain)]))) == ["RT-FLAT"]


def test_plugins_that_routes_share_are_factored_out():
    """Long plugins stand once; routes without an upstream keep theirs, as APISIX wants one of the two."""
    added = [{"header": {"key": f"x-added-{n}", "value": "value " * 4}} for n in range(4)]
    host = virtual_host(*({"prefix": f"/{n}"} for n in range(4)), request_headers_to_add=added)
    bundle = translate(http_unit([host], clusters=("backend",)))
    configs = {found.key: orjson.loads(found.value) for found in bundle.objects if "/plugin_configs/" in found.key}
    ((key, config),) = configs.items()
    users = [route for route in routes_of(bundle).values() if "plugin_config_id" in route]
    assert len(users) == 4
    assert all("plugins" not in route and route["upstream_id"] for route in users)
    assert {route["plugin_config_id"] for route in users} == {key.rpartition("/")[2]} == {config["id"]}
    short = translate(http_unit([virtual_host({"prefix": "/a"}, {"prefix": "/b"})], clusters=("backend",)))
    assert not [found for found in short.objects if "/plugin_configs/" in found.key]


def test_volatile_plugins_stand_beside_their_route():
    shares = [{"name": "a", "weight": 90}, {"name": "b", "weight": 10}]
    route = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": shares}}}
    unit = http_unit([{"name": "v", "domains": ["a.com"], "routes": [route]}], clusters=("a", "b"))
    bundle = translate(unit)
    ((route_id, value),) = routes_of(bundle).items()
    assert value["plugin_config_id"] == f"{route_id}.v"
    (config,) = [orjson.loads(found.value) for found in bundle.objects if found.key == f"/plugin_configs/{route_id}.v"]
    assert config["id"] == f"{route_id}.v"
    assert "traffic-split" in config["plugins"]
    assert "plugins" not in value or "traffic-split" not in value["plugins"]


def test_an_unknown_cluster_brings_the_upstream_without_nodes():
    assert "/upstreams/xds-blackhole" in [
        found.key for found in translate(http_unit([virtual_host({"prefix": "/"})])).objects
    ]


def test_labels_tell_where_a_route_comes_from():
    listener = {
        "name": "in bound",
        "address": {"socket_address": {"address": "::", "port_value": 80}},
        "filter_chains": [{"name": "c"}],
        "traffic_direction": "INBOUND",
    }
    (route, *_) = routes_of(translate(http_unit([virtual_host()], listener=listener))).values()
    assert route["labels"] == {"xds.dir": "inbound", "xds.listener": "in_bound", "xds.rc": "routes", "xds.vh": "shop"}


def test_a_large_virtual_host_is_translated_in_time():
    matches = [
        {"path": f"/svc/{n % 97}/item{n}"} if n % 2 else {"prefix": f"/api/{n}/", "headers": [{"name": "h"}]}
        for n in range(5000)
    ]
    unit = http_unit([virtual_host(*matches)], clusters=("backend",))
    started = process_time()
    bundle = translate(unit)
    assert process_time() - started <= MAX_SECONDS
    assert len(routes_of(bundle)) == 5001
    assert codes_of(bundle) == []
