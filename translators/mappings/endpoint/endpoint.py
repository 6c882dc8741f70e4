"""Source: ClusterLoadAssignment.endpoints, LbEndpoint, Endpoint.

Target: what upstream.nodes are computed from.
Fidelity: E for addresses; N for pipes, internal addresses, named ports and LEDS.
Differs: metadata stays out of the nodes.
Diagnostics: EP-ADDR, EP-LEDS.
See: mapping.md section 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas import xds
from translators import dispatch
from translators.mappings.endpoint.address import socket_of
from translators.mappings.endpoint.health_check_config import AS_USED, Probe, read_probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from translators.findings import Findings
    from translators.where import Where

_SUBSET_METADATA = "envoy.lb"
_SOCKET_METADATA = "envoy.transport_socket_match"
_HEALTH_NAMES = {0: "UNKNOWN", 1: "HEALTHY", 2: "UNHEALTHY", 3: "DRAINING", 4: "TIMEOUT", 5: "DEGRADED"}


@dataclass(frozen=True, slots=True)
class Locality:
    """A LocalityLbEndpoints: endpoints that share a place, a priority and, with locality weighting, a share.

    Attributes:
        name: region, zone and sub-zone.
        priority: 0 is tried first.
        weight: None when the locality has none.
    """

    name: tuple[str, str, str]
    priority: int = 0
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint with an address APISIX can use.

    Attributes:
        host: as in upstream.nodes: an IPv6 address is in brackets.
        port: 1..65535.
        weight: at least 1.
        health: name of core.v3.HealthStatus.
        hostname: its own host name; for a named address without one, the name.
        is_named: the address is a name, not an IP.
        subset: its `envoy.lb` metadata.
        probe: how it wants to be probed.
        socket_match: its `envoy.transport_socket_match` metadata, else its locality's.
    """

    host: str
    port: int
    locality: Locality
    weight: int = 1
    health: str = "UNKNOWN"
    hostname: str = ""
    is_named: bool = False
    subset: dict[str, Any] = field(default_factory=dict)
    socket_match: dict[str, Any] = field(default_factory=dict)
    probe: Probe = AS_USED


def read_endpoints(assignment: xds.Message, at: Where, findings: Findings, *, is_udp: bool = False) -> list[Endpoint]:
    """Read the endpoints of a ClusterLoadAssignment, in its order; those without a usable address are left out.

    Args:
        assignment: the ClusterLoadAssignment.
        at: where it stands.
        findings: receives the diagnostics.
        is_udp: addresses of UDP are usable.
    """
    dispatch.apply(assignment, None, at, findings)
    dispatch.apply(assignment.policy, None, at.field("policy"), findings)
    found: list[Endpoint] = []
    for index, group in enumerate(assignment.endpoints):
        place = at.item("endpoints", index)
        dispatch.apply(group, None, place, findings)
        if group.WhichOneof("lb_config") == "leds_cluster_locality_config":
            findings.report("EP-LEDS", place.field("leds_cluster_locality_config"))
            continue
        locality = Locality(
            (group.locality.region, group.locality.zone, group.locality.sub_zone),
            group.priority,
            group.load_balancing_weight.value if group.HasField("load_balancing_weight") else None,
        )
        found.extend(_in_locality(assignment, group, locality, place, findings, is_udp=is_udp))
    return found


def _in_locality(
    assignment: xds.Message, group: xds.Message, locality: Locality, at: Where, findings: Findings, *, is_udp: bool
) -> Iterator[Endpoint]:
    in_list = group.WhichOneof("lb_config") == "load_balancer_endpoints"
    path = "load_balancer_endpoints.lb_endpoints" if in_list else "lb_endpoints"
    for index, lb_endpoint in enumerate(group.load_balancer_endpoints.lb_endpoints if in_list else group.lb_endpoints):
        place = at.item(path, index)
        dispatch.apply(lb_endpoint, None, place, findings)
        if lb_endpoint.HasField("load_balancing_weight") and lb_endpoint.load_balancing_weight.value == 0:
            continue
        endpoint = _endpoint(assignment, lb_endpoint)
        if endpoint is None:
            findings.report("EP-ADDR", place.field("endpoint_name"), value=lb_endpoint.endpoint_name)
            continue
        dispatch.apply(endpoint, None, place.field("endpoint"), findings)
        socket = socket_of(endpoint.address, place.field("endpoint.address"), findings, is_udp=is_udp)
        if socket is not None:
            host, port, is_named = socket
            yield Endpoint(
                host,
                port,
                locality,
                lb_endpoint.load_balancing_weight.value if lb_endpoint.HasField("load_balancing_weight") else 1,
                _HEALTH_NAMES.get(lb_endpoint.health_status, "UNKNOWN"),
                endpoint.hostname or (host if is_named else ""),
                is_named,
                _metadata(lb_endpoint, _SUBSET_METADATA),
                _metadata(lb_endpoint, _SOCKET_METADATA) or _metadata(group, _SOCKET_METADATA),
                read_probe(endpoint) if endpoint.HasField("health_check_config") else AS_USED,
            )


def _endpoint(assignment: xds.Message, lb_endpoint: xds.Message) -> xds.Message | None:
    if lb_endpoint.WhichOneof("host_identifier") == "endpoint_name":
        return assignment.named_endpoints.get(lb_endpoint.endpoint_name)
    return lb_endpoint.endpoint


def _metadata(holder: xds.Message, namespace: str) -> dict[str, Any]:
    filters = holder.metadata.filter_metadata
    return xds.to_dict(filters[namespace]) if namespace in filters else {}
