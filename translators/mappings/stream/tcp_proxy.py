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
    from translators.variant import Layer
    from translators.where import Where

MAX_SPLIT_CLUSTERS = 20


def apply(proxy: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Send the chain's connections to the cluster or clusters of a TcpProxy."""
    if not dispatch.apply(proxy, draft, at, findings):
        draft.is_closed = True
        return
    if any(policy.WhichOneof("policy_specifier") != "source_ip" for policy in proxy.hash_policy):
        findings.report("L4-FEATURE", at.field("hash_policy"), effect="only the client's address is hashed")
    if proxy.WhichOneof("cluster_specifier") != "weighted_clusters":
        draft.upstream_id = upstream_of(proxy, proxy.cluster, draft, at.field("cluster"), findings)
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
    for weighted in proxy.weighted_clusters.clusters:
        if weighted.weight:
            use = _merged(proxy, weighted)
            place = at.item("clusters", weighted.name)
            weights[upstream_of(use, weighted.name, draft, place, findings)] += weighted.weight
    return weights


def _merged(proxy: xds.Message, weighted: xds.Message) -> xds.Message:
    """Give the TcpProxy as this cluster is used: its own metadata_match is merged over the proxy's, key by key."""
    use = type(proxy)()
    use.CopyFrom(proxy)
    for namespace, struct in weighted.metadata_match.filter_metadata.items():
        for key, value in struct.fields.items():
            use.metadata_match.filter_metadata[namespace].fields[key].CopyFrom(value)
    return use


def _split(weights: dict[str, int]) -> dict[str, Any]:
    divisor = gcd(*weights.values())
    shares = [{"upstream_id": name, "weight": weight // divisor} for name, weight in weights.items()]
    return {"rules": [{"weighted_upstreams": shares}]}


def upstream_of(
    proxy: xds.Message, name: str, draft: ChainDraft, at: Where, findings: Findings, *, layer: Layer = "l4"
) -> str:
    """Give the upstream of a cluster as a proxy uses it; the one without nodes for a cluster that does not exist."""
    cluster = draft.clusters.get(name)
    if cluster is None:
        findings.report("RA-CLUSTER-UNKNOWN", at, value=name, effect="connections of the chain are closed")
        draft.needs_blackhole = True
        return BLACKHOLE_ID
    return upstream_id(name, variant_of(cluster, proxy, layer))
