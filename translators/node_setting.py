"""What listeners want of a node's config.yaml beside ports: nginx has it once for all of them (mapping.md section 9).

Settings that listeners want differently are widened to what all of them can live with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from translators.mappings.http_connection_manager import client_address, tracing
from translators.mappings.tls.protocol import read_protocols

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

FALLBACK_SNI = "fallback"
"""The name that clients without SNI are taken to ask for: only a certificate for every name answers to it."""
DEFAULT_PROTOCOLS = ("TLSv1.2", "TLSv1.3")
"""What APISIX allows unless config.yaml says otherwise."""
_NO_TIMEOUT_S = 86_400.0
_ALLOW = 0
_CIPHERS_DIFFER = "ciphers are set for all listeners together, and they ask for different ones"
_UNDERSCORES_DIFFER = "headers with underscores are dropped for all connection managers or for none"


@dataclass(slots=True)
class NodeSettings:
    """Settings in the making.

    Attributes:
        protocols: TLS versions that some context allows.
        ciphers: the cipher lists that contexts ask for, by the place that asks first.
        has_http2: some context offers HTTP/2.
        has_tickets: some context hands out session tickets with keys of its own.
        has_fallback: some TLS chain takes clients without SNI.
        keepalive_s: how long idle connections are kept, longest first wish.
        body_timeout_s: how long request bodies may take.
        keepalive_requests: requests of one connection.
        header_kb: size of request headers.
        underscores: whether headers with underscores are dropped, or their requests refused -> a place that says so.
        trusted_addresses: networks whose X-Forwarded-* are believed.
        skywalking: attributes of the plugin; empty when it is not used.
        opentelemetry: plugin_metadata of the plugin; empty when it is not used.
        addresses: the ways in which connection managers find the client's address.
        is_detecting: one of them says something about it.
        is_proxied: some port speaks PROXY protocol: the client's address is in it.
    """

    protocols: set[str] = field(default_factory=set)
    ciphers: dict[str, Where] = field(default_factory=dict)
    has_http2: bool = False
    has_tickets: bool = False
    has_fallback: bool = False
    keepalive_s: float = 0
    body_timeout_s: float = 0
    keepalive_requests: int = 0
    header_kb: int = 0
    underscores: dict[bool, Where] = field(default_factory=dict)
    trusted_addresses: set[str] = field(default_factory=set)
    skywalking: dict[str, str] = field(default_factory=dict)
    opentelemetry: dict[str, Any] = field(default_factory=dict)
    addresses: list[dict[str, Any]] = field(default_factory=list)
    is_detecting: bool = False
    is_proxied: bool = False

    def add_context(self, context: xds.Message, at: Where) -> None:
        """Note what a DownstreamTlsContext wants."""
        params = context.common_tls_context.tls_params
        wanted = read_protocols(params)
        self.protocols.update(DEFAULT_PROTOCOLS if wanted is None else wanted)
        names = [name for group in params.cipher_suites for name in group.strip("[]").split("|")]
        if names:
            self.ciphers.setdefault(":".join(names), at)
        self.has_http2 |= "h2" in context.common_tls_context.alpn_protocols
        self.has_tickets |= context.WhichOneof("session_ticket_keys_type") is not None

    def add_manager(self, hcm: xds.Message, at: Where, findings: Findings) -> None:
        """Note what an HttpConnectionManager wants."""
        options = hcm.common_http_protocol_options
        if options.HasField("idle_timeout"):
            self.keepalive_s = max(self.keepalive_s, _seconds(options.idle_timeout))
        if hcm.HasField("request_timeout"):
            self.body_timeout_s = max(self.body_timeout_s, _seconds(hcm.request_timeout))
        self.keepalive_requests = max(self.keepalive_requests, options.max_requests_per_connection.value)
        self.header_kb = max(self.header_kb, hcm.max_request_headers_kb.value)
        self.underscores.setdefault(options.headers_with_underscores_action != _ALLOW, at)
        self.trusted_addresses.update(client_address.trusted_addresses(hcm))
        self.is_detecting |= client_address.is_explicit(hcm)
        if (address := client_address.node_settings(hcm)) not in self.addresses:
            self.addresses.append(address)
        provider = tracing.read_provider(hcm.tracing, findings.policy.collectors)
        if provider is not None and provider.url:
            self._add_collector(provider, at, findings)

    def _add_collector(self, provider: tracing.Provider, at: Where, findings: Findings) -> None:
        if provider.plugin == "zipkin":
            return
        named = {"service_name": provider.service} if provider.service else {}
        is_otlp = provider.plugin == "opentelemetry"
        wanted: dict[str, Any] = {"endpoint_addr": provider.url, **named}
        if is_otlp:
            resource = {"resource": {"service.name": provider.service}} if named else {}
            wanted = {"collector": {"address": tracing.collector_of(provider)}, **resource}
        known = self.opentelemetry if is_otlp else self.skywalking
        if known and known != wanted:
            place = at.field("tracing").field("provider")
            findings.report("OBS-TRACE", place, value=provider.url, effect="all spans go to one collector")
        elif not known:
            known.update(wanted)

    def manifest(self, findings: Findings) -> dict[str, Any]:
        """Give the parts of the manifest; what nobody asks for is not in it."""
        return {
            key: value
            for key, value in (
                ("enable_http2", self.has_http2),
                ("ssl", self._ssl(findings)),
                ("nginx_http", self._nginx_http(findings)),
                ("http_snippet", self._snippet()),
                ("trusted_addresses", sorted(self.trusted_addresses)),
                ("plugin_attr", {"skywalking": self.skywalking} if self.skywalking else {}),
            )
            if value
        }

    def _ssl(self, findings: Findings) -> dict[str, Any]:
        ssl: dict[str, Any] = {}
        if self.protocols - set(DEFAULT_PROTOCOLS):
            ssl["ssl_protocols"] = " ".join(sorted(self.protocols))
        if len(self.ciphers) == 1:
            ssl["ssl_ciphers"] = next(iter(self.ciphers))
        for at in list(self.ciphers.values())[1:]:
            findings.report(
                "HCM-CODEC", at.field("common_tls_context.tls_params.cipher_suites"), effect=_CIPHERS_DIFFER
            )
        if self.has_tickets:
            ssl["ssl_session_tickets"] = True
        if self.has_fallback:
            ssl["fallback_sni"] = FALLBACK_SNI
        return ssl

    def _nginx_http(self, findings: Findings) -> dict[str, Any]:
        http: dict[str, Any] = {}
        if self.keepalive_s:
            http["keepalive_timeout"] = _duration(self.keepalive_s)
        if self.body_timeout_s:
            http["client_body_timeout"] = _duration(self.body_timeout_s)
        if set(self.underscores) == {True}:
            http["underscores_in_headers"] = "off"
        elif True in self.underscores:
            place = self.underscores[True].field("common_http_protocol_options.headers_with_underscores_action")
            findings.report("HCM-CODEC", place, effect=_UNDERSCORES_DIFFER)
        if self.is_proxied:
            http |= {"real_ip_from": client_address.EVERYONE, "real_ip_header": "proxy_protocol"}
        elif self.is_detecting and len(self.addresses) == 1:
            http |= self.addresses[0]
        return http

    def _snippet(self) -> str:
        lines = []
        if self.header_kb:
            lines.append(f"large_client_header_buffers 4 {self.header_kb}k;")
        if self.keepalive_requests:
            lines.append(f"keepalive_requests {self.keepalive_requests};")
        return "\n".join(lines)


def _seconds(duration: xds.Message) -> float:
    """Read a Duration; 0 switches the timeout off."""
    return (duration.seconds + duration.nanos / 1e9) or _NO_TIMEOUT_S


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 else f"{round(seconds * 1000)}ms"
