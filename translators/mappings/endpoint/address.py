"""Source: envoy.config.core.v3.Address of an endpoint.

Target: host and port of an upstream node.
Fidelity: E for an IP or a name with a port; N for pipes, internal addresses, named ports, and for UDP
    where no UDP listener leads to it.
Differs: nothing.
Diagnostics: EP-ADDR.
See: mapping.md section 6.2.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

MAX_PORT = 65535
MAX_HOST_CHARS = 253
_UDP = 1
_NAME = re.compile(r"[0-9A-Za-z._-]+\Z")


def socket_of(
    address: xds.Message, at: Where, findings: Findings, *, is_udp: bool = False
) -> tuple[str, int, bool] | None:
    """Give (host, port, whether the host is a name) of an address; None, with EP-ADDR, when APISIX cannot use it."""
    kind = address.WhichOneof("address")
    if kind != "socket_address":
        findings.report("EP-ADDR", at.field(kind or "address"), value=_described(address, kind))
        return None
    socket = address.socket_address
    place = at.field("socket_address")
    host = _host(socket.address)
    if host is None or len(socket.address) > MAX_HOST_CHARS:
        findings.report("EP-ADDR", place.field("address"), value=socket.address)
        return None
    if socket.WhichOneof("port_specifier") == "named_port" or not 1 <= socket.port_value <= MAX_PORT:
        findings.report("EP-ADDR", place.field("port_value"), value=socket.named_port or str(socket.port_value))
        return None
    if socket.protocol == _UDP and not is_udp:
        findings.report("EP-ADDR", place.field("protocol"), value="UDP")
        return None
    return host[0], socket.port_value, host[1]


def _host(text: str) -> tuple[str, bool] | None:
    try:
        address = ip_address(text)
    except ValueError:
        return (text, True) if _NAME.match(text) else None
    if isinstance(address, IPv6Address):
        return (f"[{address}]", False) if address.scope_id is None else None
    return str(address), False


def _described(address: xds.Message, kind: str | None) -> str:
    if kind == "pipe":
        return str(address.pipe.path)
    return str(address.envoy_internal_address.server_listener_name) if kind is not None else ""
