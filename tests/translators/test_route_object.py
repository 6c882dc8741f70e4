"""What counts under the object it stands in stands where all its routes share it."""

from __future__ import annotations

from typing import Any

import orjson

from tests.translators.route_parts import AT_HOST, context
from translators.closure import Placement
from translators.path_key import ANY_PATH
from translators.route_context import Part
from translators.route_entry import Entry
from translators.route_object import RouteObjects

METER = {"limit-req": {"rate": 1}}
GROUPED = {"limit-count": {"count": 1, "group": "g"}}
RULES = {"limit-count": {"rules": [{"key": "a"}]}}


def objects(*plugins: dict[str, Any], upstream: bool = True) -> dict[str, dict[str, Any]]:
    built = RouteObjects(context(), ())
    for number, one in enumerate(plugins):
        fields = {"plugins": one, **({"upstream_id": "u"} if upstream else {})}
        entry = Entry(f"name:{number}", "", None, Part(fields=fields), ANY_PATH)
        built.add(entry, Placement((f"/{number}",), 0, ()), "shop", "*", AT_HOST)
    return {found.key: orjson.loads(found.value) for found in built.objects()}


def routes(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = [value for key, value in found.items() if key.startswith("/routes/")]
    return sorted(chosen, key=lambda route: str(route["uris"]))


def services(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [value for key, value in found.items() if key.startswith("/services/")]


def test_routes_with_one_counter_share_its_service():
    found = objects(METER, {**METER, "opa": {}})
    assert services(found) == [{"plugins": METER}]
    one, two = routes(found)
    assert one["service_id"] == two["service_id"]
    assert ("plugins" in one, two["plugins"]) == (False, {"opa": {}})


def test_another_counter_has_another_service():
    assert len(services(objects(METER, RULES, {"limit-conn": {"conn": 1}}, {"workflow": {"rules": []}}))) == 4


def test_a_group_needs_no_service():
    found = objects(GROUPED)
    assert services(found) == []
    assert routes(found)[0]["plugins"] == GROUPED


def test_a_route_without_an_upstream_keeps_its_plugins():
    """A route needs an upstream, a service or plugins, and this one answers by its plugins."""
    (route,) = routes(objects({**METER, "mocking": {}}, upstream=False))
    assert route["plugins"] == {"mocking": {}}
    (bare,) = routes(objects(METER, upstream=False))
    assert (bare["plugins"], "service_id" in bare) == ({}, True)
