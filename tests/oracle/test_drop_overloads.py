"""Overload: what the real Envoy drops before it asks an upstream, the routes of APISIX drop too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path


def header(name: str) -> list[dict[str, Any]]:
    return [{"header": {"key": name, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def drawn(**entry: Any) -> dict[str, Any]:
    return {"weighted_clusters": {"clusters": [{"name": "main", "weight": 1, **entry}]}}


HOST = {"name": "v", "domains": ["*"], "response_headers_to_add": header("x-host")}
ROUTES = [
    {"match": {"path": "/one"}, "route": {"cluster": "main"}, "response_headers_to_add": header("x-route")},
    {"match": {"path": "/drawn"}, "route": drawn()},
    {"match": {"path": "/apart"}, "route": drawn(response_headers_to_add=header("x-entry"))},
    {"match": {"path": "/named"}, "route": {"cluster_header": "x-cluster"}},
    {"match": {"path": "/elsewhere"}, "route": {"cluster": "other"}},
]
ROUTING = {"route_config": {"name": "r", "virtual_hosts": [{**HOST, "routes": ROUTES}]}}


def overloaded(numerator: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}}
    policy = {"drop_overloads": [{"category": "lb", "drop_percentage": {"numerator": numerator}}]}
    endpoints = [{"lb_endpoints": [endpoint]}]
    return {"load_assignment": {"cluster_name": "main", "endpoints": endpoints, "policy": policy}}


@pytest.mark.parametrize("target", ["/one", "/drawn", "/apart", "/named", "/elsewhere"])
async def test_requests_to_a_cluster_are_dropped(target: str, tmp_path: Path):
    async with both(ROUTING, ("main", "other"), tmp_path, main=overloaded(100)) as side:
        seen = await side.assert_alike(target, x_cluster="main")
        assert seen.status == (200 if target == "/elsewhere" else 503)
