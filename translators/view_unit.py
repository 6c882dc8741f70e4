"""Translate the unit `view`: what all nodes of a view share, and what their static configuration must provide."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Role
from translators.etcd_object import build_object
from translators.mappings.stream.network_filter import is_http
from translators.mappings.transport_socket import is_raw, unwrap
from translators.translation import Translation
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import Resource
    from translators.findings import Findings
    from translators.unit_view import UnitView

GLOBAL_RULE_ID = "xds"
ROUTER = "radixtree_host_uri"
"""The router the key closure is made for (mapping.md section 8)."""
PLUGINS = (
    "consumer-restriction",
    "fault-injection",
    "jwt-auth",
    "key-auth",
    "mocking",
    "openid-connect",
    "prometheus",
    "proxy-rewrite",
    "redirect",
    "response-rewrite",
    "traffic-split",
)
"""HTTP plugins that translations use; a node without one of them would skip it silently (mapping.md section 1.8)."""
STREAM_PLUGINS = ("limit-conn", "traffic-split")
_UDP = 1
_MAX_PORT = 65535


@dataclass(slots=True)
class _Port:
    """What the listeners want of one port, each by the place that wants it."""

    http: list[Where] = field(default_factory=list)
    https: list[Where] = field(default_factory=list)
    tcp: list[Where] = field(default_factory=list)
    tls: list[Where] = field(default_factory=list)
    udp: list[Where] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)
    has_http3: bool = False

    def loopback(self) -> str:
        """Give the loopback address that all its listeners stand on; empty when the port is open to others."""
        return min(self.addresses) if all(_is_loopback(address) for address in self.addresses) else ""


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate the view unit.

    Args:
        view: SUBJECT Listener stubs (address, chains with the names of their filters and their transport sockets);
            SIBLING resources without body: RouteConfigurations that listeners name and that are not known, and those
            of types that no unit carries; with body: RouteConfigurations that no listener names.
        findings: receives the diagnostics.

    Returns:
        The global rule (metrics) and the bootstrap manifest, JSON: `router`, `node_listen`, `ssl_listen`,
        `stream_tcp`, `stream_udp`, `plugins`, `stream_plugins` (mapping.md section 9).
    """
    for resource in view.unit.resources:
        if resource.role is Role.SIBLING and resource.type_url == xds.ROUTE_CONFIGURATION:
            _report_unserved(resource, findings)
        elif resource.role is Role.SIBLING:
            findings.report(
                "CFG-UNKNOWN-ANY", Where(resource.type_url, resource.name), effect="the resource is not translated"
            )
    ports: dict[int, _Port] = {}
    for name, listener in view.all(Role.SUBJECT, xds.LISTENER):
        _collect(listener, Where(xds.LISTENER, listener.name or name), ports, findings)
    manifest = _manifest(dict(sorted(ports.items())), findings)
    rule = build_object("global_rules", GLOBAL_RULE_ID, {"plugins": {"prometheus": {"prefer_name": True}}})
    return Translation([rule], orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode())


def _report_unserved(resource: Resource, findings: Findings) -> None:
    at = Where(resource.type_url, resource.name)
    if resource.body:
        remedy = "name it in the rds of a listener, or remove it"
        findings.report("RT-SHADOWED", at, effect="no listener names it, its routes are not served", remedy=remedy)
    else:
        findings.report("RT-PENDING", at)


def _collect(listener: xds.Message, at: Where, ports: dict[int, _Port], findings: Findings) -> None:
    if listener.HasField("internal_listener"):
        findings.report("LST-INTERNAL", at.field("internal_listener"))
        return
    if not _is_bound(listener):
        return
    addresses = [(listener.address, at.field("address"))]
    for index, additional in enumerate(listener.additional_addresses):
        addresses.append((additional.address, at.item("additional_addresses", index).field("address")))
    for address, place in addresses:
        socket = address.socket_address
        if address.WhichOneof("address") != "socket_address" or not 1 <= socket.port_value <= _MAX_PORT:
            kind = address.WhichOneof("address")
            value = f"port {socket.port_value}" if kind == "socket_address" else kind or "no address"
            findings.report("LST-ADDR", place, value=value)
            continue
        port = ports.setdefault(findings.policy.port_map.get(socket.port_value, socket.port_value), _Port())
        port.addresses.add(socket.address)
        if socket.protocol == _UDP:
            _want_udp(listener, place, port, findings)
        else:
            _want_tcp(listener, at, port, findings)


def _is_bound(listener: xds.Message) -> bool:
    if listener.HasField("bind_to_port") and not listener.bind_to_port.value:
        return False
    old = listener.deprecated_v1
    return not old.HasField("bind_to_port") or bool(old.bind_to_port.value)


def _want_udp(listener: xds.Message, at: Where, port: _Port, findings: Findings) -> None:
    if listener.udp_listener_config.HasField("quic_options"):
        port.has_http3 = True
        return
    port.udp.append(at)
    findings.report("LST-ADDR", at, value="UDP", effect="the UDP listener is not served")


def _want_tcp(listener: xds.Message, at: Where, port: _Port, findings: Findings) -> None:
    chains = [(chain, at.item("filter_chains", chain.name or i)) for i, chain in enumerate(listener.filter_chains)]
    if listener.HasField("default_filter_chain"):
        chains.append((listener.default_filter_chain, at.field("default_filter_chain")))
    for chain, place in chains:
        _note_scopes(chain, place, findings)
        is_tls = _speaks_tls(chain)
        if is_http(chain):
            (port.https if is_tls else port.http).append(place)
        else:
            (port.tls if is_tls else port.tcp).append(place)


def _speaks_tls(chain: xds.Message) -> bool:
    """Tell whether a chain has a TLS socket; a stub has only its name."""
    if not chain.HasField("transport_socket"):
        return False
    socket = chain.transport_socket
    return not is_raw(socket) if not socket.HasField("typed_config") else unwrap(socket).context is not None


def _note_scopes(chain: xds.Message, at: Where, findings: Findings) -> None:
    """Report scoped routes: a chain that uses them has no http unit."""
    for network_filter in chain.filters:
        hcm = xds.unpack(network_filter.typed_config) if network_filter.HasField("typed_config") else None
        if hcm is not None and "scoped_routes" in hcm.DESCRIPTOR.fields_by_name and hcm.HasField("scoped_routes"):
            findings.report(
                "CFG-UNKNOWN-ANY",
                at.item("filters", network_filter.name).field("scoped_routes"),
                value=hcm.scoped_routes.name,
                effect="the chain is not served: routes by scope are not translated",
                remedy="use rds or route_config",
            )


def _manifest(ports: dict[int, _Port], findings: Findings) -> dict[str, Any]:
    listen: dict[str, list[dict[str, Any]]] = {
        "node_listen": [],
        "ssl_listen": [],
        "stream_tcp": [],
        "stream_udp": [],
    }
    for number, port in ports.items():
        _note_clashes(number, port, findings)
        loopback = port.loopback()
        http = {"port": number, **({"ip": loopback} if loopback else {})}
        stream = {"addr": f"{loopback}:{number}" if loopback else number}
        if port.https or port.has_http3:
            listen["ssl_listen"].append(http | ({"enable_http3": True} if port.has_http3 else {}))
        elif port.http:
            listen["node_listen"].append(http)
        elif port.tls or port.tcp:
            listen["stream_tcp"].append(stream | {"tls": bool(port.tls)})
        if port.udp:
            listen["stream_udp"].append(stream)
    return {**listen, "plugins": list(PLUGINS), "router": ROUTER, "stream_plugins": list(STREAM_PLUGINS)}


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _note_clashes(number: int, port: _Port, findings: Findings) -> None:
    if port.https or port.tls:
        for place in port.http + (port.tcp if port.tls else []):
            findings.report("LST-TLS-MIX", place, value=str(number))
    if port.http or port.https:
        for place in port.tcp + port.tls:
            findings.report(
                "LST-PROTO-CLASH",
                place,
                value=str(number),
                effect="the chain is not served: the port speaks HTTP",
                remedy="give HTTP and other protocols ports of their own",
            )
    if port.udp and (port.tcp or port.tls):
        for place in port.udp:
            findings.report("LST-PROTO-CLASH", place, value=str(number))
