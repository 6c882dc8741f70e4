"""Source: envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.

Target: stream_route.upstream_id; stream plugin traffic-split for weighted clusters.
Fidelity: E for one cluster; A for weighted clusters (round robin per worker).
Differs: small weights are served late, because each worker starts with the heaviest.
Diagnostics: RA-CLUSTER-UNKNOWN, L4-FEATURE, OBS-ALS.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from collections import defaultdict
from math import gcd
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.variant import BLACKHOLE_ID, upstream_id, variant_of

if TYPE_CHECKING:
    from schemas import xds
    from translators.chain_draft import ChainDraft
    from translators.findings import Findings
    from translators.where import Where

MAX_SPLIT_CLUSTERS = 20


def apply(proxy: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Send the chain's connections to the cluster or clusters of a TcpProxy."""
    if not dispatch.apply(proxy, draft, at, findings):
        draft.is_closed = True
        return
    if proxy.WhichOneof("cluster_specifier") != "weighted_clusters":
        draft.upstream_id = _upstream(proxy, proxy.cluster, draft, at.field("cluster"), findings)
        return
    weights = _weights(proxy, draft, at.field("weighted_clusters"), findings)
    if not weights or len(weights) > MAX_SPLIT_CLUSTERS:
        findings.report("L4-FEATURE", at.field("weighted_clusters"), effect="the chain is not served")
        draft.is_closed = True
        return
    draft.upstream_id = next(iter(weights))
    if len(weights) > 1:
        draft.plugins["traffic-split"] = _split(weights)


def _weights(proxy: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> dict[str, int]:
    weights: dict[str, int] = defaultdict(int)
    for cluster in proxy.weighted_clusters.clusters:
        place = at.item("clusters", cluster.name)
        if cluster.HasField("metadata_match"):
            findings.report("L4-FEATURE", place.field("metadata_match"))
        if cluster.weight:
            weights[_upstream(proxy, cluster.name, draft, place, findings)] += cluster.weight
    return weights


def _split(weights: dict[str, int]) -> dict[str, Any]:
    divisor = gcd(*weights.values())
    shares = [{"upstream_id": name, "weight": weight // divisor} for name, weight in weights.items()]
    return {"rules": [{"weighted_upstreams": shares}]}


def _upstream(proxy: xds.Message, name: str, draft: ChainDraft, at: Where, findings: Findings) -> str:
    cluster = draft.clusters.get(name)
    if cluster is None:
        findings.report("RA-CLUSTER-UNKNOWN", at, value=name, effect="connections of the chain are closed")
        draft.needs_blackhole = True
        return BLACKHOLE_ID
    return upstream_id(name, variant_of(cluster, proxy, "l4"))
