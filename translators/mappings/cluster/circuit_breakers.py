"""Source: Cluster.circuit_breakers.

Target: none.
Fidelity: N.
Differs: connections and requests to a cluster are not limited.
Diagnostics: CL-BREAKER, unless every limit is so high that it means none (Istio writes the largest uint32).
See: mapping.md section 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds

UNLIMITED = 1_000_000
_LIMITS = ("max_connections", "max_pending_requests", "max_requests", "max_retries", "max_connection_pools")


def limits_nothing(breakers: xds.Message) -> bool:
    """Tell whether no threshold would ever be reached."""
    thresholds = [*breakers.thresholds, *breakers.per_host_thresholds]
    return not any(_limits(threshold) for threshold in thresholds)


def _limits(threshold: xds.Message) -> bool:
    return threshold.HasField("retry_budget") or any(
        threshold.HasField(limit) and getattr(threshold, limit).value < UNLIMITED for limit in _LIMITS
    )
