"""Keys of scopes; what matches is checked with the real Envoy (tests/oracle/test_scoped_routes.py)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.route_parts import message
from translators.findings import Findings
from translators.mappings.match.scope_key_builder import scope_key_conditions
from translators.policy import Policy
from translators.where import Where

SCOPED_ROUTES = "envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes"
AT = Where(xds.SCOPED_ROUTE_CONFIGURATION, "one")


def conditions(extractors: list[dict[str, Any]], *keys: str) -> tuple[Any, list[str]]:
    fragments = [{"header_value_extractor": extractor} for extractor in extractors]
    routes = message(SCOPED_ROUTES, {"scope_key_builder": {"fragments": fragments}})
    scope = message(xds.SCOPED_ROUTE_CONFIGURATION, {"key": {"fragments": [{"string_key": key} for key in keys]}})
    findings = Findings(Policy())
    return scope_key_conditions(routes, scope, AT, findings), [found.code for found in findings.diagnostics()]


def test_a_whole_header_is_compared():
    assert conditions([{"name": "X-Scope", "index": 0}], "a") == ((("http_x_scope", "==", "a"),), [])


@pytest.mark.parametrize(
    ("extractors", "keys", "code"),
    [
        ([], (), "CFG-INVALID"),
        ([{"name": "x", "index": 0}], ("a", "b"), "CFG-INVALID"),
        ([{"name": "x.y", "index": 0}], ("a",), "RT-HEADER"),
    ],
)
def test_a_key_that_cannot_be_told_is_not_served(extractors: list[dict[str, Any]], keys: tuple[str, ...], code: str):
    assert conditions(extractors, *keys) == (None, [code])
