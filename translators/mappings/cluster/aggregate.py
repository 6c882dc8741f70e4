"""Source: envoy.extensions.clusters.aggregate.v3.ClusterConfig.

Target: upstream.nodes of all members, those of each behind those of the members before it.
Fidelity: A.
Differs: all members are spoken to in the way of the first that has endpoints, and chosen from by its policy.
Diagnostics: RA-CLUSTER-UNKNOWN, CL-TLS-MIXED, CL-FEATURE.
See: mapping.md section 6.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.records import Severity
from translators.cluster_backend import Backend
from translators.mappings.cluster.load_balancing_policy import HASHES, LbPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.mappings.tls.client_certificate import ClientCertificate
    from translators.where import Where

PRIORITIES_PER_MEMBER = 1000
"""More than a cluster can have, so that a new priority in one member renumbers no other."""


def joined(own: Backend, members: Sequence[Backend], at: Where, findings: Findings) -> Backend:
    """Join the members of an aggregate.

    Args:
        own: the aggregate, which has no endpoints.
        members: the known ones that are no aggregates, in order.
        at: the aggregate.
        findings: receives the diagnostics.
    """
    lead = next((member for member in members if member.endpoints), None)
    if lead is None:
        return replace(own, endpoints=[])
    endpoints: list[Endpoint] = []
    for index, member in enumerate(members):
        if member.endpoints and _protocol(member) != _protocol(lead):
            findings.report(
                "CL-TLS-MIXED",
                at.item("cluster_type.clusters", member.draft.name),
                effect="the member is left out: it is not spoken to as the members before it",
                remedy="give all members one transport socket, certificate and protocol",
            )
            continue
        endpoints += [_behind(endpoint, index * PRIORITIES_PER_MEMBER) for endpoint in member.endpoints]
    policy = replace(lead.draft.policy, subset=None)
    if policy.name in HASHES:
        findings.report(
            "CL-FEATURE", at.field("lb_policy"), effect="endpoints are not chosen by hash", severity=Severity.INFO
        )
        policy = LbPolicy("ROUND_ROBIN", policy.is_locality_weighted)
    draft = replace(lead.draft, name=own.draft.name, policy=policy, is_closed=own.draft.is_closed)
    return Backend(draft, lead.tls, [] if own.draft.is_closed else endpoints, lead.assignment)


def _protocol(backend: Backend) -> tuple[bool, bool, ClientCertificate]:
    return backend.tls.is_used, backend.draft.is_http2, backend.tls.certificate


def _behind(endpoint: Endpoint, offset: int) -> Endpoint:
    locality = endpoint.locality
    return replace(endpoint, locality=replace(locality, priority=locality.priority + offset))
