"""Route configurations that are chosen by the request, in the real Envoy and in the translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path


def config(name: str, cluster: str, **fields: Any) -> dict[str, Any]:
    """A RouteConfiguration: `a.com` with a path of its own, any host under `/any`."""
    here = {"name": "v", "domains": ["a.com"], "routes": [{"match": {"path": "/x"}, "route": {"cluster": cluster}}]}
    everywhere = {
        "name": "w",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/any"}, "route": {"cluster": cluster}}],
    }
    return {"name": name, "virtual_hosts": [here, everywhere], **fields}


def scoped(extractors: list[dict[str, Any]], scopes: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """HttpConnectionManager fields: each scope by its keys routes to the cluster of its name."""
    listed = [
        {
            "name": name,
            "key": {"fragments": [{"string_key": key} for key in keys]},
            "route_configuration": config(f"r-{name}", name),
        }
        for name, keys in scopes.items()
    ]
    return {
        "scoped_routes": {
            "name": "scopes",
            "scope_key_builder": {"fragments": [{"header_value_extractor": one} for one in extractors]},
            "rds_config_source": {"ads": {}},
            "scoped_route_configurations_list": {"scoped_route_configurations": listed},
        }
    }


CASES: list[tuple[list[dict[str, Any]], dict[str, tuple[str, ...]], list[str | None], list[str]]] = [
    (
        [{"name": "X-Scope", "index": 0}],
        {"one": ("a",), "two": ("b",)},
        ["a", "b", "c", "", None, "A", "a,b"],
        ["one", "two", "", "", "", "", ""],
    ),
    (
        [{"name": "x-scope", "element_separator": ",", "index": 1}],
        {"one": ("a.b",), "two": ("",)},
        ["z,a.b", "z,a.b,c", "z,axb", "z,", "z", "a.b,z", "z, a.b", ",a.b", "z,,a.b"],
        ["one", "one", "", "two", "", "", "", "one", "two"],
    ),
    (
        [{"name": "x-scope", "element_separator": ";", "element": {"separator": "=", "key": "k"}}],
        {"one": ("a",), "two": ("b=c",)},
        ["k=a", "j=1;k=a", "k=a;k=b", "k=b=c", "kk=a", "k=ab", "j=k=a", "k;k=a", "k=a;", "", "xk=a;k=a"],
        ["one", "one", "one", "two", "", "", "", "", "one", "", "one"],
    ),
    (
        [{"name": "x-scope", "element_separator": "--", "index": 1}, {"name": "x-other", "index": 0}],
        {"one": ("a", "o")},
        ["z--a", "z--a--b", "z-a", "z-q--a"],
        ["one", "one", "", "one"],
    ),
]


@pytest.mark.parametrize(("extractors", "scopes", "values", "wanted"), CASES)
async def test_the_request_chooses_the_scope(
    extractors: list[dict[str, Any]],
    scopes: dict[str, tuple[str, ...]],
    values: list[str | None],
    wanted: list[str],
    tmp_path: Path,
):
    async with both(scoped(extractors, scopes), ("one", "two"), tmp_path) as side:
        found = []
        for value in values:
            headers = {"x_other": "o", **({} if value is None else {"x_scope": value})}
            found.append((await side.assert_alike("/x", **headers)).cluster)
            for target, host in (("/any", "b.com"), ("/none", "a.com"), ("/none", "b.com")):
                await side.assert_alike(target, host=host, **headers)
        assert found == wanted
