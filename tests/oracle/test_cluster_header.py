"""Clusters that the request names, in the real Envoy and in the translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path

MUTATIONS = {"response_headers_to_add": [{"header": {"key": "x-new", "value": "v"}}]}
ROUTES = [
    {"name": "a", "match": {"prefix": "/a"}, "route": {"cluster_header": "x-cluster"}},
    {
        "name": "b",
        "match": {"prefix": "/b"},
        "route": {"cluster_header": "X-Cluster", "cluster_not_found_response_code": "NOT_FOUND"},
        **MUTATIONS,
    },
    {"name": "c", "match": {"prefix": "/c"}, "route": {"cluster_header": ":authority", "prefix_rewrite": "/d"}},
    {
        "name": "e",
        "match": {"prefix": "/e"},
        "route": {
            "weighted_clusters": {
                "clusters": [
                    {"name": "one", "weight": 0},
                    {"cluster_header": "x-cluster", "weight": 1, "host_rewrite_literal": "h.com", **MUTATIONS},
                ]
            }
        },
    },
    {
        "name": "f",
        "match": {"prefix": "/f"},
        "route": {"cluster": "nobody", "cluster_not_found_response_code": "NOT_FOUND"},
        **MUTATIONS,
    },
]
ROUTING: dict[str, Any] = {
    "route_config": {
        "name": "r",
        "validate_clusters": False,
        "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": ROUTES}],
    }
}
NAMES: tuple[str | None, ...] = (None, "", "one", "two", "ONE", "nobody", "one,two")


@pytest.mark.parametrize("path", ["/a", "/b?q", "/e", "/f"])
async def test_the_header_names_the_cluster(path: str, tmp_path: Path):
    async with both(ROUTING, ("one", "two"), tmp_path) as side:
        found = [
            (await side.assert_alike(path, **({} if name is None else {"x_cluster": name}))).cluster for name in NAMES
        ]
        assert found == ([""] * 7 if path == "/f" else ["", "", "one", "two", "", "", ""])


async def test_the_host_names_the_cluster(tmp_path: Path):
    async with both(ROUTING, ("one", "two"), tmp_path) as side:
        assert [(await side.assert_alike("/c", host=host)).cluster for host in ("one", "two", "x")] == [
            "one",
            "two",
            "",
        ]
