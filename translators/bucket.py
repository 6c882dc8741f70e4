"""From the domains of virtual hosts to buckets of the router (mapping.md section 8, steps 0 and 1).

The router looks into the bucket of the exact host, then into those of the suffix wildcards from longest to shortest,
then into the host-less bucket. Exact domains and `*suffix` domains have buckets of their own; `prefix*` domains and `*`
share the host-less one, in one ordered list per scope; so does `*:port`, a suffix wildcard that has no host to look up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from translators.expr import Expr, escape, matches, negate, one_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas import xds

_HOST = re.compile(r"\*?[0-9a-z\-._\[\]:]+\Z")
ANY_HOST_PORT = "*:"
_PORT = re.compile(r"(.*[^:]|\[[^\]]*\]):(\d+)\Z")


class Authority(NamedTuple):
    """How the Host header is compared with domains.

    Attributes:
        ignores_port: the port is taken off before the comparison.
        dropped_port: this port alone is taken off (HttpConnectionManager.strip_matching_host_port); 0 = none.
        drops_dot: a trailing dot is taken off.
    """

    ignores_port: bool = False
    dropped_port: int = 0
    drops_dot: bool = False

    @staticmethod
    def of(route_config: xds.Message, hcm: xds.Message, listener_port: int) -> Authority:
        """Read the settings of a RouteConfiguration and its HttpConnectionManager."""
        return Authority(
            route_config.ignore_port_in_host_matching or hcm.strip_any_host_port,
            listener_port if hcm.strip_matching_host_port else 0,
            hcm.strip_trailing_host_dot,
        )

    def guards(self, port: str, *, has_dot: bool) -> tuple[Expr, ...]:
        """Give what must hold of the Host header in a bucket of hosts, which looks at the host without port and dot.

        Args:
            port: the port in the domains; empty when they have none.
            has_dot: whether the domains end in a dot.
        """
        if self.ignores_port:
            return ()
        if port:
            dot = r"\." if has_dot else "" if self.drops_dot else r"(?<!\.)"
            return (matches("http_host", rf"{dot}:{port}\z"),)
        if has_dot:
            return (matches("http_host", r"\.\z"),)
        dropped = rf"(?!{self.dropped_port}\z)" if self.dropped_port else ""
        dot = "" if self.drops_dot else r"|\.\z"
        return (negate(matches("http_host", rf":{dropped}[^\]]*\z{dot}")),)

    def _prefix_guard(self, prefix: str) -> Expr:
        """Give the condition of a `prefix*` domain: the host begins with the prefix and goes on."""
        if self.ignores_port:
            return matches("host", rf"\A{escape(prefix)}(?s:.)")
        colon = "" if prefix.endswith(":") else ":"
        dropped = rf"(?!{colon}{self.dropped_port}\z)" if self.dropped_port else ""
        return matches("http_host", rf"\A{escape(prefix)}{dropped}(?s:.)", ignore_case=True)

    def hostless_guards(self, domain: str) -> tuple[Expr, ...]:
        """Give the conditions of a domain of the host-less bucket: `prefix*`, `*:port` or `*`."""
        if domain.startswith(ANY_HOST_PORT):
            return (matches("http_host", rf"(?s:.){escape(domain[1:])}\z"),)
        return (self._prefix_guard(domain[:-1]),) if domain != "*" else ()

    def can_match(self, port: str) -> bool:
        """Tell whether a domain with this port can match at all."""
        return not port or not (self.ignores_port or port == str(self.dropped_port))


class HostGroup(NamedTuple):
    """Domains of a virtual host that are translated alike.

    Attributes:
        name: tells the groups of a virtual host apart; empty for domains without a port.
        hosts: as in route.hosts, sorted.
        guards: what the buckets leave open.
    """

    name: str
    hosts: tuple[str, ...]
    guards: tuple[Expr, ...]


class Domains(NamedTuple):
    """The domains of one virtual host.

    Attributes:
        groups: exact and suffix domains.
        hostless: `prefix*`, `*:port` and `*`, in lower case.
        unreachable: domains with a port where ports are ignored.
        broken: domains that are no host names.
    """

    groups: tuple[HostGroup, ...]
    hostless: tuple[str, ...]
    unreachable: tuple[str, ...]
    broken: tuple[str, ...]


def read_domains(domains: Iterable[str], authority: Authority) -> Domains:
    """Sort the domains of a virtual host into buckets."""
    hosts: dict[tuple[str, bool], set[str]] = {}
    hostless: list[str] = []
    unreachable: list[str] = []
    broken: list[str] = []
    for domain in dict.fromkeys(domains):
        lowered = domain.lower()
        with_port = _PORT.match(lowered) if ":" in lowered else None
        host, port = (with_port[1], with_port[2]) if with_port else (lowered, "")
        host_key = host.removesuffix(".")
        if not authority.can_match(port):
            unreachable.append(domain)
        elif host == "*" or lowered.endswith("*"):
            hostless.append(lowered)
        elif not _HOST.match(host_key):
            broken.append(domain)
        else:
            has_dot = host_key != host and not authority.ignores_port
            hosts.setdefault((port, has_dot), set()).add(host_key)
    groups = [
        group
        for (port, has_dot), named in sorted(hosts.items())
        for group in _groups(port, named, authority, has_dot=has_dot)
    ]
    return Domains(tuple(groups), tuple(hostless), tuple(unreachable), tuple(broken))


def hostless_order(domain: str) -> tuple[bool, int, str]:
    """Sort the domains of the host-less bucket: suffix wildcards, then prefixes from longest to shortest, then `*`."""
    return not domain.startswith(ANY_HOST_PORT), -len(domain), domain


def _groups(port: str, hosts: set[str], authority: Authority, *, has_dot: bool) -> list[HostGroup]:
    """Build the groups of domains with one port.

    The router's wildcard takes the bare suffix too, Envoy's does not (mapping.md section 14.22), so the bare suffixes
    are guarded against. Where another wildcard takes the bare suffix rightly, the longer one is a group of its own.
    """
    name = f"{'.' if has_dot else ''}{':' + port if port else ''}"
    guards = authority.guards(port, has_dot=has_dot)
    suffixes = sorted(host[1:] for host in hosts if host.startswith("*"))
    nested = [suffix for suffix in suffixes if any(suffix != other and suffix.endswith(other) for other in suffixes)]
    rest = sorted(hosts - {f"*{suffix}" for suffix in nested})
    groups = [HostGroup(name, tuple(rest), (*_bare(set(suffixes) - set(nested)), *guards))]
    return groups + [HostGroup(f"*{suffix}{name}", (f"*{suffix}",), (*_bare({suffix}), *guards)) for suffix in nested]


def _bare(suffixes: set[str]) -> tuple[Expr, ...]:
    return (negate(one_of("host", sorted(suffixes))),) if suffixes else ()
