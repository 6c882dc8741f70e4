"""What a cluster leads to: its endpoints, how they are spoken to, and the settings of its upstreams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas import xds
from schemas.records import Severity
from translators import dispatch
from translators.mappings.cluster.load_balancing_policy import effective_policy
from translators.mappings.cluster.transport_socket import choose_socket
from translators.mappings.cluster.upstream_tls import UpstreamTLS, read_upstream_tls
from translators.mappings.endpoint.endpoint import read_endpoints
from translators.mappings.endpoint.health_check_config import with_probes
from translators.upstream_draft import Discovery, UpstreamDraft
from translators.where import Where

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint

_EMPTY = "the cluster answers 503"
_FILL = "give the cluster endpoints"


@dataclass(frozen=True, slots=True)
class Backend:
    """A cluster, read.

    Attributes:
        draft: the settings that all its upstreams share.
        tls: what its transport socket comes to.
        endpoints: those that are used; none when the cluster is closed.
        assignment: where they come from; None while it is not known.
    """

    draft: UpstreamDraft
    tls: UpstreamTLS
    endpoints: list[Endpoint]
    assignment: xds.Message | None


def read_backend(
    cluster: xds.Message,
    assignment: xds.Message | None,
    findings: Findings,
    *,
    uses: list[xds.Message],
    secrets: dict[str, xds.Message],
    is_udp: bool = False,
) -> Backend:
    """Read a cluster.

    Args:
        cluster: the Cluster, its own load_assignment aside.
        assignment: its ClusterLoadAssignment.
        findings: receives the diagnostics.
        uses: the RouteActions that lead to it.
        secrets: the known secrets by name.
        is_udp: a UDP listener leads to it, so its endpoints may be of UDP.
    """
    at = Where(xds.CLUSTER, cluster.name)
    draft = UpstreamDraft(cluster.name, policy=effective_policy(cluster))
    draft.is_closed = not dispatch.apply(cluster, draft, at, findings)
    endpoints = _endpoints(assignment, draft, at, findings, is_udp=is_udp)
    draft.checks = with_probes(draft.checks, endpoints, assignment_place(assignment, cluster.name), findings)
    socket, endpoints, place = choose_socket(cluster, endpoints, at, findings)
    tls = read_upstream_tls(cluster, socket, place, findings, uses=uses, secrets=secrets)
    if draft.is_closed or tls.is_closed or draft.discovery is Discovery.UNSUPPORTED:
        endpoints = []
    return Backend(draft, tls, endpoints, assignment)


def assignment_place(assignment: xds.Message | None, name: str) -> Where:
    """Give the place of a cluster's endpoints."""
    return Where(xds.CLUSTER_LOAD_ASSIGNMENT, assignment.cluster_name if assignment is not None else name)


def _endpoints(
    assignment: xds.Message | None, draft: UpstreamDraft, at: Where, findings: Findings, *, is_udp: bool
) -> list[Endpoint]:
    if _has_no_endpoints(assignment, draft):
        findings.report("EP-PENDING", at, value="no endpoints", severity=Severity.INFO, effect=_EMPTY, remedy=_FILL)
    if assignment is not None:
        place = assignment_place(assignment, draft.name)
        return read_endpoints(assignment, place, findings, is_udp=is_udp)
    if draft.discovery is Discovery.EDS:
        findings.report("EP-PENDING", at)
    return []


def _has_no_endpoints(assignment: xds.Message | None, draft: UpstreamDraft) -> bool:
    """Tell whether nothing is to come: what EDS has not said yet, and a type that has no endpoints, is said apart."""
    if assignment is None:
        return draft.discovery not in (Discovery.EDS, Discovery.AGGREGATE, Discovery.UNSUPPORTED)
    return all(not _has_any(locality) for locality in assignment.endpoints)


def _has_any(locality: xds.Message) -> bool:
    return bool(locality.lb_endpoints) or locality.WhichOneof("lb_config") is not None
