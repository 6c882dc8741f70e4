"""Translate units of the kind `cluster`: a Cluster and its endpoints into one upstream per variant that is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import xds
from schemas.records import Role, Severity
from translators import dispatch
from translators.etcd_object import build_object
from translators.ids import label, object_name
from translators.mappings.cluster.health_check import with_tls
from translators.mappings.cluster.load_balancing_policy import effective_policy, type_of
from translators.mappings.cluster.subset import subset_of
from translators.mappings.cluster.transport_socket import choose_socket
from translators.mappings.cluster.upstream_host import host_of
from translators.mappings.cluster.upstream_tls import UpstreamTLS, read_upstream_tls
from translators.mappings.duration import UNBOUNDED_S
from translators.mappings.endpoint.endpoint import read_endpoints
from translators.mappings.endpoint.health import DEFAULT_FACTOR_PERCENT, Panic
from translators.mappings.endpoint.node import NodeRule, build_nodes
from translators.translation import Translation
from translators.upstream_draft import Discovery, UpstreamDraft
from translators.variant import upstream_id, variant_of
from translators.where import Where

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.unit_view import UnitView
    from translators.variant import Variant

MAX_VARIANTS = 4
"""More variants than this, or more than one with health checks, are worth a CL-VARIANTS (mapping.md section 9)."""
_EMPTY = "the cluster answers 503"
_FILL = "give the cluster endpoints"
L7_TIMEOUT_S = 60
"""Send and read timeout of an upstream; routes bring their own (mapping.md section 5.6)."""


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate a cluster unit.

    Args:
        view: SUBJECT Cluster without load_assignment, SUBJECT ClusterLoadAssignment if it is known, one USE per
            distinct way routes (RouteAction) and TCP proxies (TcpProxy) use the cluster, REFERENCE Secrets.
        findings: receives the diagnostics.

    Returns:
        One upstream per variant; none when nobody uses the cluster.
    """
    cluster = view.subject(xds.CLUSTER)
    if cluster is None:
        return Translation()
    at = Where(xds.CLUSTER, cluster.name)
    draft = UpstreamDraft(cluster.name, policy=effective_policy(cluster))
    draft.is_closed = not dispatch.apply(cluster, draft, at, findings)
    assignment = _assignment(view, cluster)
    endpoints = _endpoints(assignment, draft, at, findings)
    socket, endpoints, place = choose_socket(cluster, endpoints, at, findings)
    uses = [use for _, use in view.all(Role.USE, xds.ROUTE_ACTION)]
    tls = read_upstream_tls(cluster, socket, place, findings, uses=uses, secrets=view.references(xds.SECRET))
    if draft.is_closed or tls.is_closed or draft.discovery is Discovery.UNSUPPORTED:
        endpoints = []
    variants = _variants(view, cluster)
    if len(variants) > MAX_VARIANTS or (draft.checks and len(variants) > 1):
        findings.report("CL-VARIANTS", at, value=str(len(variants)))
    writer = _Writer(cluster, assignment, draft, tls, endpoints, findings)
    objects = [build_object("upstreams", upstream_id(cluster.name, v), writer.upstream(v)) for v in variants]
    return Translation(objects, origins={built.key: at for built in objects})


def _assignment(view: UnitView, cluster: xds.Message) -> xds.Message | None:
    found = view.subject(xds.CLUSTER_LOAD_ASSIGNMENT)
    if found is None and cluster.HasField("load_assignment"):
        return cluster.load_assignment
    return found


def _endpoints(assignment: xds.Message | None, draft: UpstreamDraft, at: Where, findings: Findings) -> list[Endpoint]:
    if _has_no_endpoints(assignment, draft):
        findings.report("EP-PENDING", at, value="no endpoints", severity=Severity.INFO, effect=_EMPTY, remedy=_FILL)
    if assignment is not None:
        return read_endpoints(assignment, Where(xds.CLUSTER_LOAD_ASSIGNMENT, assignment.cluster_name), findings)
    if draft.discovery is Discovery.EDS:
        findings.report("EP-PENDING", at)
    return []


def _has_no_endpoints(assignment: xds.Message | None, draft: UpstreamDraft) -> bool:
    """Tell whether nothing is to come: what EDS has not said yet, and a type that has no endpoints, is said apart."""
    if assignment is None:
        return draft.discovery not in (Discovery.EDS, Discovery.UNSUPPORTED)
    return all(not _has_any(locality) for locality in assignment.endpoints)


def _has_any(locality: xds.Message) -> bool:
    return bool(locality.lb_endpoints) or locality.WhichOneof("lb_config") is not None


def _variants(view: UnitView, cluster: xds.Message) -> list[Variant]:
    found = {variant_of(cluster, use, "l7") for _, use in view.all(Role.USE, xds.ROUTE_ACTION)}
    found |= {variant_of(cluster, use, "l4") for _, use in view.all(Role.USE, xds.TCP_PROXY)}
    return sorted(found, key=lambda variant: variant.canonical())


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the upstreams of one cluster; they differ by variant only."""

    cluster: xds.Message
    assignment: xds.Message | None
    draft: UpstreamDraft
    tls: UpstreamTLS
    endpoints: list[Endpoint]
    findings: Findings

    def upstream(self, variant: Variant) -> dict[str, Any]:
        """Give the upstream of a variant."""
        draft = self.draft
        endpoints = subset_of(self.endpoints, variant.subset, draft.policy.subset)
        value: dict[str, Any] = {
            "labels": {"xds.cluster": label(draft.name)},
            "name": object_name(draft.name),
            "nodes": self._nodes(endpoints, variant),
            "retries": variant.retries,
            "scheme": self._scheme(variant),
            "timeout": self._timeout(variant),
            "type": type_of(draft.policy, variant.hash_on),
        }
        if summary := variant.summary():
            value["labels"]["xds.var"] = label(summary)
        if draft.checks:
            value["checks"] = with_tls(draft.checks) if self.tls.is_used else draft.checks
        if variant.hash_on:
            value |= {"hash_on": variant.hash_on, "key": variant.hash_key}
        if variant.layer == "l7":
            value |= {"keepalive_pool": draft.keepalive_pool, **self._host(endpoints, variant)}
            if variant.retry_timeout_s > 0:
                value["retry_timeout"] = variant.retry_timeout_s
        return value

    def _nodes(self, endpoints: list[Endpoint], variant: Variant) -> list[dict[str, Any]]:
        draft = self.draft
        rule = NodeRule(
            Panic(draft.panic_threshold_percent, self._factor_percent(), draft.fails_on_panic),
            is_locality_weighted=draft.policy.is_locality_weighted,
            is_hashed=bool(variant.hash_on),
            is_ordered=draft.policy.name == "PICK_FIRST",
        )
        name = self.assignment.cluster_name if self.assignment is not None else draft.name
        return build_nodes(endpoints, rule, Where(xds.CLUSTER_LOAD_ASSIGNMENT, name), self.findings)

    def _factor_percent(self) -> int:
        if self.assignment is None or not self.assignment.policy.HasField("overprovisioning_factor"):
            return DEFAULT_FACTOR_PERCENT
        return int(self.assignment.policy.overprovisioning_factor.value)

    def _scheme(self, variant: Variant) -> str:
        if variant.layer == "l4":
            return "tls" if self.tls.is_used else "tcp"
        return ("grpc" if self.draft.is_http2 else "http") + ("s" if self.tls.is_used else "")

    def _timeout(self, variant: Variant) -> dict[str, float]:
        io_s: float = L7_TIMEOUT_S
        if variant.layer == "l4":
            io_s = variant.idle_timeout_s if variant.idle_timeout_s > 0 else UNBOUNDED_S
        return {"connect": self.draft.connect_timeout_s, "read": io_s, "send": io_s}

    def _host(self, endpoints: list[Endpoint], variant: Variant) -> dict[str, str]:
        if variant.pass_host == "rewrite":  # noqa: S105 - a mode, not a password
            return {"pass_host": "rewrite", "upstream_host": variant.upstream_host}
        if variant.pass_host == "node":  # noqa: S105 - a mode, not a password
            return host_of(endpoints, Where(xds.CLUSTER, self.cluster.name), self.findings)
        return {"pass_host": "pass"}
