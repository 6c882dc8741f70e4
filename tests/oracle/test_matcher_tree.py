"""Virtual hosts with a matcher tree instead of a list of routes, in the real Envoy and in the translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.single_listener import both

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "type.googleapis.com/envoy."


def route(cluster: str, prefix: str = "/") -> dict[str, Any]:
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster}}


def leaf(*routes: dict[str, Any]) -> dict[str, Any]:
    """An OnMatch with one Route, or with a list of them."""
    config = {"@type": f"{PACKAGE}config.route.v3.Route", **routes[0]}
    if len(routes) > 1:
        config = {"@type": f"{PACKAGE}config.route.v3.RouteList", "routes": list(routes)}
    return {"action": {"name": "route", "typed_config": config}}


def header(name: str) -> dict[str, Any]:
    config = {"@type": f"{PACKAGE}type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": name}
    return {"name": "header", "typed_config": config}


def is_(name: str, **value: Any) -> dict[str, Any]:
    return {"single_predicate": {"input": header(name), "value_match": value}}


def listed(*pairs: tuple[dict[str, Any], dict[str, Any]], **otherwise: Any) -> dict[str, Any]:
    matchers = [{"predicate": predicate, "on_match": on_match} for predicate, on_match in pairs]
    return {"matcher_list": {"matchers": matchers}, **otherwise}


def tree(name: str, kind: str, otherwise: dict[str, Any] | None = None, **entries: Any) -> dict[str, Any]:
    built: dict[str, Any] = {"matcher_tree": {"input": header(name), f"{kind}_match_map": {"map": entries}}}
    return {**built, "on_no_match": otherwise} if otherwise else built


TREES: dict[str, dict[str, Any]] = {
    "list": listed(
        (is_("x-h", exact="a"), leaf(route("one", "/a"), route("two", "/b"))),
        ({"not_matcher": is_("x-h", prefix="q")}, leaf(route("two"))),
        on_no_match=leaf(route("three")),
    ),
    "logic": listed(
        ({"and_matcher": {"predicate": [is_("x-h", contains="a"), is_("x-o", suffix="z")]}}, leaf(route("one"))),
        (
            {"or_matcher": {"predicate": [is_("x-h", exact="A", ignore_case=True), is_("x-o", exact="")]}},
            leaf(route("two")),
        ),
        (is_(":path", safe_regex={"regex": "/re.*", "google_re2": {}}), leaf(route("three"))),
    ),
    "exact": tree("x-h", "exact", leaf(route("three", "/a")), a=leaf(route("one", "/a")), q=leaf(route("two"))),
    "prefix": tree(
        ":path", "prefix", leaf(route("three")), **{"/a": leaf(route("one")), "/a/b": leaf(route("two", "/a/b/c"))}
    ),
    "nested": listed(
        (is_("x-o", exact="z"), {"matcher": tree("x-h", "exact", a=leaf(route("one")))}),
        (is_("x-h", prefix="a"), leaf(route("two"))),
    ),
    "nested prefix": tree(
        "x-h",
        "prefix",
        leaf(route("three")),
        a=leaf(route("one")),
        ab={"matcher": listed((is_("x-o", exact="z"), leaf(route("two"))))},
    ),
    "nested exact": tree(
        "x-h", "exact", leaf(route("three")), a={"matcher": listed((is_("x-o", exact="z"), leaf(route("two"))))}
    ),
}


@pytest.mark.parametrize("name", TREES)
async def test_a_tree_leads_to_the_same_route(name: str, tmp_path: Path):
    host = {"name": "v", "domains": ["*"], "matcher": TREES[name]}
    routing = {"route_config": {"name": "r", "virtual_hosts": [host]}}
    async with both(routing, ("one", "two", "three"), tmp_path) as side:
        assert not side.translation.diagnostics
        seen = set()
        for target in ("/", "/a", "/b", "/a/b/c", "/a/b/x", "/a/x", "/re", "/c"):
            for x_h in (None, "", "a", "ab", "A", "q", "abc"):
                for x_o in (None, "", "z", "az"):
                    headers = {key: value for key, value in (("x_h", x_h), ("x_o", x_o)) if value is not None}
                    seen.add((await side.assert_alike(target, **headers)).cluster)
        assert len(seen) > 1
