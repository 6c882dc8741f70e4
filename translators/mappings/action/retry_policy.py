"""Source: RouteAction.retry_policy, VirtualHost.retry_policy, hedge_policy of both.

Target: the variant of the upstream (retries, retry_timeout); here only what is lost is said.
Fidelity: A.
Differs: nginx retries failed connects and timeouts, never by status.
Diagnostics: RA-RETRY.
See: mapping.md section 5.7.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.records import Severity
from translators.mappings.cluster.retry_policy import CONDITIONS

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_BY_STATUS = frozenset({"5xx", "gateway-error"})
_ISTIO_DEFAULT = frozenset({"unavailable", "cancelled", "retriable-status-codes"})
"""Beside connect-failure and refused-stream in the policy that Istio puts on every route."""
_PREVIOUS_HOSTS = "previous_hosts"
_LOST_TUNING = (
    "per_try_idle_timeout",
    "retry_priority",
    "retry_options_predicates",
    "rate_limited_retry_back_off",
    "retriable_headers",
    "retriable_request_headers",
)


def report_lost(policy: xds.Message, at: Where, findings: Findings) -> None:
    """Report conditions and settings that nginx has no counterpart for.

    Args:
        policy: the RetryPolicy in force.
        at: where it stands.
        findings: receives RA-RETRY: INFO where only Istio's defaults are lost, else WARN.
    """
    conditions = {condition.strip() for condition in policy.retry_on.split(",")} - {""}
    lost = conditions - (CONDITIONS - _BY_STATUS)
    settings = [name for name in _LOST_TUNING if any(spec.name == name for spec, _ in policy.ListFields())]
    if any(_PREVIOUS_HOSTS not in predicate.name for predicate in policy.retry_host_predicate):
        settings.append("retry_host_predicate")
    if not lost and not settings:
        return
    is_default = not settings and lost <= _ISTIO_DEFAULT and {"connect-failure", "refused-stream"} <= conditions
    is_tuning = not lost
    findings.report(
        "RA-RETRY",
        at,
        value=",".join([*sorted(lost), *settings]),
        severity=Severity.INFO if is_default or is_tuning else Severity.WARN,
    )


def apply_hedge(_holder: xds.Message, _draft: object, at: Where, findings: Findings) -> None:
    """Report hedging, of a route or virtual host: what it gains is speed."""
    findings.report("RA-RETRY", at.field("hedge_policy"), severity=Severity.INFO, effect="requests are not hedged")
