from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.route_parts import forwarded, route_outcome
from translators.findings import Findings
from translators.mappings.action import upgrade_configs
from translators.policy import Policy
from translators.where import Where

WEBSOCKET = {"upgrade_type": "websocket"}
OFF = {"upgrade_type": "WebSocket", "enabled": False}


@pytest.mark.parametrize(
    ("manager", "route", "is_enabled"),
    [
        ([], [], False),
        ([WEBSOCKET], [], True),
        ([OFF], [], False),
        ([WEBSOCKET], [OFF], False),
        ([OFF], [WEBSOCKET], True),
        ([], [{"upgrade_type": "spdy/3.1"}], True),
        ([{"upgrade_type": "CONNECT"}], [], False),
    ],
)
def test_the_route_has_the_last_word(manager: list[dict[str, Any]], route: list[dict[str, Any]], is_enabled: bool):  # noqa: FBT001 - a table
    outcome = route_outcome(forwarded(upgrade_configs=route), hcm={"upgrade_configs": manager})
    assert outcome.only.fields.get("enable_websocket", False) is is_enabled


def test_connect_is_said():
    assert route_outcome(forwarded(upgrade_configs=[{"upgrade_type": "CONNECT"}])).codes == ["RT-CONNECT"]


def test_a_type_with_filters_of_its_own_is_not_upgraded():
    filters = [{"name": "guard"}]
    manager = [{"upgrade_type": "websocket", "filters": filters}]
    outcome = route_outcome(forwarded(upgrade_configs=[WEBSOCKET]), hcm={"upgrade_configs": manager})
    assert "enable_websocket" not in outcome.only.fields


def test_filters_of_upgrades_are_said():
    hcm = xds.message_class(xds.HTTP_CONNECTION_MANAGER)()
    xds.from_json({"upgrade_configs": [WEBSOCKET, {"upgrade_type": "a", "filters": [{"name": "guard"}]}]}, hcm)
    findings = Findings(Policy())
    upgrade_configs.apply_manager(hcm, None, Where(xds.LISTENER, "web"), findings)
    (found,) = findings.diagnostics()
    assert (found.code, found.path) == ("HF-UNTRANSLATED", "upgrade_configs[a].filters")
