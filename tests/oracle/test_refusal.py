"""What a connection manager answers by itself: no route's mutations are in it, those of filters are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.http_filter.kind import PACKAGE
from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path

ROUTING = {
    "path_with_escaped_slashes_action": "REJECT_REQUEST",
    "normalize_path": True,
    "route_config": {
        "name": "r",
        "response_headers_to_add": [{"header": {"key": "x-level", "value": "1"}}],
        "virtual_hosts": [
            {"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}
        ],
    },
}


async def test_the_mutations_of_routes_do_not_touch_a_refusal(tmp_path: Path):
    async with both(ROUTING, ["c"], tmp_path) as sides:
        refused = await sides.assert_alike("/%2F")
        assert (refused.status, refused.response_headers) == (400, {})
        assert (await sides.assert_alike("/a")).response_headers["x-level"] == "1"


def _filter(name: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{PACKAGE}{name}", **config}}


ADDED = {"append": {"header": {"key": "x-filter", "value": "1"}}}
MUTATION = _filter("header_mutation.v3.HeaderMutation", mutations={"response_mutations": [ADDED]})
DENIED = {"permissions": [{"url_path": {"path": {"prefix": "/denied"}}}], "principals": [{"any": True}]}
RBAC = _filter("rbac.v3.RBAC", rules={"action": "DENY", "policies": {"p": DENIED}})
ROUTER = _filter("router.v3.Router", suppress_envoy_headers=True)
ROUTES = [
    {"match": {"path": "/direct"}, "direct_response": {"status": 418}},
    {"match": {"path": "/redirect"}, "redirect": {"path_redirect": "/a"}},
    {"match": {"prefix": "/a"}, "route": {"cluster": "c"}},
    {"match": {"prefix": "/denied"}, "route": {"cluster": "c"}},
]
SECURE = {"name": "s", "domains": ["tls.com"], "require_tls": "ALL", "routes": ROUTES}
ANSWERED = (
    ("/a", "a.com", 200), ("/%2F", "a.com", 400), ("/none", "a.com", 404), ("/a", "unknown.com", 404),
    ("/direct", "a.com", 418), ("/redirect", "a.com", 301), ("/denied", "a.com", 403), ("/a", "tls.com", 301),
)  # fmt: skip


@pytest.mark.parametrize("filters", [(MUTATION, RBAC), (RBAC, MUTATION)])
async def test_the_mutations_of_filters_touch_every_answer(filters: tuple[dict[str, Any], ...], tmp_path: Path):
    """An answer goes through all filters on its way back, wherever it comes from."""
    hosts = [{"name": "v", "domains": ["a.com"], "routes": ROUTES}, SECURE]
    route_config = {"name": "r", "virtual_hosts": hosts}
    routing = {**ROUTING, "merge_slashes": True, "http_filters": [*filters, ROUTER], "route_config": route_config}
    async with both(routing, ["c"], tmp_path) as sides:
        for target, host, status in ANSWERED:
            theirs, ours = await sides.ask(target, host)
            assert (theirs.status, theirs.response_headers.get("x-filter")) == (status, "1"), target
            assert (ours.status, dict(ours.headers).get("x-filter")) == (status, "1"), target
