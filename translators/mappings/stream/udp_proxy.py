"""Source: envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig, a listener filter of a UDP listener.

Target: stream_route.upstream_id of an upstream with the scheme udp.
Fidelity: E for one cluster; A for a matcher whose every way leads to the same one; N for other matchers.
Differs: nginx measures the gap between two datagrams of one side.
Diagnostics: L4-FILTER, L4-FEATURE, LST-MATCHER, RA-CLUSTER-UNKNOWN, OBS-ALS.
See: mapping.md section 4.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators import dispatch
from translators.mappings.stream.tcp_proxy import upstream_of

if TYPE_CHECKING:
    from translators.chain_draft import ChainDraft
    from translators.findings import Findings
    from translators.where import Where

UDP_PROXY = xds.UDP_PROXY.rpartition("/")[2]
_ROUTE = "envoy.extensions.filters.udp.udp_proxy.v3.Route"
_UNSERVED = "the UDP listener is not served"


def apply(listener: xds.Message, draft: ChainDraft, at: Where, findings: Findings) -> None:
    """Send the datagrams of a UDP listener to the cluster of its proxy; close it where that is not one cluster."""
    draft.is_closed = True
    for index, listed in enumerate(listener.listener_filters):
        place = at.item("listener_filters", listed.name or index)
        config = xds.unpack(listed.typed_config)
        if config is None or config.DESCRIPTOR.full_name != UDP_PROXY:
            findings.report("L4-FILTER", place, value=listed.typed_config.type_url or listed.name, effect=_UNSERVED)
            draft.is_closed = True
            return
        if not dispatch.apply(config, draft, place, findings):
            return
        name = _cluster_of(config)
        if name is None:
            findings.report("LST-MATCHER", place.field("matcher"), effect=_UNSERVED, remedy="lead to one cluster")
            return
        if any(policy.WhichOneof("policy_specifier") != "source_ip" for policy in config.hash_policies):
            findings.report("L4-FEATURE", place.field("hash_policies"), effect="only the client's address is hashed")
        draft.upstream_id = upstream_of(config, name, draft, place, findings, layer="udp")
        draft.is_closed = False
    if not listener.listener_filters:
        findings.report("LST-ADDR", at.field("address"), value="UDP without a proxy", effect=_UNSERVED)


def _cluster_of(config: xds.Message) -> str | None:
    if config.WhichOneof("route_specifier") != "matcher":
        return str(config.cluster)
    matcher = config.matcher
    names = {_action(matcher.on_no_match)}
    names |= {_action(one.on_match) for one in matcher.matcher_list.matchers}
    is_flat = matcher.WhichOneof("matcher_type") in (None, "matcher_list")
    return names.pop() if is_flat and len(names) == 1 else None


def _action(on_match: xds.Message) -> str | None:
    route = xds.unpack(on_match.action.typed_config)
    return str(route.cluster) if route is not None and route.DESCRIPTOR.full_name == _ROUTE else None
