"""Route configurations that are chosen by the request: a unit per scope and virtual host."""

from __future__ import annotations

from typing import Any

from producers.unit_key import name_of
from schemas import xds
from tests.producers.scene import (
    Scene,
    change,
    cluster,
    hcm,
    listener,
    removal,
    route,
    route_configuration,
    virtual_host,
)

BUILDER = {"fragments": [{"header_value_extractor": {"name": "x-scope", "index": 0}}]}
ADS = {"ads": {}}


def scope(name: str, key: str, **routes: Any) -> dict[str, Any]:
    return {"name": name, "key": {"fragments": [{"string_key": key}]}, **routes}


def srds(name: str, key: str, **routes: Any):
    return change(xds.SCOPED_ROUTE_CONFIGURATION, scope(name, key, **routes))


def chain(**source: Any) -> dict[str, Any]:
    fields = {"name": "all", "scope_key_builder": BUILDER, "rds_config_source": ADS, **source}
    return hcm(scoped_routes=fields) | {"name": "c"}


DISCOVERED = {"scoped_rds": {"scoped_rds_config_source": ADS}}


def test_each_scope_has_its_units_and_the_rest_one():
    scene = Scene()
    scene.say(listener("l", chain(**DISCOVERED)), route_configuration("r", virtual_host("h", ["a", "*"], route("a"))))
    assert [key for key in scene.units if key.startswith("http/")] == ["http/l/c/all/*"]
    said = scene.say(srds("one", "1", route_configuration_name="r"), srds("two", "2", route_configuration_name="r"))
    units = [f"http/l/c/{name}/r/{host}" for name in ("one", "two") for host in ("*", "h")]
    assert said == [*units, "view"]
    unit = scene.units["http/l/c/one/r/h"]
    assert unit.params == {
        "listener": "l",
        "chain": "c",
        "scope": "one",
        "route_config": "r",
        "virtual_host": "h",
    }
    assert [name_of(scene.units[key]).key for key in units] == units
    assert list(scene.bodies("http/l/c/one/r/h", "subject", xds.SCOPED_ROUTE_CONFIGURATION)) == ["one"]
    assert scene.bodies("http/l/c/all/*", "subject", xds.SCOPED_ROUTE_CONFIGURATION) == {}


def test_a_change_of_a_scope_is_one_of_its_units():
    scene = Scene()
    scene.say(listener("l", chain(**DISCOVERED)), route_configuration("r"), route_configuration("s"), cluster("a"))
    scene.say(srds("one", "1", route_configuration_name="r"), srds("two", "2", route_configuration_name="r"))
    assert scene.say(srds("one", "9", route_configuration_name="r")) == ["http/l/c/one/r/*"]
    assert scene.say(srds("one", "9", route_configuration_name="s")) == [
        "http/l/c/one/s/*",
        "view",
        "-http/l/c/one/r/*",
    ]
    assert scene.say(route_configuration("s", virtual_host("h", ["a"], route("a")))) == [
        "cluster/a",
        "http/l/c/one/s/h",
    ]
    gone = scene.say(removal(xds.SCOPED_ROUTE_CONFIGURATION, "one"))
    assert {"cluster/a", "-http/l/c/one/s/*", "-http/l/c/one/s/h"} <= set(gone)
    assert "-http/l/c/two/r/*" in scene.say(removal(xds.LISTENER, "l"))


def test_a_scope_waits_for_its_route_configuration():
    scene = Scene()
    scene.say(listener("l", chain(**DISCOVERED)), srds("one", "1", route_configuration_name="r"))
    assert [key for key in scene.units if key.startswith("http/")] == ["http/l/c/all/*"]
    assert "r" in scene.bodies("view", "sibling", xds.ROUTE_CONFIGURATION)
    assert "http/l/c/one/r/*" in scene.say(route_configuration("r"))


def test_scopes_inside_the_listener_with_routes_inside_them():
    inline = {"name": "r", "virtual_hosts": [virtual_host("h", ["a"], route("a"))]}
    listed = [scope("one", "1", route_configuration=inline), scope("two", "2", route_configuration={})]
    scene = Scene()
    source = {"scoped_route_configurations_list": {"scoped_route_configurations": listed}}
    scene.say(listener("l", chain(**source)), cluster("a"))
    assert [key for key in scene.units if key.startswith("http/")] == [
        "http/l/c/all/*",
        "http/l/c/one/r/*",
        "http/l/c/one/r/h",
        "http/l/c/two/l%2Fc%2Ftwo/*",
    ]
    assert len(scene.bodies("cluster/a", "use", xds.ROUTE_ACTION)) == 1
    shown = scene.bodies("http/l/c/one/r/h", "subject", xds.LISTENER)["l"].filter_chains[0].filters[0]
    scoped = xds.unpack(shown.typed_config).scoped_routes
    assert scoped.scope_key_builder.fragments
    assert not scoped.HasField("scoped_route_configurations_list")
    named = scene.bodies("http/l/c/one/r/h", "subject", xds.SCOPED_ROUTE_CONFIGURATION)["one"]
    assert not named.HasField("route_configuration")


def in_view(scene: Scene) -> list[str]:
    resources = scene.units["view"].resources
    return [one.name for one in resources if one.type_url == xds.SCOPED_ROUTE_CONFIGURATION]


def test_scopes_that_no_chain_takes_are_in_the_view():
    scene = Scene()
    scene.say(srds("one", "1", route_configuration_name="r"))
    assert in_view(scene) == ["one"]
    scene.say(listener("l", chain(**DISCOVERED)))
    assert in_view(scene) == []
    scene.say(removal(xds.SCOPED_ROUTE_CONFIGURATION, "one"))
    assert in_view(scene) == [""]
