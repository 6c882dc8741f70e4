"""Source: Cluster.connect_timeout, max_requests_per_connection, common_http_protocol_options.

Target: upstream.timeout.connect, upstream.keepalive_pool.
Fidelity: E; A for the idle timeout (APISIX keeps 60 s where Envoy keeps an hour by default).
Differs: the pool is per nginx worker.
Diagnostics: none.
See: mapping.md sections 6.1 and 6.1.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.duration import bounded_seconds_of

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

MAX_SECONDS = 86400
MAX_REQUESTS = 2**31 - 1


def apply_connect_timeout(cluster: xds.Message, draft: UpstreamDraft, _at: Where, _findings: Findings) -> None:
    """Read connect_timeout."""
    draft.connect_timeout_s = min(bounded_seconds_of(cluster.connect_timeout), MAX_SECONDS)


def apply_max_requests(options: xds.Message, draft: UpstreamDraft, _at: Where, _findings: Findings) -> None:
    """Read max_requests_per_connection of a Cluster or of its HttpProtocolOptions; 0 means no limit."""
    limit = options.max_requests_per_connection.value
    draft.keepalive_pool["requests"] = min(limit, MAX_REQUESTS) if limit else MAX_REQUESTS


def apply_common_options(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read common_http_protocol_options of a Cluster or of the HttpProtocolOptions extension."""
    options = cluster.common_http_protocol_options
    if options.HasField("idle_timeout"):
        draft.keepalive_pool["idle_timeout"] = min(bounded_seconds_of(options.idle_timeout), MAX_SECONDS)
    if options.HasField("max_requests_per_connection"):
        apply_max_requests(options, draft, at, findings)
