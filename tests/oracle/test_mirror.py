"""Copies of requests: what the real Envoy sends to a shadow cluster is what APISIX sends there.

Policies of the cluster win over those of the route, unlike in mapping.md section 6.1.4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.single_listener import Both, both

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ROUTES = [
    {"match": {"prefix": "/plain"}, "route": {"cluster": "main", "request_mirror_policies": [{"cluster": "shadow"}]}},
    {
        "match": {"prefix": "/changed"},
        "route": {"cluster": "main", "prefix_rewrite": "/new", "request_mirror_policies": [{"cluster": "shadow"}]},
        "request_headers_to_add": [{"header": {"key": "x-new", "value": "v"}}],
    },
    {
        "match": {"prefix": "/never"},
        "route": {
            "cluster": "main",
            "request_mirror_policies": [{"cluster": "shadow", "runtime_fraction": {"default_value": {}}}],
        },
    },
    {"match": {"prefix": "/inherited"}, "route": {"cluster": "main"}},
    {
        "match": {"prefix": "/own"},
        "route": {"cluster": "mirroring", "request_mirror_policies": [{"cluster": "shadow"}]},
    },
    {"match": {"prefix": "/by-cluster"}, "route": {"cluster": "mirroring"}},
]
MIRRORING = {
    "typed_extension_protocol_options": {
        OPTIONS: {
            "@type": f"type.googleapis.com/{OPTIONS}",
            "explicit_http_config": {"http_protocol_options": {}},
            "request_mirror_policies": [{"cluster": "third"}],
        }
    }
}


def routing(**host: Any) -> dict[str, Any]:
    return {"route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": ROUTES, **host}]}}


async def copies(side: Both, *targets: str) -> tuple[dict[str, tuple[str, str, str]], str, tuple[str, str, str]]:
    """Ask both, and wait for a copy; give Envoy's copies by cluster, where the model sends the last, and what it is."""
    for target in targets:
        _, answer = await side.ask(target, x_h="1")
    sent = ("GET", answer.target, dict(answer.request_headers).get("x-new", ""))
    names = {f"http://127.0.0.1:{port}": name for name, port in side.upstreams.ports.items()}
    waiting = {asyncio.create_task(side.upstreams.seen[name].get()): name for name in ("shadow", "third")}
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    found: dict[str, tuple[str, str, str]] = {}
    for task in done:
        headers = dict(task.result()["headers"])
        assert headers["host"] == "a.com-shadow"
        found[waiting[task]] = (task.result()["method"], task.result()["target"], headers.get("x-new", ""))
    return found, names[answer.mirror], sent


@pytest.mark.parametrize("target", ["/plain?q=1", "/plain/a%2Fb//c", "/changed/x?q", "/own", "/by-cluster"])
async def test_a_copy_is_what_was_sent_on(target: str, tmp_path: Path):
    async with both(routing(), ("main", "mirroring", "shadow", "third"), tmp_path, mirroring=MIRRORING) as side:
        by_envoy, mirror, sent = await copies(side, target)
        assert by_envoy == {mirror: sent}


async def test_no_copy_of_a_share_of_nothing(tmp_path: Path):
    async with both(routing(), ("main", "mirroring", "shadow", "third"), tmp_path, mirroring=MIRRORING) as side:
        by_envoy, mirror, sent = await copies(side, "/never", "/plain")
        assert by_envoy == {mirror: sent}
        _, answer = await side.ask("/never")
        assert answer.mirror == ""


async def test_the_virtual_host_mirrors_where_the_route_does_not(tmp_path: Path):
    host = {"request_mirror_policies": [{"cluster": "third"}]}
    async with both(routing(**host), ("main", "mirroring", "shadow", "third"), tmp_path, mirroring=MIRRORING) as side:
        for target in ("/inherited", "/plain"):
            by_envoy, mirror, sent = await copies(side, target)
            assert by_envoy == {mirror: sent}
