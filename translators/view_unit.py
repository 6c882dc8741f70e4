"""Translate the unit `view`: what all nodes of a view share, and what their static configuration must provide."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Role
from translators.etcd_object import build_object
from translators.findings import Findings
from translators.http_filter import manager_place
from translators.mappings.listener.listener_filter import speaks_proxy_protocol
from translators.mappings.stream.filter_chain_match import read_addresses, read_servers
from translators.mappings.stream.network_filter import is_http
from translators.mappings.transport_socket import is_raw, unwrap
from translators.node_setting import NodeSettings
from translators.proxy_protocol import ProxyPort, proxy_protocol
from translators.redirect import Redirect, destined_port, redirect
from translators.scope import Chain, is_bound
from translators.translation import Translation
from translators.view_rule import Managed, global_rule
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import Resource
    from translators.policy import Policy
    from translators.unit_view import UnitView

ROUTER = "radixtree_host_uri"
"""The router the key closure is made for (mapping.md section 8)."""
PLUGINS = (
    "client-control",
    "consumer-restriction",
    "fault-injection",
    "file-logger",
    "forward-auth",
    "grpc-web",
    "gzip",
    "jwt-auth",
    "key-auth",
    "limit-conn",
    "limit-count",
    "limit-req",
    "mocking",
    "opa",
    "openid-connect",
    "opentelemetry",
    "prometheus",
    "proxy-mirror",
    "proxy-rewrite",
    "real-ip",
    "redirect",
    "request-id",
    "response-rewrite",
    "skywalking",
    "traffic-split",
    "workflow",
    "zipkin",
)
"""HTTP plugins that translations use; a node without one of them would skip it silently (mapping.md section 1.8)."""
STREAM_PLUGINS = ("ip-restriction", "limit-conn", "traffic-split")
_HCM = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
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
    proxied: dict[bool, Where] = field(default_factory=dict)
    """Whether PROXY protocol is spoken -> a place that says so."""
    has_http3: bool = False

    def loopback(self) -> str:
        """Give the loopback address that all its listeners stand on; empty when the port is open to others."""
        if not all(_is_loopback(address) for address in self.addresses):
            return ""
        address = min(self.addresses)
        return f"[{address}]" if ":" in address else address


def translate(view: UnitView, findings: Findings) -> Translation:
    """Translate the view unit.

    Args:
        view: SUBJECT Listener stubs (address, chains with the names of their filters and their transport sockets);
            SIBLING resources without body: RouteConfigurations that listeners name and that are not known,
            ScopedRouteConfigurations that no listener takes (one without a name when all are awaited), and those of
            types that no unit carries; with body: RouteConfigurations that no listener names.
        findings: receives the diagnostics.

    Returns:
        The global rule, plugin_metadata, and the bootstrap manifest, JSON: `router`, `node_listen`, `ssl_listen`,
        `stream_tcp`, `stream_udp`, `plugins`, `stream_plugins`; where they are wanted `proxy_protocol`, `ssl`,
        `enable_http2`, `nginx_http`, `http_snippet`, `trusted_addresses`, `plugin_attr`; `dns_servers`
        where the policy names any (mapping.md section 9).
    """
    for resource in view.unit.resources:
        if resource.role is Role.SIBLING and resource.type_url == xds.ROUTE_CONFIGURATION:
            _report_unserved(resource, findings)
        elif resource.role is Role.SIBLING and resource.type_url == xds.SCOPED_ROUTE_CONFIGURATION:
            _report_scope(resource, findings)
        elif resource.role is Role.SIBLING:
            findings.report(
                "CFG-UNKNOWN-ANY", Where(resource.type_url, resource.name), effect="the resource is not translated"
            )
    ports: dict[int, _Port] = {}
    redirects: dict[Redirect, Where] = {}
    settings, managed = NodeSettings(), []
    listeners = [listener for _, listener in view.all(Role.SUBJECT, xds.LISTENER)]
    for listener in listeners:
        at = Where(xds.LISTENER, listener.name)
        _collect(listener, at, ports, findings)
        _collect_redirected(listener, at, ports, redirects, findings.policy)
        managed += _managed(listener, at, settings, findings)
    manifest = _manifest(dict(sorted(ports.items())), findings)
    manifest |= _redirects(redirects, findings)
    settings.is_proxied = "proxy_protocol" in manifest
    manifest |= settings.manifest(findings)
    objects = [global_rule(managed, listeners, findings.policy)]
    if settings.opentelemetry:
        objects.append(build_object("plugin_metadata", "opentelemetry", settings.opentelemetry))
    return Translation(objects, orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS).decode())


def _report_unserved(resource: Resource, findings: Findings) -> None:
    at = Where(resource.type_url, resource.name)
    if resource.body:
        remedy = "name it in the rds of a listener, or remove it"
        findings.report("RT-SHADOWED", at, effect="no listener names it, its routes are not served", remedy=remedy)
    else:
        findings.report("RT-PENDING", at)


def _report_scope(resource: Resource, findings: Findings) -> None:
    at = Where(resource.type_url, resource.name)
    if resource.name:
        effect = "no listener takes its routes by scope, it is not served"
        findings.report("RT-SHADOWED", at, effect=effect, remedy="use scoped_routes in a listener, or remove it")
    else:
        effect = "listeners with scoped_rds answer 404 until a scope arrives"
        findings.report("RT-PENDING", at, effect=effect, remedy="check that the source has ScopedRouteConfigurations")


def _collect(listener: xds.Message, at: Where, ports: dict[int, _Port], findings: Findings) -> None:
    if listener.HasField("internal_listener"):
        findings.report("LST-INTERNAL", at.field("internal_listener"))
        return
    if not is_bound(listener):
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
            _want_tcp(listener, at, port, socket.port_value, findings.policy)


def _collect_redirected(
    listener: xds.Message, at: Where, ports: dict[int, _Port], redirects: dict[Redirect, Where], policy: Policy
) -> None:
    """Note the ports of chains whose connections the node redirects; their faults are the stream unit's to report."""
    for network, own in read_addresses(listener, at, Findings(policy)):
        for chain, place in _chains(listener, at):
            destined = 0 if is_http(chain) else destined_port(listener, chain.filter_chain_match, own, policy)
            if not destined:
                continue
            for server in read_servers(chain.filter_chain_match, network):
                found = redirect(listener, server, destined, policy)
                redirects.setdefault(found, place)
                port = ports.setdefault(found.to, _Port())
                port.addresses.add("0.0.0.0")  # noqa: S104 - the address is noted, nobody listens here
                (port.tls if _speaks_tls(chain) else port.tcp).append(place)


def _chains(listener: xds.Message, at: Where) -> list[tuple[xds.Message, Where]]:
    chains = [(chain, at.item("filter_chains", chain.name or i)) for i, chain in enumerate(listener.filter_chains)]
    if listener.HasField("default_filter_chain"):
        chains.append((listener.default_filter_chain, at.field("default_filter_chain")))
    return chains


def _redirects(redirects: dict[Redirect, Where], findings: Findings) -> dict[str, Any]:
    """Give the rules for the manifest, and report destinations that fall on one port."""
    taken: dict[int, Redirect] = {}
    for found in sorted(redirects, key=Redirect.rank):
        first = taken.setdefault(found.to, found)
        if first is not found:
            findings.report(
                "LST-STREAM-OVERLAP",
                redirects[found],
                value=found.name(),
                effect=f"it falls on port {found.to}, as {first.name()} does",
                remedy="give one of them another port: `redirects.ports` of the policy",
            )
    return {"redirects": [found.rule() for found in sorted(redirects, key=Redirect.rank)]} if redirects else {}


def _managed(listener: xds.Message, at: Where, settings: NodeSettings, findings: Findings) -> list[Managed]:
    """Give the HTTP chains of a listener, and note what its chains want of the node."""
    chains = [*listener.filter_chains]
    matches = [chain.filter_chain_match for chain in chains]
    if listener.HasField("default_filter_chain"):
        chains.append(listener.default_filter_chain)
    managed = []
    for index, chain in enumerate(chains):
        is_default = index == len(matches)
        socket = unwrap(chain.transport_socket) if chain.transport_socket.HasField("typed_config") else None
        if socket is not None and socket.context is not None:
            settings.add_context(socket.context, at.item("filter_chains", chain.name or index))
            settings.has_fallback |= not chain.filter_chain_match.server_names
        hcm = xds.unpack(chain.filters[-1].typed_config) if is_http(chain) else None
        if hcm is not None and hcm.DESCRIPTOR.full_name == _HCM:
            settings.add_manager(hcm, manager_place(listener.name, chain.name or str(index)), findings)
            siblings = tuple(matches[:index] + matches[index + 1 :])
            managed.append(Managed(listener, Chain(chain, siblings, is_default=is_default), hcm, at))
    return managed


def _want_udp(listener: xds.Message, at: Where, port: _Port, findings: Findings) -> None:
    if listener.udp_listener_config.HasField("quic_options"):
        port.has_http3 = True
        return
    port.udp.append(at)
    if all(listed.typed_config.type_url != xds.UDP_PROXY for listed in listener.listener_filters):
        findings.report("LST-ADDR", at, value="UDP", effect="the UDP listener is not served")


def _want_tcp(listener: xds.Message, at: Where, port: _Port, own: int, policy: Policy) -> None:
    for chain, place in _chains(listener, at):
        if not is_http(chain) and destined_port(listener, chain.filter_chain_match, own, policy):
            continue
        is_tls = _speaks_tls(chain)
        port.proxied.setdefault(speaks_proxy_protocol(listener) or chain.use_proxy_proto.value, place)
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


def _manifest(ports: dict[int, _Port], findings: Findings) -> dict[str, Any]:
    listen: dict[str, list[Any]] = {
        "node_listen": [],
        "ssl_listen": [],
        "stream_tcp": [],
        "stream_udp": [],
    }
    proxied: list[ProxyPort] = []
    for number, port in ports.items():
        _note_clashes(number, port, findings)
        loopback = port.loopback()
        http = {"port": number, **({"ip": loopback} if loopback else {})}
        stream: dict[str, Any] = {"addr": f"{loopback}:{number}" if loopback else number}
        is_proxied = True in port.proxied
        if is_proxied and (port.http or port.https):
            proxied.append(ProxyPort(number, port.proxied, is_tls=bool(port.https)))
        elif port.https or port.has_http3:
            listen["ssl_listen"].append(http | ({"enable_http3": True} if port.has_http3 else {}))
        elif port.http:
            listen["node_listen"].append(http)
        elif port.tls or port.tcp:
            proxy = {"proxy_protocol": True} if is_proxied else {}
            listen["stream_tcp"].append(stream | {"tls": bool(port.tls)} | proxy)
        if port.udp:
            listen["stream_udp"].append(stream)
    spoken = proxy_protocol(proxied, findings)
    servers = findings.policy.dns_servers
    return {
        **listen,
        "plugins": list(PLUGINS),
        "router": ROUTER,
        "stream_plugins": list(STREAM_PLUGINS),
        **({"dns_servers": list(servers)} if servers else {}),
        **({"proxy_protocol": spoken} if spoken else {}),
    }


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
