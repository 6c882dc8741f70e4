"""Which ports speak PROXY protocol: APISIX has one for HTTP and one for TLS (mapping.md section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from translators.findings import Findings
    from translators.where import Where

_MIXED = "the port speaks PROXY protocol in all its chains or in none"
_SECOND = "the port is not served: APISIX speaks PROXY protocol on one port for HTTP and on one for TLS"
_REMEDY = "let all listeners with PROXY protocol share a port, or take it off in front of the node"


class ProxyPort(NamedTuple):
    """A port that speaks PROXY protocol.

    Attributes:
        number: of the port.
        places: whether the protocol is spoken -> a place that says so.
        is_tls: it speaks TLS inside.
    """

    number: int
    places: Mapping[bool, Where]
    is_tls: bool


def proxy_protocol(ports: Iterable[ProxyPort], findings: Findings) -> dict[str, int]:
    """Give `apisix.proxy_protocol`.

    Args:
        ports: HTTP ports that speak it, ascending.
        findings: receives LST-LFILTER for those beyond the first, and for ports that speak it in some chains only.
    """
    wanted: dict[str, int] = {}
    for port in ports:
        if False in port.places:
            findings.report("LST-LFILTER", port.places[False], value=str(port.number), effect=_MIXED)
        key = "listen_https_port" if port.is_tls else "listen_http_port"
        if wanted.setdefault(key, port.number) != port.number:
            place = port.places[True]
            findings.report("LST-LFILTER", place, value=str(port.number), effect=_SECOND, remedy=_REMEDY)
    return wanted
