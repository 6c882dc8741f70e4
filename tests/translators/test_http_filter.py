"""Which filters run on a route, with which configuration."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import AT, FILTERS, ROUTE, context, http_filter, message, packed
from translators.http_filter import EffectiveFilter, effective_filters, read_any

WEIGHTED = "envoy.config.route.v3.WeightedCluster.ClusterWeight"
CORS = ".cors.v3.CorsPolicy"


def wrapped(config: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    inner = {} if config is None else {"config": config}
    return packed("envoy.config.route.v3.FilterConfig", {**inner, **fields})


def running(
    filters: list[dict[str, Any]],
    route: dict[str, Any] | None = None,
    weighted: dict[str, Any] | None = None,
    **levels: dict[str, Any],
) -> list[EffectiveFilter]:
    """Give what runs; each level is given by what it says about the filter `guard`."""
    around = context(
        filters=filters,
        **{name: {"typed_per_filter_config": {"guard": said}} for name, said in levels.items()},
    )
    own = {"typed_per_filter_config": {"guard": route}} if route is not None else {}
    entry = message(WEIGHTED, {"name": "v1", "typed_per_filter_config": {"guard": weighted}}) if weighted else None
    return list(effective_filters(around, message(ROUTE, own), entry, AT))


def test_filters_run_in_order():
    filters = [{**http_filter(".router.v3.Router"), "name": name} for name in ("b", "a")]
    assert [one.name for one in running(filters)] == ["b", "a"]


@pytest.mark.parametrize(
    ("is_disabled", "levels", "is_running"),
    [
        (True, {}, False),
        (True, {"route": wrapped()}, True),
        (True, {"route": wrapped({})}, True),
        (True, {"route": packed(CORS)}, True),
        (True, {"route_config": wrapped({})}, True),
        (True, {"route": wrapped(disabled=True), "virtual_host": wrapped({})}, False),
        (False, {"route": wrapped(disabled=True)}, False),
        (False, {"virtual_host": wrapped(disabled=True)}, False),
        (False, {"virtual_host": wrapped(disabled=True), "route": packed(CORS)}, True),
        (False, {"route": wrapped(disabled=True), "weighted": wrapped({})}, True),
    ],
)
def test_the_most_specific_level_switches(is_disabled: bool, levels: dict[str, Any], is_running: bool):  # noqa: FBT001 - a table
    filters = [http_filter(".cors.v3.Cors", disabled=is_disabled)]
    assert bool(running(filters, **levels)) is is_running


def test_the_most_specific_configuration_is_the_override():
    policy = {"max_age": "1"}
    found = running(
        [http_filter(".cors.v3.Cors")],
        route_config=packed(CORS, {"max_age": "3"}),
        virtual_host=packed(CORS, {"max_age": "2"}),
        route=wrapped(packed(CORS, policy)),
    )
    assert [one.config.max_age for one in found[0].overrides] == ["3", "2", "1"]
    assert found[0].override.max_age == "1"


def test_a_level_that_only_enables_keeps_the_configuration_below_it():
    found = running([http_filter(".cors.v3.Cors")], route_config=packed(CORS, {"max_age": "3"}), route=wrapped())
    assert found[0].override.max_age == "3"


def test_a_filter_is_placed_where_it_is_switched_on():
    filters = [http_filter(".cors.v3.Cors")]
    own = running(filters, route=packed(CORS))[0].at
    assert own.path == "virtual_hosts[shop].routes[0].typed_per_filter_config[guard]"
    listed = running(filters, virtual_host=packed(CORS))[0].at
    assert (listed.name, listed.path) == ("web", "filter_chains[main].http_connection_manager.http_filters[guard]")


def test_filters_of_one_name_are_told_apart():
    filters = [http_filter(".cors.v3.Cors"), http_filter(".cors.v3.Cors")]
    assert [one.at.path.rpartition(".")[2] for one in running(filters)] == ["http_filters[0]", "http_filters[1]"]


def test_nothing_overrides_where_no_route_matched():
    around = context(
        filters=[http_filter(".cors.v3.Cors")],
        route_config={"typed_per_filter_config": {"guard": wrapped(disabled=True)}},
    )
    assert len(list(effective_filters(around, None, None, AT))) == 1


@pytest.mark.parametrize(
    ("name", "type_name"),
    [
        ("envoy.filters.http.router", f"{FILTERS}.router.v3.Router"),
        ("envoy.filters.http.cors", f"{FILTERS}.cors.v3.Cors"),
        ("envoy.filters.http.grpc_http1_bridge", f"{FILTERS}.grpc_http1_bridge.v3.Config"),
        ("envoy.cors", f"{FILTERS}.cors.v3.Cors"),
        ("envoy.filters.http.no_such", ""),
        ("custom", ""),
    ],
)
def test_a_filter_without_configuration_is_known_by_its_name(name: str, type_name: str):
    assert [one.type_name for one in running([{"name": name}])] == [type_name]


def test_a_typed_struct_is_what_it_names():
    struct = message("xds.type.v3.TypedStruct", {"type_url": "type.googleapis.com/stats.PluginConfig", "value": {}})
    assert read_any("x/xds.type.v3.TypedStruct", struct.SerializeToString()) == ("stats.PluginConfig", None)
    known = {"type_url": f"x/{FILTERS}.lua.v3.Lua", "value": {"inline_code": "x"}}
    struct = message("udpa.type.v1.TypedStruct", known)
    type_name, config = read_any("x/udpa.type.v1.TypedStruct", struct.SerializeToString())
    assert (type_name, config.inline_code) == (f"{FILTERS}.lua.v3.Lua", "x")
    struct = message("udpa.type.v1.TypedStruct", {**known, "value": {"no_such": 1}})
    assert read_any("x/udpa.type.v1.TypedStruct", struct.SerializeToString()) == (f"{FILTERS}.lua.v3.Lua", None)


def test_what_cannot_be_read_keeps_its_name():
    assert read_any("", b"") == ("", None)
    assert read_any("x/example.Unknown", b"") == ("example.Unknown", None)
    assert read_any(f"x/{FILTERS}.lua.v3.Lua", b"\xff") == (f"{FILTERS}.lua.v3.Lua", None)


def test_configuration_by_discovery():
    source = {"config_source": {"ads": {}}, "type_urls": [f"x/{FILTERS}.rbac.v3.RBAC"]}
    (pending,) = running([{"name": "guard", "config_discovery": source}])
    assert (pending.is_pending, pending.type_name) == (True, "")
    source["default_config"] = packed(".lua.v3.Lua")
    (found,) = running([{"name": "guard", "config_discovery": source}])
    assert (found.is_pending, found.type_name) == (False, f"{FILTERS}.lua.v3.Lua")
