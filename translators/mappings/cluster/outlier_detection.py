"""Source: Cluster.outlier_detection.

Target: upstream.checks.passive, beside an active check that lets ejected endpoints come back.
Fidelity: A.
Differs: endpoints come back when a probe of their port succeeds; all may be ejected, then all are used; every worker
    and variant counts by itself; a detector is on or off, not on for a share of the cases.
Diagnostics: CL-OUTLIER.
See: mapping.md sections 6.1.2 and 6.6.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from translators import dispatch
from translators.mappings.cluster.health_check import MAX_COUNT, STATUSES
from translators.mappings.duration import seconds_of

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

DEFAULT_COUNT = 5
DEFAULT_EJECTION_S = 30
NEVER_PROBED_S = 86400
"""Healthy endpoints need no probes; APISIX demands an interval."""
_ALWAYS = 100
_SERVER_ERRORS = range(500, 600)
_GATEWAY_ERRORS = (502, 503, 504)


class _Detector(NamedTuple):
    """A rule by consecutive failures; a count of 0 turns it off."""

    field: str
    failure_count: int
    enforced_percent: int


def apply(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Add passive checks to the active ones, or to one that only brings ejected endpoints back."""
    detection, place = cluster.outlier_detection, at.field("outlier_detection")
    dispatch.apply(detection, None, place, findings)
    by_status = _by_status(detection, place, findings)
    by_connection = _by_connection(detection, by_status)
    used = [found for found in (by_status, by_connection) if found.failure_count]
    if not used:
        return
    for found in used:
        if found.enforced_percent < _ALWAYS:
            findings.report("CL-OUTLIER", place.field(f"enforcing_{found.field}"), effect="it is always enforced")
    unhealthy: dict[str, Any] = {
        "http_failures": by_status.failure_count,
        "tcp_failures": by_connection.failure_count,
        "timeouts": by_connection.failure_count,
    }
    healthy: dict[str, Any] = {"successes": 1}
    if by_status.failure_count:
        bad = _GATEWAY_ERRORS if by_status.field == "consecutive_gateway_failure" else _SERVER_ERRORS
        unhealthy["http_statuses"] = list(bad)
        healthy["http_statuses"] = [status for status in STATUSES if status not in bad]
    active = draft.checks.get("active") or _returning(detection)
    draft.checks = {"active": active, "passive": {"type": "http", "healthy": healthy, "unhealthy": unhealthy}}


def _by_status(detection: xds.Message, at: Where, findings: Findings) -> _Detector:
    """Give the rule by status; APISIX counts one kind of failure, so the wider of two rules decides."""
    errors = _detector(detection, "consecutive_5xx", _ALWAYS)
    gateway = _detector(detection, "consecutive_gateway_failure", 0)
    if not errors.failure_count:
        return gateway
    if gateway.failure_count:
        findings.report("CL-OUTLIER", at.field(gateway.field), effect="all server errors count as consecutive_5xx")
    return errors


def _by_connection(detection: xds.Message, by_status: _Detector) -> _Detector:
    if detection.split_external_local_origin_errors:
        return _detector(detection, "consecutive_local_origin_failure", _ALWAYS)
    return by_status


def _detector(detection: xds.Message, field: str, default_percent: int) -> _Detector:
    enforcing = f"enforcing_{field}"
    percent = getattr(detection, enforcing).value if detection.HasField(enforcing) else default_percent
    count = getattr(detection, field).value if detection.HasField(field) else DEFAULT_COUNT
    return _Detector(field, min(count, MAX_COUNT) if percent else 0, percent)


def _returning(detection: xds.Message) -> dict[str, Any]:
    """Give an active check that probes ejected endpoints only: without it none would ever come back."""
    ejection_s = seconds_of(detection.base_ejection_time) or DEFAULT_EJECTION_S
    return {
        "type": "tcp",
        "healthy": {"interval": NEVER_PROBED_S, "successes": 1},
        "unhealthy": {"interval": max(1, ceil(ejection_s)), "tcp_failures": 1, "timeouts": 1},
    }


def is_off(percent: xds.Message) -> bool:
    """Tell whether a detector is enforced in no case."""
    return not percent.value


def is_no_cap(percent: xds.Message) -> bool:
    """Tell whether max_ejection_percent lets all endpoints be ejected."""
    return bool(percent.value >= _ALWAYS)
