"""Where a config.yaml makes a node listen, in all the forms that APISIX takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_RANGE = re.compile(r"(\d+)-(\d+)\Z")
_MAX_PORT = 65535


class Listening(NamedTuple):
    """Ports that are open in one way.

    Attributes:
        setting: where config.yaml says so, e.g. `apisix.node_listen`.
        ip: the address; empty = all.
        first: the first port.
        last: the last port.
        is_tls: TLS is terminated.
        is_proxied: PROXY protocol is spoken.
    """

    setting: str
    ip: str
    first: int
    last: int
    is_tls: bool = False
    is_proxied: bool = False

    @property
    def label(self) -> str:
        """Name the ports."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class Closed(NamedTuple):
    """A port that is wanted and not open in the way it is wanted."""

    setting: str
    label: str
    reason: str


def ports_of(config: Mapping[str, Any]) -> list[Listening]:
    """Read the ports of a config.yaml, or of what is wanted of one; what is no port is left out."""
    apisix = config.get("apisix") or {}
    mode = apisix.get("proxy_mode", "http")
    ports: list[Listening] = []
    if "http" in mode:
        ports += _entries("apisix.node_listen", apisix.get("node_listen"))
        ssl = apisix.get("ssl") or {}
        if ssl.get("enable", True):
            ports += (one._replace(is_tls=True) for one in _entries("apisix.ssl.listen", ssl.get("listen")))
        proxied = apisix.get("proxy_protocol") or {}
        for key in ("listen_http_port", "listen_https_port"):
            for one in _entries(f"apisix.proxy_protocol.{key}", proxied.get(key)):
                ports.append(one._replace(is_tls=key == "listen_https_port", is_proxied=True))
    if "stream" in mode:
        streams = apisix.get("stream_proxy") or {}
        for kind in ("tcp", "udp"):
            ports += _entries(f"apisix.stream_proxy.{kind}", streams.get(kind))
    return ports


def closed_ports(wanted: Iterable[Listening], opened: Iterable[Listening]) -> Iterator[Closed]:
    """Give the wanted ports that are not open, or not in the way they are wanted."""
    known = list(opened)
    for port in wanted:
        there = [one for one in known if one.setting == port.setting and one.first <= port.first <= one.last]
        fitting = [one for one in there if (one.is_tls, one.is_proxied) == (port.is_tls, port.is_proxied)]
        what = f"port {port.label}"
        if not there:
            yield Closed(port.setting, port.label, f"{what} is not open")
        elif not fitting:
            way = "TLS" if there[0].is_tls != port.is_tls else "PROXY protocol"
            wish = port.is_tls if way == "TLS" else port.is_proxied
            yield Closed(port.setting, port.label, f"{what} {'does not speak' if wish else 'speaks'} {way}")
        elif not any(one.ip in ("", port.ip) for one in fitting):
            yield Closed(port.setting, port.label, f"{what} is open on {fitting[0].ip} only")
        elif port.ip and all(one.ip == "" for one in fitting):
            yield Closed(port.setting, port.label, f"{what} is open to all, wanted is {port.ip} only")


def _entries(setting: str, listed: Any) -> Iterator[Listening]:
    for entry in listed if isinstance(listed, list) else [listed]:
        given = entry if isinstance(entry, dict) else {"addr": entry}
        ip, first, last = _address(given.get("port", given.get("addr")))
        if 0 < first <= last <= _MAX_PORT:
            yield Listening(
                setting,
                str(given.get("ip") or ip),
                first,
                last,
                is_tls=bool(given.get("tls")),
                is_proxied=bool(given.get("proxy_protocol")),
            )


def _address(value: Any) -> tuple[str, int, int]:
    """Split `9000`, `127.0.0.1:9000`, `[::1]:9000` or `9000-9010`; ports of 0 when it is none of them."""
    ip, _, text = str(value).rpartition(":")
    ip = "" if ip in ("0.0.0.0", "[::]") else ip  # noqa: S104 - compared, not bound
    found = _RANGE.match(text)
    if found is not None:
        return ip, int(found[1]), int(found[2])
    return (ip, int(text), int(text)) if text.isdigit() else (ip, 0, 0)
