"""Source: request_mirror_policies of RouteAction, VirtualHost, RouteConfiguration, HttpProtocolOptions.

Target: proxy-mirror {host, sample_ratio}, in the plugin_config of what changes often.
Fidelity: A.
Differs: one policy, to one host: the service's name where the cluster's tells it (Istio), else the first usable
    endpoint. The Host header is that of the request, without `-shadow`. Copies present no client certificate: a cluster
    that wants one gets none.
Diagnostics: RA-MIRROR, TLS-UPSTREAM-UNVERIFIED.
See: mapping.md sections 5.7.2 and 6.1.4.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.diagnostics import DiagnosticClass
from translators.level import level_place
from translators.mappings.cluster.http_protocol_options import speaks_http2
from translators.mappings.cluster.transport_socket import choose_socket
from translators.mappings.endpoint.endpoint import read_endpoints
from translators.mappings.match.runtime_fraction import share_of
from translators.mappings.transport_socket import unwrap
from translators.variant import http_protocol_options, known_options, speaks_both
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from translators.findings import Findings
    from translators.mappings.endpoint.endpoint import Endpoint
    from translators.route_context import RouteContext

MIN_RATIO = 0.00001
"""The least that the plugin takes."""
_AFTER_PROXY_REWRITE = 1007
"""A priority below proxy-rewrite's 1008: what is sent on is what is mirrored."""
_FIELD = "request_mirror_policies"
_ISTIO_NAME = re.compile(r"outbound(?:\|(\d+)\|([^|]*)\||_\.(\d+)_\.([^_]*)_\.)([0-9a-zA-Z.-]+)\Z")
_HOST = re.compile(r"(?:[0-9a-zA-Z.-]+|\[[0-9a-fA-F:]+\])\Z")
_UNVERIFIED = "requests are not mirrored: APISIX does not verify whom it would send them to"


def mirror_of(
    action: xds.Message,
    cluster_names: Sequence[str],
    context: RouteContext,
    at: Where,
    findings: Findings,
    *,
    is_grpc: bool = False,
) -> dict[str, Any]:
    """Give the plugin that mirrors; empty when nothing is mirrored.

    Args:
        action: the RouteAction.
        cluster_names: where it leads.
        context: with the clusters and one endpoint of each that is mirrored to.
        at: the RouteAction.
        findings: receives the diagnostics.
        is_grpc: the requests are sent on as gRPC, of a cluster that speaks both protocols.
    """
    policies, place = _in_force(action, cluster_names, context, at)
    if not policies:
        return {}
    for index, policy in enumerate(policies[1:], 1):
        findings.report(
            "RA-MIRROR",
            place.item(_FIELD, index),
            value=policy.cluster or policy.cluster_header,
            effect="requests are mirrored by the first policy only",
        )
    leading = [context.clusters[name] for name in cluster_names if name in context.clusters]
    protocols = {is_grpc or speaks_http2(cluster) for cluster in leading}
    return _plugin(policies[0], protocols, context, place.item(_FIELD, 0), findings)


def mirrors_itself(cluster: xds.Message | None) -> bool:
    """Tell whether a cluster has policies of its own, which no route overrides."""
    options = http_protocol_options(cluster)
    return options is not None and bool(options.request_mirror_policies)


def _in_force(
    action: xds.Message, cluster_names: Sequence[str], context: RouteContext, at: Where
) -> tuple[Sequence[xds.Message], Where]:
    """Give the policies in force and their place: those of the cluster, else of the most specific level with any."""
    for name in cluster_names:
        options = known_options(name, context)
        if options is not None and options.request_mirror_policies:
            return options.request_mirror_policies, at.field("cluster")
    if action.request_mirror_policies:
        return action.request_mirror_policies, at
    virtual_host = context.virtual_host
    if virtual_host is not None and virtual_host.request_mirror_policies:
        return virtual_host.request_mirror_policies, level_place(virtual_host, at)
    return context.route_config.request_mirror_policies, Where(at.type_url, at.name)


def _plugin(
    policy: xds.Message, protocols: set[bool], context: RouteContext, at: Where, findings: Findings
) -> dict[str, Any]:
    dispatch.apply(policy, None, at, findings)
    ratio = share_of(policy.runtime_fraction.default_value) if policy.HasField("runtime_fraction") else 1.0
    if policy.cluster_header or ratio <= 0:
        return {}
    cluster = context.clusters.get(policy.cluster)
    if cluster is None:
        findings.report("RA-MIRROR", at.field("cluster"), value=f"{policy.cluster} is not known")
        return {}
    assignment = context.assignments.get(policy.cluster)
    endpoints = read_endpoints(assignment, Where("", policy.cluster), findings) if assignment is not None else []
    host = _host(policy.cluster, endpoints, at.field("cluster"), findings)
    scheme = _scheme(cluster, protocols, endpoints, at.field("cluster"), findings) if host else ""
    if not scheme:
        return {}
    conf: dict[str, Any] = {"_meta": {"priority": _AFTER_PROXY_REWRITE}, "host": f"{scheme}://{host}"}
    if ratio < 1:
        conf["sample_ratio"] = max(ratio, MIN_RATIO)
    return {"proxy-mirror": conf}


def _host(cluster: str, endpoints: list[Endpoint], at: Where, findings: Findings) -> str:
    """Give `host:port` of the cluster: its service's name, or its endpoint where the name says too little."""
    name = _ISTIO_NAME.match(cluster)
    usable = [f"{one.host}:{one.port}" for one in endpoints if _HOST.match(one.host)]
    if name is not None and (not (name[2] or name[4]) or not usable):
        if name[2] or name[4]:
            findings.report(
                "RA-MIRROR",
                at,
                value=cluster,
                effect="copies go to any endpoint of the service, not to those of the subset only",
                remedy="mirror to a service of its own",
                diagnostic_class=DiagnosticClass.APPROXIMATED,
            )
        return f"{name[5]}:{name[1] or name[3]}"
    if not usable:
        findings.report("RA-MIRROR", at, value=f"no usable endpoint of {cluster} is known")
        return ""
    return usable[0]


def _scheme(
    cluster: xds.Message, protocols: set[bool], endpoints: list[Endpoint], at: Where, findings: Findings
) -> str:
    """Give the scheme; empty when the cluster gets no copies: nginx copies a request in the protocol it is sent in."""
    is_grpc = speaks_http2(cluster) if not speaks_both(cluster) else True in protocols
    if protocols - {is_grpc}:
        findings.report("RA-MIRROR", at, value="one of the clusters speaks HTTP/2 and the other HTTP/1.1")
        return ""
    chosen, _, _ = choose_socket(cluster, endpoints, at, findings)
    socket = unwrap(chosen)
    if not socket.is_supported:
        findings.report("RA-MIRROR", at, value="the cluster has a transport socket that nginx does not speak")
        return ""
    scheme = "grpc" if is_grpc else "http"
    if socket.context is None:
        return scheme
    if socket.context.common_tls_context.tls_certificates:
        findings.report("RA-MIRROR", at, value="the cluster wants a client certificate, which copies do not present")
        return ""
    if findings.blocks("TLS-UPSTREAM-UNVERIFIED", at, value=cluster.name, effect=_UNVERIFIED):
        return ""
    return f"{scheme}s"
