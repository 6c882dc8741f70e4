"""Source: RouteAction.timeout, idle_timeout, RetryPolicy.per_try_timeout, HttpConnectionManager.stream_idle_timeout.

Target: route.timeout, with connect from the clusters' connect_timeout.
Fidelity: A.
Differs: nginx measures the gap between two reads of one try, Envoy the whole response.
Diagnostics: RA-TIMEOUT for max_stream_duration.
See: mapping.md section 5.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from schemas.uses import retry_policy_of
from translators.mappings.duration import UNBOUNDED_S, bounded_seconds_of, seconds_of
from translators.variant import known_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds
    from translators.route_context import RouteContext

DEFAULT_TIMEOUT_S = 15
DEFAULT_STREAM_IDLE_S = 300
DEFAULT_CONNECT_S = 5


class _ClusterTimeouts(NamedTuple):
    """What a cluster says: `per_try_s` by its HttpProtocolOptions, None without any."""

    connect_s: float
    per_try_s: float | None


def timeout_of(action: xds.Message, cluster_names: Iterable[str], context: RouteContext) -> dict[str, float]:
    """Give route.timeout, which replaces the upstream's as a whole.

    Args:
        action: the RouteAction.
        cluster_names: where it leads.
        context: with the clusters and the connection manager.
    """
    clusters = [_cluster_timeouts(name, context) for name in cluster_names if name in context.clusters]
    connect_s = max([cluster.connect_s for cluster in clusters], default=DEFAULT_CONNECT_S)
    io_s = _io_seconds(action, clusters, context)
    return {"connect": connect_s, "read": io_s, "send": io_s}


def _io_seconds(action: xds.Message, clusters: list[_ClusterTimeouts], context: RouteContext) -> float:
    timeout_s = seconds_of(action.timeout) if action.HasField("timeout") else DEFAULT_TIMEOUT_S
    limits = [timeout_s, seconds_of(action.idle_timeout), _per_try_seconds(action, clusters, context)]
    positive = [limit for limit in limits if limit > 0]
    if positive:
        return min(positive)
    if action.HasField("idle_timeout"):
        return UNBOUNDED_S
    hcm = context.hcm
    return bounded_seconds_of(hcm.stream_idle_timeout) if hcm.HasField("stream_idle_timeout") else DEFAULT_STREAM_IDLE_S


def _per_try_seconds(action: xds.Message, clusters: list[_ClusterTimeouts], context: RouteContext) -> float:
    policy = retry_policy_of(action, context.virtual_host)
    if policy is not None:
        return seconds_of(policy.per_try_timeout)
    return min([cluster.per_try_s for cluster in clusters if cluster.per_try_s is not None], default=0)


def _cluster_timeouts(name: str, context: RouteContext) -> _ClusterTimeouts:
    """Read a known cluster: once a unit, as its routes lead to few."""
    key = "timeout", name
    if key not in context.memo:
        cluster = context.clusters[name]
        has_own = cluster.HasField("connect_timeout")
        options = known_options(name, context)
        context.memo[key] = _ClusterTimeouts(
            bounded_seconds_of(cluster.connect_timeout) if has_own else DEFAULT_CONNECT_S,
            seconds_of(options.retry_policy.per_try_timeout) if options is not None else None,
        )
    found: _ClusterTimeouts = context.memo[key]
    return found
