"""Source: Cluster.health_checks.

Target: upstream.checks.active.
Fidelity: A.
Differs: endpoints start healthy; probing starts with the first request; every worker and variant probes by itself;
    intervals are whole seconds; probes present no client certificate, so where one is wanted the port is probed.
Diagnostics: CL-HC-MULTI, CL-HC-GRPC, CL-FEATURE.
See: mapping.md sections 6.1.1 and 6.6.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.mappings.duration import seconds_of

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

MAX_COUNT = 254
MAX_PORT = 65535
STATUSES = range(200, 600)
DEFAULT_STATUS = 200
HOST = re.compile(r"[0-9a-zA-Z._\[\]:-]{1,256}\Z")
_PROBE_OF_PORT = "the port is probed: probes present no client certificate"
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"})


def apply(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read the first health check; the others are told."""
    if len(cluster.health_checks) > 1:
        findings.report("CL-HC-MULTI", at.item("health_checks", 1))
    check, place = cluster.health_checks[0], at.item("health_checks", 0)
    dispatch.apply(check, None, place, findings)
    active: dict[str, Any] = {
        "type": "tcp",
        "timeout": seconds_of(check.timeout) or 1,
        "healthy": {"interval": _interval(check.interval), "successes": _count(check.healthy_threshold)},
        "unhealthy": {
            "interval": _interval(check.unhealthy_interval if check.HasField("unhealthy_interval") else check.interval),
            "tcp_failures": _count(check.unhealthy_threshold),
            "timeouts": _count(check.unhealthy_threshold),
        },
    }
    if check.HasField("alt_port") and 1 <= check.alt_port.value <= MAX_PORT:
        active["port"] = check.alt_port.value
    checker = check.WhichOneof("health_checker")
    if checker == "http_health_check":
        _http(check, draft.name, active, place.field(checker), findings)
    elif checker == "grpc_health_check":
        findings.report("CL-HC-GRPC", place.field(checker))
    elif checker != "tcp_health_check" or _asks(check.tcp_health_check):
        findings.report("CL-FEATURE", place, value=checker or "", effect="the port is probed, not what it answers")
    draft.checks = {"active": active}


def _asks(tcp: xds.Message) -> bool:
    """Tell whether a probe of a port is more than a connect."""
    return bool(tcp.HasField("send") or tcp.receive or tcp.HasField("proxy_protocol_config"))


def with_tls(checks: dict[str, Any], at: Where, findings: Findings, *, has_certificate: bool) -> dict[str, Any]:
    """Give the checks of a cluster that speaks TLS: certificates are not verified (mapping.md section 1.6).

    Args:
        checks: those of a cluster that does not.
        at: the cluster.
        findings: receives the diagnostics.
        has_certificate: endpoints want a certificate, which probes of APISIX do not present: all would fail.
    """
    active = checks["active"]
    if active["type"] != "http":
        return checks
    if has_certificate:
        findings.report("CL-FEATURE", at.field("health_checks"), effect=_PROBE_OF_PORT)
        return {**checks, "active": _of_port(active)}
    return {**checks, "active": {**active, "type": "https", "https_verify_certificate": False}}


def _of_port(active: dict[str, Any]) -> dict[str, Any]:
    """Leave of a probe by HTTP what is left of it as one of the port."""
    kept: dict[str, Any] = {name: active[name] for name in ("timeout", "port") if name in active}
    healthy = {name: active["healthy"][name] for name in ("interval", "successes")}
    unhealthy = {name: active["unhealthy"][name] for name in ("interval", "tcp_failures", "timeouts")}
    return kept | {"type": "tcp", "healthy": healthy, "unhealthy": unhealthy}


def _http(check: xds.Message, name: str, active: dict[str, Any], at: Where, findings: Findings) -> None:
    http = check.http_health_check
    dispatch.apply(http, None, at, findings)
    expected = _expected(http)
    if not expected or len(expected) == len(STATUSES):
        findings.report("CL-FEATURE", at.field("expected_statuses"), effect="the port is probed, not the path")
        return
    active |= {"type": "http", "http_path": http.path if http.path.startswith("/") else f"/{http.path}"}
    host = http.host or name
    if HOST.match(host):
        active["host"] = host
    method = http.DESCRIPTOR.fields_by_name["method"].enum_type.values_by_number[http.method].name
    if method in _METHODS:
        active["http_method"] = method
    if headers := _headers(http):
        active["req_headers"] = headers
    if http.HasField("send"):
        _body(http, active, at.field("send"), findings)
    active["healthy"]["http_statuses"] = expected
    active["unhealthy"]["http_statuses"] = [status for status in STATUSES if status not in expected]
    is_patient = bool(http.retriable_statuses)
    active["unhealthy"]["http_failures"] = _count(check.unhealthy_threshold) if is_patient else 1


def _expected(http: xds.Message) -> list[int]:
    if not http.expected_statuses:
        return [DEFAULT_STATUS]
    wanted = [range(status.start, status.end) for status in http.expected_statuses]
    return [status for status in STATUSES if any(status in statuses for statuses in wanted)]


def _headers(http: xds.Message) -> list[str]:
    pairs = [(option.header.key, option.header.value) for option in http.request_headers_to_add]
    return [f"{key}: {value}" for key, value in pairs if key and ":" not in key and "%" not in value]


def _body(http: xds.Message, active: dict[str, Any], at: Where, findings: Findings) -> None:
    """Read the payload: `text` is hexadecimal in xDS."""
    try:
        data = bytes.fromhex(http.send.text) if http.send.WhichOneof("payload") == "text" else bytes(http.send.binary)
        active["http_req_body"] = data.decode()
    except ValueError:
        findings.report("CL-FEATURE", at, effect="the probe has no body: it is not text")


def _interval(duration: xds.Message) -> int:
    return max(1, ceil(seconds_of(duration)))


def _count(threshold: xds.Message) -> int:
    return int(min(max(threshold.value, 1), MAX_COUNT))
