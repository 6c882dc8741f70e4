"""What a connection manager refuses by itself, it refuses before a route is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
