"""Source: Cluster.type, Cluster.cluster_type.

Target: whether upstream.nodes come from addresses, names or discovery.
Fidelity: E for STATIC, EDS, LOGICAL_DNS; A for STRICT_DNS and aggregates; N for the rest.
Differs: a name resolves to one address per lookup, not to all of them.
Diagnostics: CL-TYPE, CL-ORIGDST, CL-FEATURE.
See: mapping.md section 6.1; corpus-frequency.md, "easy to get wrong" 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Severity
from translators.mappings.cluster.member import member_names
from translators.upstream_draft import Discovery

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.upstream_draft import UpstreamDraft
    from translators.where import Where

DNS_CLUSTER = "envoy.extensions.clusters.dns.v3.DnsCluster"
_NAMED = frozenset((Discovery.STATIC, Discovery.EDS, Discovery.STRICT_DNS, Discovery.LOGICAL_DNS))
_ORIGINAL_DST = "ORIGINAL_DST"


def apply_type(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read the enum `type`."""
    names = cluster.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    name = names[cluster.type].name if cluster.type in names else str(cluster.type)
    if name == _ORIGINAL_DST:
        findings.report("CL-ORIGDST", at.field("type"), value=name)
        draft.discovery = Discovery.UNSUPPORTED
    elif name not in _NAMED:
        findings.report("CL-TYPE", at.field("type"), value=name)
        draft.discovery = Discovery.UNSUPPORTED
    else:
        draft.discovery = Discovery(name)
        _note_resolution(draft, at.field("type"), findings)


def apply_cluster_type(cluster: xds.Message, draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    """Read the extension `cluster_type`, which replaces `type`."""
    if member_names(cluster):
        draft.discovery = Discovery.AGGREGATE
        return
    extension = xds.unpack(cluster.cluster_type.typed_config)
    if extension is None or extension.DESCRIPTOR.full_name != DNS_CLUSTER:
        findings.report("CL-TYPE", at.field("cluster_type"), value=cluster.cluster_type.name)
        draft.discovery = Discovery.UNSUPPORTED
        return
    draft.discovery = Discovery.LOGICAL_DNS if extension.all_addresses_in_single_endpoint else Discovery.STRICT_DNS
    _note_resolution(draft, at.field("cluster_type"), findings)


def _note_resolution(draft: UpstreamDraft, at: Where, findings: Findings) -> None:
    if draft.discovery is Discovery.STRICT_DNS and not findings.policy.dns_servers:
        findings.report(
            "CL-FEATURE",
            at,
            value=Discovery.STRICT_DNS,
            effect="one address of each name is used per lookup, not all of them at once",
            remedy="use EDS, or accept the difference",
            severity=Severity.INFO,
        )
