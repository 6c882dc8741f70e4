"""Source: Cluster.circuit_breakers.

Target: none; with `circuit_breakers: limit_conn` in the policy, `limit-conn` in a service that the routes to a cluster
share.
Fidelity: N; A with the policy.
Differs: connections to a cluster are not limited, nor are requests of routes that draw among several clusters. Routes
share a count where all that counts on them is the same.
Diagnostics: CL-BREAKER, unless every limit is so high that it means none (Istio writes the largest uint32).
See: mapping.md section 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.format_string import RESOLVED
from translators.ids import hash80

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

UNLIMITED = 1_000_000
LIMIT_CONN = "limit_conn"
_MAX_REQUESTS = "max_requests"
_LIMITS = ("max_connections", "max_pending_requests", _MAX_REQUESTS, "max_retries", "max_connection_pools")


def apply(cluster: xds.Message, _draft: Any, at: Where, findings: Findings) -> None:
    """Report limits that no route holds."""
    breakers = cluster.circuit_breakers
    if limits_nothing(breakers):
        return
    if findings.policy.circuit_breakers == LIMIT_CONN and not _limits_more_than_requests(breakers):
        return
    findings.report("CL-BREAKER", at.field("circuit_breakers"))


def limiting(cluster: xds.Message | None, priority: int) -> dict[str, Any]:
    """Give the plugin that refuses requests beyond max_requests; none when there is no such limit.

    Args:
        cluster: None when it is not known.
        priority: RouteAction.priority; each has a limit of its own.
    """
    thresholds = cluster.circuit_breakers.thresholds if cluster is not None else ()
    for threshold in thresholds:
        if threshold.priority == priority and _is_limit(threshold, _MAX_REQUESTS) and cluster is not None:
            return {
                "limit-conn": {
                    "burst": 0,
                    "conn": max(threshold.max_requests.value, 1),
                    "default_conn_delay": 0.001,
                    "key": f"{hash80('breakers', cluster.name, str(priority))}.{RESOLVED}",
                    "key_type": "var_combination",
                    "policy": "local",
                    "rejected_code": 503,
                    "rejected_msg": "overflow",
                }
            }
    return {}


def limits_nothing(breakers: xds.Message) -> bool:
    """Tell whether no threshold would ever be reached."""
    thresholds = [*breakers.thresholds, *breakers.per_host_thresholds]
    return not any(_limits(threshold) for threshold in thresholds)


def _limits(threshold: xds.Message) -> bool:
    return threshold.HasField("retry_budget") or any(_is_limit(threshold, limit) for limit in _LIMITS)


def _limits_more_than_requests(breakers: xds.Message) -> bool:
    others = [limit for limit in _LIMITS if limit != _MAX_REQUESTS]
    return bool(breakers.per_host_thresholds) or any(
        threshold.HasField("retry_budget") or any(_is_limit(threshold, limit) for limit in others)
        for threshold in breakers.thresholds
    )


def _is_limit(threshold: xds.Message, limit: str) -> bool:
    return bool(threshold.HasField(limit) and getattr(threshold, limit).value < UNLIMITED)
