"""What the cutter knows of a RouteConfiguration: its virtual hosts one by one, compared by their bytes."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from producers.reference import References, asked_instead, mirrors_of, of_virtual_host
from producers.traversal import body_of, copy_without

if TYPE_CHECKING:
    from schemas import xds


class TableKey(NamedTuple):
    """Which RouteConfiguration: one by name (RDS), or the one inside a chain of a listener, which is nobody else's."""

    name: str
    listener: str = ""
    chain: str = ""


class VirtualHostFacts(NamedTuple):
    """One virtual host of a table."""

    place: int
    """Where it is in the RouteConfiguration."""
    digest: bytes
    references: References
    has_host: bool
    """It has an exact or suffix-wildcard domain: it has a unit of its own."""
    has_any_host: bool
    """It has a domain `*` or `prefix*`: it takes part in the unit of all such virtual hosts."""


class RouteTable(NamedTuple):
    """A RouteConfiguration, taken apart."""

    message: xds.Message
    frame: bytes
    """Canonical bytes without the virtual hosts."""
    virtual_hosts: dict[str, VirtualHostFacts]
    """By name; a name that is used again gets a suffix `~2`, so that nothing is lost."""


def read_table(message: xds.Message, before: RouteTable | None) -> RouteTable:
    """Take a canonical RouteConfiguration apart; what is known of an equal virtual host is taken over."""
    known = {} if before is None else {facts.digest: facts for facts in before.virtual_hosts.values()}
    virtual_hosts: dict[str, VirtualHostFacts] = {}
    mirrors, asked = mirrors_of(message), asked_instead(message)
    key = "\n".join((*sorted(mirrors), "", *sorted(asked))).encode()
    for place, virtual_host in enumerate(message.virtual_hosts):
        digest = blake2b(body_of(virtual_host) + key, digest_size=16).digest()
        if (facts := known.get(digest)) is not None:
            facts = facts._replace(place=place)
        else:
            references = of_virtual_host(virtual_host, mirrors, asked)
            facts = _read_virtual_host(place, digest, virtual_host, references)
        virtual_hosts[distinct(virtual_host.name, virtual_hosts)] = facts
    return RouteTable(message, body_of(copy_without(message, "virtual_hosts")), virtual_hosts)


def changed_virtual_hosts(before: RouteTable | None, after: RouteTable | None) -> set[str]:
    """Give the names of the virtual hosts that differ between two states of a table."""
    old = {} if before is None else before.virtual_hosts
    new = {} if after is None else after.virtual_hosts
    if before is None or after is None or before.frame != after.frame:
        return old.keys() | new.keys()
    return {name for name in old.keys() | new.keys() if _digest(old.get(name)) != _digest(new.get(name))}


def is_any_host(domain: str) -> bool:
    """Tell whether a domain is `*`, `*:port` or a prefix wildcard (`foo.*`), which share one ordered list in APISIX."""
    return domain.endswith("*") or domain.startswith("*:")


def distinct(name: str, taken: dict[str, VirtualHostFacts] | set[str]) -> str:
    """Give the name, with an ordinal suffix when it is taken."""
    candidate, ordinal = name, 1
    while candidate in taken:
        ordinal += 1
        candidate = f"{name}~{ordinal}"
    return candidate


def _read_virtual_host(
    place: int, digest: bytes, virtual_host: xds.Message, references: References
) -> VirtualHostFacts:
    any_host = [is_any_host(domain) for domain in virtual_host.domains]
    return VirtualHostFacts(place, digest, references, not all(any_host), any(any_host))


def _digest(facts: VirtualHostFacts | None) -> bytes:
    return b"" if facts is None else facts.digest
