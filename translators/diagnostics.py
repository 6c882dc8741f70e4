"""The closed set of diagnostic codes (mapping.md section 11). Never reused, never renamed, only retired."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.records import Severity

INFO, WARN, ERROR = Severity.INFO, Severity.WARN, Severity.ERROR


class DiagnosticClass(StrEnum):
    """Kinds of findings; the class decides what a finding leads to unless the policy says otherwise."""

    UNSUPPORTED = "UNSUPPORTED"
    APPROXIMATED = "APPROXIMATED"
    SECURITY = "SECURITY"
    CONFLICT = "CONFLICT"
    BOOTSTRAP = "BOOTSTRAP"
    LUA_REQUIRED = "LUA_REQUIRED"
    CAPACITY = "CAPACITY"
    INVALID_INPUT = "INVALID_INPUT"
    PENDING = "PENDING"
    INTERNAL = "INTERNAL"


UNSUPPORTED = DiagnosticClass.UNSUPPORTED
APPROXIMATED = DiagnosticClass.APPROXIMATED
SECURITY = DiagnosticClass.SECURITY
CONFLICT = DiagnosticClass.CONFLICT
BOOTSTRAP = DiagnosticClass.BOOTSTRAP
CAPACITY = DiagnosticClass.CAPACITY
INVALID = DiagnosticClass.INVALID_INPUT
PENDING = DiagnosticClass.PENDING
INTERNAL = DiagnosticClass.INTERNAL


@dataclass(frozen=True, slots=True)
class Code:
    """One row: what the code means and what is said when nothing more precise is known at the place it is found."""

    severity: Severity
    diagnostic_class: DiagnosticClass
    effect: str
    remedy: str


CODES: dict[str, Code] = {
    # Listener
    "LST-ADDR": Code(
        ERROR, UNSUPPORTED, "the listener is not served", "give it a TCP socket_address with a port_value"
    ),
    "LST-PORT-CLOSED": Code(ERROR, BOOTSTRAP, "the port is not open", "open it in config.yaml of the node"),
    "LST-PROTO-CLASH": Code(
        ERROR, CONFLICT, "one of the listeners is not served", "use different ports for TCP and UDP"
    ),
    "LST-STREAM-OVERLAP": Code(ERROR, CONFLICT, "the later chain is not served", "make the chains' matches disjoint"),
    "LST-TLS-MIX": Code(
        ERROR, SECURITY, "only the TLS chains of the port are served", "split TLS and plaintext over two ports"
    ),
    "LST-ALPN": Code(
        WARN, APPROXIMATED, "the chain's application_protocols are not matched", "match by SNI or port instead"
    ),
    "LST-TPROXY": Code(
        WARN, UNSUPPORTED, "the listener is served without transparent proxying", "redirect with iptables REDIRECT"
    ),
    "LST-INTERNAL": Code(
        ERROR,
        UNSUPPORTED,
        "the internal listener is not served",
        "APISIX has no internal listeners; use a socket address",
    ),
    "LST-MATCHER": Code(
        ERROR, SECURITY, "the listener is not served", "use filter_chain_match instead of filter_chain_matcher"
    ),
    "LST-FCDS": Code(
        ERROR, UNSUPPORTED, "filter chains by discovery are not served", "put the chains into the listener"
    ),
    "LST-LFILTER": Code(WARN, UNSUPPORTED, "the listener filter has no effect", "remove it or do without it"),
    # L4
    "L4-PASSTHROUGH": Code(
        ERROR,
        UNSUPPORTED,
        "the chain is not served",
        "terminate TLS at the listener; APISIX cannot route TLS it does not terminate",
    ),
    "L4-FILTER": Code(
        ERROR, UNSUPPORTED, "the network filter is not translated", "do without the filter or terminate it elsewhere"
    ),
    "L4-RBAC": Code(ERROR, SECURITY, "the chain is not served", "restrict by HTTP RBAC or outside the proxy"),
    "L4-FEATURE": Code(
        WARN, UNSUPPORTED, "the proxy works without this setting", "remove the setting or accept the difference"
    ),
    # TLS and secrets
    "TLS-SNI-CLASH": Code(
        ERROR, CONFLICT, "the first listener by name decides", "use one certificate per SNI over all listeners"
    ),
    "TLS-SNI-DEPTH": Code(WARN, APPROXIMATED, "the wildcard covers one label only", "list deeper names"),
    "TLS-SAN": Code(
        ERROR,
        SECURITY,
        "routes of the chain answer 403",
        "APISIX cannot match subject alternative names; restrict otherwise",
    ),
    "TLS-VALIDATION": Code(
        ERROR, SECURITY, "the validation setting is not enforced", "validate with trusted_ca only, or accept by policy"
    ),
    "TLS-PROVIDER": Code(ERROR, UNSUPPORTED, "the certificate cannot be loaded", "give it inline or by SDS"),
    "TLS-SOCKET": Code(
        ERROR, UNSUPPORTED, "the chain or cluster is not served", "use a tls or raw_buffer transport socket"
    ),
    "TLS-UPSTREAM-UNVERIFIED": Code(
        ERROR,
        SECURITY,
        "the cluster answers 503: APISIX does not verify upstream certificates",
        "allow TLS-UPSTREAM-UNVERIFIED in the policy, or drop the validation context",
    ),
    "TLS-SNI-HOST": Code(
        WARN,
        APPROXIMATED,
        "the upstream sees the Host header as SNI",
        "make the Host equal to the SNI (host_rewrite_literal)",
    ),
    "SEC-PENDING": Code(
        WARN, PENDING, "no ssl object until the secret arrives", "check that the control plane serves the secret"
    ),
    "SEC-SOURCE": Code(ERROR, UNSUPPORTED, "the material is not loaded", "give it inline or by SDS"),
    "SEC-EXPIRED": Code(WARN, INVALID, "clients will refuse the certificate", "renew the certificate"),
    "SEC-KEYPAIR": Code(
        ERROR, INVALID, "the certificate is not served", "give PEM with a private key that fits the certificate"
    ),
    # HttpConnectionManager
    "HCM-PATH": Code(
        WARN,
        APPROXIMATED,
        "nginx normalises and merges slashes anyway",
        "set normalize_path and merge_slashes, or path_matching: raw",
    ),
    "HCM-CODEC": Code(WARN, APPROXIMATED, "the codec setting has no effect", "remove it or accept the difference"),
    "HCM-EARLY": Code(WARN, UNSUPPORTED, "headers are not mutated before the route is chosen", "mutate them per route"),
    "HCM-LOCALREPLY": Code(WARN, UNSUPPORTED, "local replies keep their form", "accept the difference"),
    "HCM-XFF": Code(
        WARN,
        APPROXIMATED,
        "the client address is taken as nginx's real-ip does",
        "list trusted_addresses in config.yaml",
    ),
    # Filters
    "HF-UNKNOWN": Code(
        ERROR,
        SECURITY,
        "every route the filter guards answers 503",
        "remove the filter, or allow HF-UNKNOWN in the policy if it restricts nothing",
    ),
    "HF-CODE": Code(
        ERROR,
        SECURITY,
        "every route the filter guards answers 503",
        "port the code to an APISIX plugin, or allow HF-CODE in the policy",
    ),
    "HF-ORDER": Code(WARN, APPROXIMATED, "filters run in another order", "check that the order does not matter"),
    "HF-DUP": Code(
        ERROR, SECURITY, "every route with both filters answers 503", "fold the filters of one kind into one"
    ),
    "HF-RLS": Code(
        ERROR, SECURITY, "requests are not rate limited", "use local_ratelimit, or allow HF-RLS in the policy"
    ),
    "HF-META": Code(WARN, UNSUPPORTED, "the metadata is not produced", "remove the consumers of the metadata"),
    "HF-PLUGIN-DISABLED": Code(ERROR, BOOTSTRAP, "the plugin is skipped by the node", "enable it in config.yaml"),
    "HF-RESTRICT": Code(
        ERROR,
        SECURITY,
        "every route the filter guards answers 403",
        "restrict at the service, or allow HF-RESTRICT in the policy",
    ),
    "HF-UNTRANSLATED": Code(
        WARN, UNSUPPORTED, "requests are served without the filter", "remove the filter or accept the difference"
    ),
    "AUTH-JWT-AUD": Code(ERROR, SECURITY, "routes answer 403", "use one issuer with one audience"),
    "AUTH-JWT-CLAIM": Code(WARN, UNSUPPORTED, "the claim is not handed on", "read the claim at the service"),
    "AUTH-JWKS": Code(ERROR, SECURITY, "routes answer 403", "give the keys inline"),
    "EXT-PENDING": Code(
        WARN, PENDING, "the last good translation stays", "check that the control plane serves the extension"
    ),
    "OBS-ALS": Code(INFO, UNSUPPORTED, "no access log is written to this sink", "log at the node"),
    "OBS-TRACE": Code(INFO, UNSUPPORTED, "no spans are sent to this collector", "trace with a plugin of APISIX"),
    # Route match
    "RT-CONNECT": Code(ERROR, UNSUPPORTED, "the route is left out: nginx answers 405 to CONNECT", "do without CONNECT"),
    "RT-METADATA": Code(ERROR, SECURITY, "the route is left out", "match on headers instead"),
    "RT-HEADER": Code(
        ERROR, SECURITY, "the route is left out", "use a header name of [A-Za-z0-9_-] and a string or range match"
    ),
    "RT-REGEX": Code(ERROR, SECURITY, "the route is left out", "use a regex that RE2 and PCRE read alike"),
    "RT-MATCHER": Code(ERROR, SECURITY, "the virtual host answers 503", "use routes instead of a matcher tree"),
    "RT-SHADOWED": Code(INFO, INVALID, "the route can never be reached and is left out", "remove it or move it up"),
    "RT-VHDS": Code(WARN, UNSUPPORTED, "virtual hosts by discovery are not loaded on demand", "list the virtual hosts"),
    "RT-PENDING": Code(
        WARN,
        PENDING,
        "listeners that name it have no routes until it arrives, or keep those they had",
        "check the route_config_name, and that the control plane serves the RouteConfiguration",
    ),
    "RT-LONGURI": Code(INFO, APPROXIMATED, "URIs above 6 KB may not match", "keep URIs short"),
    "RT-DECODED": Code(WARN, APPROXIMATED, "the path is compared after percent-decoding", "use path_matching: raw"),
    "RT-FLAT": Code(
        INFO, CAPACITY, "routes are tried one after the other", "use fewer overlapping prefixes with conditions"
    ),
    # Route action
    "RA-CLUSTER-UNKNOWN": Code(ERROR, INVALID, "the route answers 503", "define the cluster"),
    "RA-CLUSTER-HEADER": Code(ERROR, UNSUPPORTED, "the route answers 503", "route by header matches to named clusters"),
    "RA-CLUSTER-PLUGIN": Code(ERROR, UNSUPPORTED, "the route answers 503", "route to named clusters"),
    "RA-RETRY": Code(
        WARN, APPROXIMATED, "only connect errors and timeouts are retried", "accept, or retry in the client"
    ),
    "RA-TIMEOUT": Code(WARN, APPROXIMATED, "the timeout is measured as nginx does", "accept the difference"),
    "RA-HOST": Code(WARN, UNSUPPORTED, "the Host header is not rewritten", "use host_rewrite_literal"),
    "RA-MIRROR": Code(WARN, UNSUPPORTED, "requests are not mirrored", "mirror in the service"),
    "RA-REDIRECT": Code(ERROR, UNSUPPORTED, "the redirect answers 503", "use a literal path redirect"),
    "RA-HASH-COOKIE": Code(WARN, APPROXIMATED, "the cookie is read but not generated", "set the cookie in the service"),
    "RA-INTERNAL-REDIRECT": Code(WARN, UNSUPPORTED, "the client gets the redirect", "accept the difference"),
    "RT-ACTION": Code(ERROR, UNSUPPORTED, "the route answers 503", "use route, redirect or direct_response"),
    "HDR-VALUE": Code(
        WARN, UNSUPPORTED, "the header is not written", "use a value without ':' that does not end in '/'"
    ),
    "HDR-FORMAT": Code(
        WARN, UNSUPPORTED, "the header is not written", "use a format operator that has an nginx variable"
    ),
    "HDR-ORDER": Code(
        WARN, APPROXIMATED, "mutations of one header are folded into the last", "mutate each header once"
    ),
    # Cluster and endpoint
    "CL-TYPE": Code(ERROR, UNSUPPORTED, "the cluster answers 503", "use STATIC, EDS, STRICT_DNS or LOGICAL_DNS"),
    "CL-ORIGDST": Code(WARN, UNSUPPORTED, "the cluster answers 503", "name the destination as a cluster of its own"),
    "CL-BREAKER": Code(INFO, UNSUPPORTED, "the limits are not enforced", "limit with limit-conn at the node"),
    "CL-OUTLIER": Code(INFO, UNSUPPORTED, "hosts are not ejected by this rule", "use active health checks"),
    "CL-HC-MULTI": Code(WARN, UNSUPPORTED, "only the first health check is used", "give one health check"),
    "CL-HC-GRPC": Code(WARN, APPROXIMATED, "the port is probed, not the gRPC service", "accept the difference"),
    "CL-H2": Code(WARN, APPROXIMATED, "HTTP/2 is spoken to this cluster for gRPC only", "accept HTTP/1.1"),
    "CL-TLS-MIXED": Code(
        WARN, APPROXIMATED, "endpoints are split by transport socket", "give all endpoints one transport socket"
    ),
    "CL-VARIANTS": Code(
        INFO, CAPACITY, "the cluster becomes many upstreams", "use fewer different retry and hash policies"
    ),
    "CL-DROP": Code(WARN, UNSUPPORTED, "other requests are dropped than by Envoy", "accept the difference"),
    "CL-FEATURE": Code(
        WARN, UNSUPPORTED, "the cluster works without this setting", "remove the setting or accept the difference"
    ),
    "EP-ADDR": Code(ERROR, UNSUPPORTED, "the endpoint is left out", "give endpoints an IP address or name and a port"),
    "EP-LEDS": Code(ERROR, UNSUPPORTED, "the locality is left out", "list the endpoints"),
    "EP-PENDING": Code(
        WARN, PENDING, "the cluster answers 503 until its endpoints arrive", "check that the control plane serves them"
    ),
    "EP-WEIGHT": Code(INFO, APPROXIMATED, "weights are rescaled", "use weights up to 100"),
    # Output
    "ID-COLLISION": Code(ERROR, INTERNAL, "the second object is left out", "report it with both names"),
    "OUT-SCHEMA": Code(ERROR, INTERNAL, "the object is left out", "report it with the input"),
    "OUT-SIZE": Code(ERROR, CAPACITY, "the object is left out", "split the virtual host or cluster"),
    "OUT-VERSION": Code(
        WARN,
        UNSUPPORTED,
        "the setting is left out: the oldest nodes do not know it",
        "upgrade the nodes, and say so in apisix_versions of the policy",
    ),
    "OUT-COUNT": Code(WARN, CAPACITY, "router rebuilds will be slow", "split the view"),
    "CFG-UNKNOWN-ANY": Code(
        WARN, UNSUPPORTED, "the extension is not translated", "use an extension of the list in `meshferry features`"
    ),
    "CFG-UNKNOWN-FIELD": Code(
        WARN, UNSUPPORTED, "the field has no effect", "check whether it matters; a newer meshferry may know it"
    ),
    "CFG-NODE": Code(
        ERROR, BOOTSTRAP, "the node does something else than the view wants", "set it in config.yaml of the node"
    ),
    "CFG-INVALID": Code(ERROR, INVALID, "the resource is left out", "correct the resource"),
}
"""Ours beyond section 11 are RT-PENDING (a RouteConfiguration that is named and not known), HF-UNTRANSLATED (a
decorating filter that is left out), HF-RESTRICT (a restricting one that is not translated; apart, so that silencing the
former never opens the latter), OUT-VERSION (what the oldest nodes of the policy lack), CFG-NODE (a setting of a node
that differs, ports and plugins aside) and CFG-INVALID (a resource that cannot be read at all)."""
