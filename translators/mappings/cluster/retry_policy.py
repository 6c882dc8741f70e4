"""Source: RouteAction.retry_policy, TcpProxy.max_connect_attempts.

Target: upstream.retries and upstream.retry_timeout.
Fidelity: A.
Differs: nginx retries connect errors and timeouts, never by status; a node is tried once.
Diagnostics: RA-RETRY (told by the mapping of the route).
See: mapping.md section 5.7.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds

CONDITIONS = frozenset({"connect-failure", "refused-stream", "reset", "reset-before-request", "5xx", "gateway-error"})
"""Conditions of retry_on that include a failed connect, the one thing nginx retries."""
DEFAULT_ROUTE_TIMEOUT_S = 15.0
MAX_RETRIES = 255
"""More tries than a cluster has nodes mean nothing; this only keeps a 32-bit extreme out of the object."""


def l7_retries(policy: xds.Message) -> int:
    """Give upstream.retries of an envoy.config.route.v3.RetryPolicy: num_retries (default 1) or 0."""
    conditions = {condition.strip() for condition in policy.retry_on.split(",")}
    if not conditions & CONDITIONS:
        return 0
    return min(policy.num_retries.value if policy.HasField("num_retries") else 1, MAX_RETRIES)


def l7_retry_timeout_s(use: xds.Message) -> float:
    """Give upstream.retry_timeout in seconds: the route timeout (default 15 s, 0 = unlimited) bounds all tries."""
    if not use.HasField("timeout"):
        return DEFAULT_ROUTE_TIMEOUT_S
    return float(use.timeout.seconds + use.timeout.nanos / 1e9)


def l4_retries(tcp_proxy: xds.Message) -> int:
    """Give upstream.retries of a TcpProxy: max_connect_attempts (default 1) counts the first try too."""
    attempts = tcp_proxy.max_connect_attempts.value if tcp_proxy.HasField("max_connect_attempts") else 1
    return min(max(attempts - 1, 0), MAX_RETRIES)
