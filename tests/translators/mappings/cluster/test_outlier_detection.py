"""Passive checks: what counts as a failure, and how ejected endpoints come back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.unit_outcome import Outcome, cluster_outcome, lb_endpoint, locality
from translators.mappings.cluster.outlier_detection import NEVER_PROBED_S

ONE = [locality(lb_endpoint("10.0.0.1"))]
CHECK = {
    "timeout": "1s",
    "interval": "5s",
    "unhealthy_threshold": 2,
    "healthy_threshold": 2,
    "http_health_check": {"path": "/ok"},
}


def detected(detection: dict[str, Any], **cluster: Any) -> Outcome:
    return cluster_outcome({"outlier_detection": detection, **cluster}, ONE)


def counts(found: Outcome) -> tuple[int, int, int]:
    unhealthy = found.value["checks"]["passive"]["unhealthy"]
    return unhealthy["http_failures"], unhealthy["tcp_failures"], unhealthy["timeouts"]


def test_five_server_errors_in_a_row_unless_said_otherwise():
    found = detected({})
    passive = found.value["checks"]["passive"]
    assert counts(found) == (5, 5, 5)
    assert passive["unhealthy"]["http_statuses"] == list(range(500, 600))
    assert passive["healthy"] == {"successes": 1, "http_statuses": list(range(200, 500))}
    assert found.codes == []


def test_an_ejected_endpoint_comes_back_by_a_probe():
    active = detected({"base_ejection_time": "1.2s"}).value["checks"]["active"]
    assert active == {
        "type": "tcp",
        "healthy": {"interval": NEVER_PROBED_S, "successes": 1},
        "unhealthy": {"interval": 2, "tcp_failures": 1, "timeouts": 1},
    }


def test_active_checks_bring_it_back_where_there_are_any():
    alone = cluster_outcome({"health_checks": [CHECK]}, ONE).value["checks"]["active"]
    assert detected({}, health_checks=[CHECK]).value["checks"]["active"] == alone


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        ({"consecutive_5xx": 0}, None),
        ({"enforcing_consecutive_5xx": 0}, None),
        ({"consecutive_5xx": 4_000_000_000}, (254, 254, 254)),
        ({"split_external_local_origin_errors": True}, (5, 5, 5)),
        ({"split_external_local_origin_errors": True, "consecutive_local_origin_failure": 2}, (5, 2, 2)),
        ({"split_external_local_origin_errors": True, "enforcing_consecutive_local_origin_failure": 0}, (5, 0, 0)),
        ({"enforcing_consecutive_5xx": 0, "split_external_local_origin_errors": True}, (0, 5, 5)),
        ({"enforcing_consecutive_5xx": 0, "enforcing_consecutive_gateway_failure": 100}, (5, 5, 5)),
    ],
)
def test_each_rule_counts_apart(detection: dict[str, Any], expected: tuple[int, int, int] | None):
    found = detected(detection)
    assert (counts(found) if "checks" in found.value else None) == expected
    assert found.codes == []


def test_gateway_errors_are_three_statuses():
    detection = {"enforcing_consecutive_5xx": 0, "enforcing_consecutive_gateway_failure": 100}
    passive = detected(detection).value["checks"]["passive"]
    assert passive["unhealthy"]["http_statuses"] == [502, 503, 504]
    assert 500 in passive["healthy"]["http_statuses"]


@pytest.mark.parametrize(
    "detection",
    [
        {"enforcing_consecutive_5xx": 99},
        {"enforcing_consecutive_gateway_failure": 100},
        {"enforcing_success_rate": 1},
        {"enforcing_failure_percentage": 1},
        {"max_ejection_percent": 99},
    ],
)
def test_what_is_counted_otherwise_is_told(detection: dict[str, Any]):
    assert detected(detection).codes == ["CL-OUTLIER"]


@pytest.mark.parametrize("detection", [{"enforcing_success_rate": 0}, {"max_ejection_percent": 100}])
def test_what_changes_nothing_is_not_told(detection: dict[str, Any]):
    assert detected(detection).codes == []
