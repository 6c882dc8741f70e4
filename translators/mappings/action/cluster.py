"""Source: RouteAction.cluster, RouteAction.cluster_not_found_response_code.

Target: route.upstream_id: the variant of the cluster's upstream that this route needs.
Fidelity: E.
Differs: -
Diagnostics: RA-CLUSTER-UNKNOWN.
See: mapping.md sections 5.6 and 9.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from schemas import xds
from schemas.uses import is_plain, reduce_use
from translators.variant import BLACKHOLE_ID, upstream_id, variant_of

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.route_context import RouteContext
    from translators.where import Where

_NOT_FOUND_STATUSES = {0: 503, 1: 404, 2: 500}
"""RouteAction.ClusterNotFoundResponseCode."""


def upstream_of(
    name: str,
    action: xds.Message,
    context: RouteContext,
    at: Where,
    findings: Findings,
    *,
    weighted: xds.Message | None = None,
    is_grpc: bool = False,
) -> str:
    """Give the id of the upstream to use; BLACKHOLE_ID, with a diagnostic, for a cluster that does not exist.

    Args:
        name: of the cluster.
        action: the RouteAction.
        context: with the known clusters.
        at: where the cluster is named.
        findings: receives RA-CLUSTER-UNKNOWN.
        weighted: the ClusterWeight, if the action is weighted.
        is_grpc: of a cluster that speaks both protocols, the upstream for gRPC.
    """
    cluster = context.clusters.get(name)
    if cluster is None:
        findings.report("RA-CLUSTER-UNKNOWN", at, value=name, effect=_effect(action))
        return BLACKHOLE_ID
    if is_plain(action, context.virtual_host, weighted):
        use = b""
    else:
        use = reduce_use(action, context.virtual_host, weighted).SerializeToString(deterministic=True)
    # Most routes of a unit use a cluster in one way.
    key = "upstream_of", name, is_grpc, use
    if key not in context.memo:
        context.memo[key] = _upstream_id(name, cluster.SerializeToString(deterministic=True), use, is_grpc=is_grpc)
    return str(context.memo[key])


@lru_cache(maxsize=1024)
def _upstream_id(name: str, cluster: bytes, use: bytes, *, is_grpc: bool) -> str:
    """Remembered by the bytes of cluster and use, as units have clusters in common and variants take long to tell."""
    variant = variant_of(xds.parse(xds.CLUSTER, cluster), xds.parse(xds.ROUTE_ACTION, use), "l7")
    return upstream_id(name, replace(variant, is_grpc=True) if is_grpc else variant)


def not_found_status(action: xds.Message) -> int:
    """Give what is answered when the cluster does not exist; 503 is what an upstream without nodes answers itself."""
    return _NOT_FOUND_STATUSES.get(action.cluster_not_found_response_code, 503)


def _effect(action: xds.Message) -> str:
    return f"requests to it are answered {not_found_status(action)}"
