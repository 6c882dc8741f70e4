"""The list of a virtual host: guards that all routes share stand once, in front."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas import xds
from tests.translators.route_parts import AT_HOST, context, forwarded, http_filter, message, packed
from translators.findings import Findings
from translators.path_key import ANY_PATH, DECODED
from translators.route_entry import Entry, virtual_host_entries

DENYING = {
    "rules": {
        "action": "DENY",
        "policies": {"one": {"permissions": [{"any": True}], "principals": [{"header": {"name": "evil"}}]}},
    }
}
FILTER = http_filter(".rbac.v3.RBAC", DENYING)


def listed(*routes: dict[str, Any], filters: tuple[dict[str, Any], ...] = (FILTER,)) -> list[Entry]:
    around = context(filters=list(filters))
    named = [
        {"name": f"r{index}", "match": {"prefix": f"/{index}"}, **forwarded(), **route}
        for index, route in enumerate(routes)
    ]
    host = message(xds.VIRTUAL_HOST, {"name": "shop", "domains": ["*"], "routes": named})
    return virtual_host_entries(replace(around, virtual_host=host), DECODED, AT_HOST, Findings(around.policy))


def names(entries: list[Entry]) -> list[str]:
    return [".".join(filter(None, (entry.identity, entry.part.suffix))) for entry in entries]


def test_a_guard_of_all_routes_stands_once_in_front():
    entries = listed({}, {})
    assert names(entries) == ["guard.guard", "name:r0", "name:r1", "terminal"]
    assert entries[0].path == ANY_PATH


def test_a_route_without_it_keeps_the_guards_at_the_others():
    free = {"typed_per_filter_config": {"guard": packed(".rbac.v3.RBACPerRoute")}}
    assert names(listed({}, free)) == ["name:r0.guard", "name:r0", "name:r1", "terminal.guard", "terminal"]


def test_only_the_leading_guards_are_shared():
    second = {**FILTER, "name": "second"}
    free = {"typed_per_filter_config": {"second": packed(".rbac.v3.RBACPerRoute")}}
    assert names(listed({}, free, filters=(FILTER, second))) == [
        "guard.guard",
        "name:r0.second",
        "name:r0",
        "name:r1",
        "terminal.second",
        "terminal",
    ]
