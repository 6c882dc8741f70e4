"""Headers that only internal clients may send, in the real Envoy and in the translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path

RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def routed(**fields: Any) -> dict[str, Any]:
    """Fields of the HttpConnectionManager: `/` is another cluster's for who says so in the internal header."""
    special = {"name": "x-internal", "string_match": {"exact": "y"}}
    absent = {"name": "x-internal", "present_match": True, "invert_match": True}
    routes = [
        {"match": {"prefix": "/", "headers": [special]}, "route": {"cluster": "two"}},
        {"match": {"prefix": "/without", "headers": [absent]}, "direct_response": {"status": 201}},
        {"match": {"prefix": "/"}, "route": {"cluster": "one"}},
    ]
    hosts = [{"name": "v", "domains": ["*"], "routes": routes}]
    return {"route_config": {"name": "r", "internal_only_headers": ["X-Internal"], "virtual_hosts": hosts}, **fields}


async def test_nobody_chooses_a_route_by_such_a_header(tmp_path: Path):
    async with both(routed(), ("one", "two"), tmp_path) as side:
        assert (await side.assert_alike("/")).cluster == "one"
        seen = await side.assert_alike("/", x_internal="y")
        assert (seen.cluster, seen.request_headers) == ("one", {})
        assert (await side.assert_alike("/without", x_internal="y")).status == 201


async def test_filters_do_not_see_it(tmp_path: Path):
    header = {"header": {"name": "x-internal", "string_match": {"exact": "y"}}}
    policy = {"permissions": [{"any": True}], "principals": [header]}
    allowing = {"@type": RBAC, "rules": {"action": "ALLOW", "policies": {"p": policy}}}
    filters = [
        {"name": "rbac", "typed_config": allowing},
        {"name": "router", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True}},
    ]
    async with both(routed(http_filters=filters), ("one", "two"), tmp_path) as side:
        assert (await side.assert_alike("/")).status == 403
        assert (await side.assert_alike("/", x_internal="y")).status == 403


async def test_virtual_hosts_have_the_rest_of_a_match_in_common(tmp_path: Path):
    route = {"name": "x-other", "string_match": {"exact": "y"}}
    routing = routed()
    first = routing["route_config"]["virtual_hosts"][0]
    second = {**first, "name": "w", "domains": ["b.com"]}
    second["routes"] = [{"match": {"prefix": "/", "headers": [route]}, "route": {"cluster": "two"}}, *first["routes"]]
    routing["route_config"]["virtual_hosts"].append(second)
    async with both(routing, ("one", "two"), tmp_path) as side:
        assert (await side.assert_alike("/", "b.com", x_internal="y")).cluster == "one"
        assert (await side.assert_alike("/", "b.com", x_other="y")).cluster == "two"
        assert (await side.assert_alike("/", x_other="y")).cluster == "one"
