"""Endpoints that are probed elsewhere than they are used."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.unit_outcome import Outcome, cluster_outcome, lb_endpoint, locality

TIMING = {"timeout": "1s", "interval": "5s", "unhealthy_threshold": 2, "healthy_threshold": 2}
HTTP = {**TIMING, "http_health_check": {"path": "/ok", "host": "by-check"}}
ADDRESS = {"socket_address": {"address": "10.0.0.9", "port_value": 1}}


def probed(*configs: dict[str, Any], check: dict[str, Any] | None = None, **cluster: Any) -> Outcome:
    endpoints = [lb_endpoint(f"10.0.0.{number}") for number in range(1, len(configs) + 1)]
    for endpoint, config in zip(endpoints, configs, strict=True):
        if config:
            endpoint["endpoint"]["health_check_config"] = config
    checks = {"health_checks": [check or HTTP]} if "health_checks" not in cluster else {}
    return cluster_outcome({**checks, **cluster}, [locality(*endpoints)])


def test_what_all_endpoints_want_alike_is_done():
    found = probed(*[{"port_value": 81, "hostname": "by-endpoint"}] * 2)
    active = found.value["checks"]["active"]
    assert (active["port"], active["host"], found.codes) == (81, "by-endpoint", [])


def test_a_probe_of_a_port_has_no_host():
    active = probed({"hostname": "h", "port_value": 81}, check={**TIMING, "tcp_health_check": {}}).value["checks"]
    assert ("host" in active["active"], active["active"]["port"]) == (False, 81)


@pytest.mark.parametrize(
    "configs",
    [
        ({"port_value": 81}, {}),
        ({"port_value": 81}, {"port_value": 82}),
        ({"address": ADDRESS},),
        ({"disable_active_health_check": True}, {}),
    ],
)
def test_what_they_want_differently_is_told_once(configs: tuple[dict[str, Any], ...]):
    found = probed(*configs)
    assert found.codes == ["CL-FEATURE"]
    assert "port" not in found.value["checks"]["active"]


def test_endpoints_that_no_one_probes():
    found = probed(*[{"disable_active_health_check": True}] * 2)
    assert ("checks" in found.value, found.codes) == (False, [])
    assert probed({"disable_active_health_check": True}, outlier_detection={}).codes == ["CL-FEATURE"]


def test_nothing_is_told_where_nothing_is_probed():
    assert probed({"port_value": 81}, {}, health_checks=[]).codes == []
