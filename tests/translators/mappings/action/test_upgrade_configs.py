from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, route_outcome

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
