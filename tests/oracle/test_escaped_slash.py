"""What the real Envoy does with escaped slashes, beside the model of APISIX on what was translated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.apisix_model import WireRequest
from tests.oracle.envoy_process import Client, envoy, held_ports, upstreams
from tests.oracle.fidelity import translated
from tests.oracle.generate import HCM, ROUTER, Scene
from tests.oracle.observation import Seen, seen_of_envoy, seen_of_model

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = ("/a/b", "/a%2Fb", "/a%2fb?c=%2F", "/a%2F%2Fb/../c", "/a?b=%5C", "/a%252Fb", "/x%20y%2Fz")


def _listener(port: int, action: str) -> dict[str, Any]:
    hosts = [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c0"}}]}]
    hcm = {
        "@type": HCM,
        "stat_prefix": "x",
        "generate_request_id": False,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": action,
        "route_config": {"name": "r", "virtual_hosts": hosts},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True}}
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": "l", "address": address, "filter_chains": [{"name": "main", "filters": filters}]}


async def _both(action: str, target: str, directory: Path) -> tuple[Seen, Seen]:
    with held_ports(1) as (port,):
        request = WireRequest("GET", target, "a.example", port=port)
        scene = Scene(4, 0, [_listener(port, action)], [request])
        async with upstreams(["c0"]) as running:
            clusters = running.clusters()
            names = {number: name for name, number in running.ports.items()}
            async with envoy({"listeners": scene.listeners, "clusters": clusters}, directory):
                client = Client(port)
                theirs = seen_of_envoy(await client.ask("GET", target, [("host", "a.example")]))
                client.close()
            (answer,) = translated(scene, clusters).answers(request)
        return theirs, seen_of_model(answer, request, names)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("action", ["REJECT_REQUEST", "UNESCAPE_AND_REDIRECT"])
async def test_status_and_location_are_envoys(action: str, target: str, tmp_path: Path):
    theirs, ours = await _both(action, target, tmp_path)
    assert (ours.status, ours.location, ours.cluster) == (theirs.status, theirs.location, theirs.cluster)


async def test_slashes_at_the_beginning_are_merged_at_once(tmp_path: Path):
    """A limit: Envoy's `//` would be merged by the next request; to a client it names a host."""
    theirs, ours = await _both("UNESCAPE_AND_REDIRECT", "/%2F", tmp_path)
    assert (theirs.location, ours.location, ours.status) == ("//", "/", theirs.status)


async def test_escaped_backslashes_are_refused_where_envoy_redirects(tmp_path: Path):
    """A limit: nginx would write the backslash escaped again, so the redirect would never end."""
    theirs, ours = await _both("UNESCAPE_AND_REDIRECT", "/a%5Cb", tmp_path)
    assert (theirs.status, theirs.location, ours.status) == (307, "/a/b", 400)
