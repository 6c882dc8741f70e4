"""Translate units of the kind `cluster`: a Cluster and its endpoints into one upstream per variant that is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from schemas import xds
from schemas.records import Role
from translators.cluster_backend import assignment_place, read_backend
from translators.etcd_object import build_object
from translators.ids import label, object_name
from translators.mappings.cluster.aggregate import joined
from translators.mappings.cluster.health_check import with_tls
from translators.mappings.cluster.load_balancing_policy import type_of
from translators.mappings.cluster.member import member_names
from translators.mappings.cluster.subset import subset_of
from translators.mappings.cluster.upstream_host import host_of
from translators.mappings.duration import UNBOUNDED_S
from translators.mappings.endpoint.health import DEFAULT_FACTOR_PERCENT, Panic
from translators.mappings.endpoint.node import NodeRule, build_nodes
from translators.translation import Translation
from translators.upstream_draft import Discovery
from translators.variant import speaks_both, upstream_id, variant_of
from translators.where import Where

if TYPE_CHECKING:
    from translators.cluster_backend import Backend
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.unit_view import UnitView
    from translators.variant import Variant

MAX_VARIANTS = 4
"""More variants than this, or more than one with health checks, are worth a CL-VARIANTS (mapping.md section 9)."""
L7_TIMEOUT_S = 60
"""Send and read timeout of an upstream; routes bring their own (mapping.md section 5.6)."""


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate a cluster unit.

    Args:
        view: SUBJECT Cluster without load_assignment, SUBJECT ClusterLoadAssignment if it is known, one USE per
            distinct way routes (RouteAction) and proxies (TcpProxy, UdpProxyConfig) use it, REFERENCE Secrets; of an
            aggregate, REFERENCE Clusters and ClusterLoadAssignments of its members, in its order, by their names.
        findings: receives the diagnostics.

    Returns:
        One upstream per variant, and the ssl object of an inline client certificate; none when nobody uses the cluster.
    """
    cluster = view.subject(xds.CLUSTER)
    if cluster is None:
        return Translation()
    at = Where(xds.CLUSTER, cluster.name)
    backend = _backend(cluster, view, at, findings)
    variants = _variants(view, cluster)
    if len(variants) > MAX_VARIANTS or (backend.draft.checks and len(variants) > 1):
        findings.report("CL-VARIANTS", at, value=str(len(variants)))
    writer = _Writer(cluster, backend, findings)
    objects = [build_object("upstreams", upstream_id(cluster.name, v), writer.upstream(v)) for v in variants]
    if objects and (ssl := backend.tls.certificate.ssl(cluster.name)) is not None:
        objects.append(ssl)
    return Translation(objects, origins={built.key: at for built in objects})


def _backend(cluster: xds.Message, view: UnitView, at: Where, findings: Findings) -> Backend:
    uses = [use for _, use in view.all(Role.USE, xds.ROUTE_ACTION)]
    secrets = view.references(xds.SECRET)
    assignment = view.subject(xds.CLUSTER_LOAD_ASSIGNMENT)
    is_udp = bool(view.all(Role.USE, xds.UDP_PROXY))
    own = read_backend(cluster, _assignment(cluster, assignment), findings, uses=uses, secrets=secrets, is_udp=is_udp)
    if own.draft.discovery is not Discovery.AGGREGATE:
        return own
    members, assignments = view.references(xds.CLUSTER), view.references(xds.CLUSTER_LOAD_ASSIGNMENT)
    for name in member_names(cluster):
        if name not in members and name != cluster.name:
            place = at.item("cluster_type.clusters", name)
            findings.report("RA-CLUSTER-UNKNOWN", place, value=name, effect="the member is left out")
    leaves = {name: member for name, member in members.items() if not member_names(member)}
    if not leaves:
        findings.report("CL-TYPE", at.field("cluster_type"), value="an aggregate of no cluster that has endpoints")
    backends = [
        read_backend(
            member, _assignment(member, assignments.get(name)), findings, uses=uses, secrets=secrets, is_udp=is_udp
        )
        for name, member in leaves.items()
    ]
    return joined(own, backends, at, findings)


def _assignment(cluster: xds.Message, delivered: xds.Message | None) -> xds.Message | None:
    if delivered is None and cluster.HasField("load_assignment"):
        return cluster.load_assignment
    return delivered


def _variants(view: UnitView, cluster: xds.Message) -> list[Variant]:
    found = {variant_of(cluster, use, "l7") for _, use in view.all(Role.USE, xds.ROUTE_ACTION)}
    if speaks_both(cluster):
        found |= {replace(variant, is_grpc=True) for variant in found}
    found |= {variant_of(cluster, use, "udp") for _, use in view.all(Role.USE, xds.UDP_PROXY)}
    found |= {variant_of(cluster, use, "l4") for _, use in view.all(Role.USE, xds.TCP_PROXY)}
    return sorted(found, key=lambda variant: variant.canonical())


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the upstreams of one cluster; they differ by variant only."""

    cluster: xds.Message
    backend: Backend
    findings: Findings

    def upstream(self, variant: Variant) -> dict[str, Any]:
        """Give the upstream of a variant."""
        draft = self.backend.draft
        endpoints = subset_of(self.backend.endpoints, variant.subset, draft.policy.subset)
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
        if (service := self._service(endpoints)) is not None:
            del value["nodes"]
            value |= service
        if draft.checks:
            value["checks"] = self._checks()
        if (certificate := self.backend.tls.certificate.ssl_id(draft.name)) and variant.layer != "udp":
            value["tls"] = {"client_cert_id": certificate}
        if variant.hash_on:
            value |= {"hash_on": variant.hash_on, "key": variant.hash_key}
        if variant.layer == "l7":
            value |= {"keepalive_pool": draft.keepalive_pool, **self._host(endpoints, variant)}
            if variant.retry_timeout_s > 0:
                value["retry_timeout"] = variant.retry_timeout_s
        return value

    def _checks(self) -> dict[str, Any]:
        checks, tls = self.backend.draft.checks, self.backend.tls
        if not tls.is_used:
            return checks
        at = Where(xds.CLUSTER, self.cluster.name)
        return with_tls(checks, at, self.findings, has_certificate=bool(tls.certificate.ssl_id(self.cluster.name)))

    def _service(self, endpoints: list[Endpoint]) -> dict[str, str] | None:
        """Give what stands for the nodes where DNS discovery finds them: it knows one name of one upstream."""
        is_strict = self.backend.draft.discovery is Discovery.STRICT_DNS
        if not (self.findings.policy.dns_servers and is_strict and len(endpoints) == 1 and endpoints[0].is_named):
            return None
        return {"discovery_type": "dns", "service_name": f"{endpoints[0].host}:{endpoints[0].port}"}

    def _nodes(self, endpoints: list[Endpoint], variant: Variant) -> list[dict[str, Any]]:
        draft = self.backend.draft
        rule = NodeRule(
            Panic(draft.panic_threshold_percent, self._factor_percent(), draft.fails_on_panic),
            is_locality_weighted=draft.policy.is_locality_weighted,
            is_hashed=bool(variant.hash_on),
            is_ordered=draft.policy.name == "PICK_FIRST",
        )
        place = assignment_place(self.backend.assignment, self.cluster.name)
        return build_nodes(endpoints, rule, place, self.findings)

    def _factor_percent(self) -> int:
        assignment = self.backend.assignment
        if assignment is None or not assignment.policy.HasField("overprovisioning_factor"):
            return DEFAULT_FACTOR_PERCENT
        return int(assignment.policy.overprovisioning_factor.value)

    def _scheme(self, variant: Variant) -> str:
        if variant.layer == "udp":
            return "udp"
        if variant.layer == "l4":
            return "tls" if self.backend.tls.is_used else "tcp"
        is_grpc = self.backend.draft.is_http2 or variant.is_grpc
        return ("grpc" if is_grpc else "http") + ("s" if self.backend.tls.is_used else "")

    def _timeout(self, variant: Variant) -> dict[str, float]:
        io_s: float = L7_TIMEOUT_S
        if variant.layer != "l7":
            io_s = variant.idle_timeout_s if variant.idle_timeout_s > 0 else UNBOUNDED_S
        return {"connect": self.backend.draft.connect_timeout_s, "read": io_s, "send": io_s}

    def _host(self, endpoints: list[Endpoint], variant: Variant) -> dict[str, str]:
        if variant.pass_host == "rewrite":  # noqa: S105 - a mode, not a password
            return {"pass_host": "rewrite", "upstream_host": variant.upstream_host}
        if variant.pass_host == "node":  # noqa: S105 - a mode, not a password
            return host_of(endpoints, Where(xds.CLUSTER, self.cluster.name), self.findings)
        return {"pass_host": "pass"}
