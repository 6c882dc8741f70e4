from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Severity
from tests.translators.route_parts import forwarded, route_outcome

ISTIO = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts"}],
    "host_selection_retry_max_attempts": "5",
    "retriable_status_codes": [503],
}


@pytest.mark.parametrize(
    ("policy", "severity"),
    [
        ({"retry_on": "connect-failure,reset"}, None),
        ({"num_retries": 3}, None),
        (ISTIO, Severity.INFO),
        ({"retry_on": "connect-failure", "per_try_idle_timeout": "1s"}, Severity.INFO),
        ({"retry_on": "connect-failure", "retry_host_predicate": [{"name": "canary"}]}, Severity.INFO),
        ({"retry_on": "5xx"}, Severity.WARN),
        ({"retry_on": "connect-failure, gateway-error"}, Severity.WARN),
        ({"retry_on": "unavailable"}, Severity.WARN),
    ],
)
def test_what_is_lost_is_said(policy: dict[str, Any], severity: Severity | None):
    found = route_outcome(forwarded(retry_policy=policy)).diagnostics
    assert [(one.code, one.severity) for one in found] == ([("RA-RETRY", severity)] if severity else [])


def test_a_policy_of_the_virtual_host_is_said_where_it_stands():
    found = route_outcome(forwarded(), virtual_host={"retry_policy": {"retry_on": "5xx"}}).diagnostics
    assert [one.path for one in found] == ["virtual_hosts[shop].retry_policy"]


def test_the_route_replaces_the_virtual_host():
    outcome = route_outcome(
        forwarded(retry_policy={"retry_on": "reset"}), virtual_host={"retry_policy": {"retry_on": "5xx"}}
    )
    assert outcome.codes == []
