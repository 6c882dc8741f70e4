"""What counts as served: a case without an ERROR, but for codes of what APISIX cannot do and of what no proxy can."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from producers.source import ResourceChange

LIMITS = {
    "AUTH-JWKS": "keys of tokens are given or found by a discovery document, never by a URL of the keys alone",
    "AUTH-JWT-AUD": "one issuer has one set of audiences; a token cannot be taken from elsewhere and have audiences",
    "CL-TYPE": "an upstream has nodes; hosts that each request names (dynamic forward proxy) are not resolved",
    "EP-ADDR": "a node has a host and a port; there are no pipes",
    "HF-CODE": "code written for Envoy (Lua, Wasm, modules) and filters that are chosen per request",
    "HF-RLS": "no plugin asks a rate limit service over gRPC",
    "HF-UNKNOWN": "a filter that a control plane brings along and that stock Envoy does not have either",
    "L4-FEATURE": "a stream route cannot tunnel through CONNECT",
    "L4-FILTER": "network filters other than tcp_proxy have no counterpart among stream plugins",
    "L4-PASSTHROUGH": "a stream route cannot read the SNI of TLS that it does not terminate",
    "L4-RBAC": "ip-restriction is all there is for streams; there are no peer names",
    "LST-ADDR": "nginx listens on the ports of config.yaml; there are no pipes and no port 0",
    "LST-INTERNAL": "there are no listeners inside the process",
    "LST-MATCHER": "filter chains can be chosen by port, SNI and address only, and listeners for UDP not by a matcher",
    "LST-PROTO-CLASH": "a port of nginx speaks HTTP or carries streams, never both",
    "LST-STREAM-OVERLAP": "stream routes have no order among equals",
    "LST-TLS-MIX": "a port of nginx speaks TLS or plaintext, never both",
    "RT-CONNECT": "nginx answers 405 to CONNECT",
    "RT-METADATA": "there is no filter state that routes could match",
    "SEC-SOURCE": "files stand on the host of an Envoy; the producer reads only those it is pointed at",
    "TLS-SAN": "client certificates are verified by their CA; names in them are not compared",
    "TLS-SNI-CLASH": "an ssl object is chosen by SNI alone, whatever the port",
    "TLS-SOCKET": "nodes are spoken to over TCP or TLS; there is no PROXY protocol to them and no QUIC beside TCP",
    "TLS-UPSTREAM-UNVERIFIED": "certificates of upstreams are not verified, unless the operator accepts that",
    "TLS-VALIDATION": "there are no custom validators (SPIFFE bundles), pinned hashes and exceptions for expired ones",
}
"""Codes of what APISIX cannot do, with the reason.

Not among them are codes of which a part could be translated: HF-RESTRICT (what it stands for differs
from filter to filter) and HF-META (claims of verified tokens could be looked at).
"""

FAULTS = {
    "CFG-INVALID": "Envoy rejects the resource, or serves nothing from it",
    "RA-CLUSTER-UNKNOWN": "the cluster is not part of the case; Envoy answers 503 too",
    "RT-REGEX": "not RE2: Envoy rejects the route",
    "SEC-KEYPAIR": "the private key does not fit the certificate; Envoy rejects the secret",
}
"""Codes of what is wrong with the case itself, so that Envoy could not serve it either."""

HTTP_LEAST, ALL_LEAST = 0.85, 0.75


@dataclass
class Share:
    """How many cases have no ERROR, none but LIMITS, and none but LIMITS and FAULTS."""

    cases: int = 0
    clean: int = 0
    limited: int = 0
    served: int = 0
    spoilers: Counter[str] = field(default_factory=Counter)
    """Codes outside both lists, by the number of cases they are found in."""

    def count(self, codes: AbstractSet[str]) -> None:
        """Count a case.

        Args:
            codes: of the diagnostics of the case that are an ERROR or worse.
        """
        self.cases += 1
        self.clean += not codes
        self.limited += codes <= LIMITS.keys()
        rest = codes - LIMITS.keys() - FAULTS.keys()
        self.served += not rest
        self.spoilers.update(rest)

    def __add__(self, other: Share) -> Share:
        return Share(
            self.cases + other.cases,
            self.clean + other.clean,
            self.limited + other.limited,
            self.served + other.served,
            self.spoilers + other.spoilers,
        )

    def columns(self) -> list[str]:
        """Give the number of cases, and the shares in per cent."""
        counts = (self.clean, self.limited, self.served)
        return [str(self.cases), *(f"{count / self.cases:.1%}" if self.cases else "-" for count in counts)]


def is_http(resources: Iterable[ResourceChange]) -> bool:
    """Tell whether a case has anything to do with HTTP: an HttpConnectionManager or a RouteConfiguration."""
    manager = xds.HTTP_CONNECTION_MANAGER.encode()
    return any(
        found.type_url == xds.ROUTE_CONFIGURATION
        or (found.body is not None and manager in found.body.SerializeToString(deterministic=True))
        for found in resources
    )
