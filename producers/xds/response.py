"""Reads a response: which resources are new, which are bad and why, which were at least mentioned. Pure.

The variants differ in how a resource is wrapped and in what a response may say besides; what a resource is worth is
judged alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from producers.xds.references import Key, references_of
from producers.xds.validate import fault_of, name_of
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from producers.xds.interest import Interest

WRAPPER = xds.TYPE_URL_PREFIX + "envoy.service.discovery.v3.Resource"
MAX_ERROR_CHARS = 1000
"""Length of a NACK's text: a response of thousands of bad resources must not become a huge request."""


class Entry(NamedTuple):
    """A resource that was found valid."""

    message: xds.Message
    digest: bytes
    """Of the canonical bytes (control-planes.md section 6): equal content, equal digest, whatever the wire said."""
    version_info: str
    references: frozenset[Key]
    """The resources that it names and that must be subscribed to."""
    unknown_fields: tuple[str, ...]
    """Paths of the fields this build does not know; they are carried, and never a reason to reject."""


class Fault(NamedTuple):
    """Why a resource was not taken. A resource that does not say its name is named by its place, `#3`."""

    name: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What a response says of one type."""

    changed: dict[str, Entry]
    """Valid resources whose content differs from what is held, by the name they are kept under."""
    mentioned: frozenset[str]
    """Names of all resources in the response, also of those that are bad, unchanged or were not asked for."""
    faults: tuple[Fault, ...]
    is_complete: bool = True
    """False when a bad resource could not say its name: it may be any of those that seem absent."""
    answered: frozenset[str] = frozenset()
    """The subscribed names that resources stand for; a heartbeat answers nothing."""
    removed: frozenset[str] = frozenset()
    """Names that do not exist (any more); only delta says so."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """By the name it is kept under, the version that the wire gave each resource that has a body; may be empty."""
    ttls_ms: Mapping[str, int | None] = field(default_factory=dict)
    """By the name it is kept under, how long each good resource lives unless it is renewed; None for ever."""
    has_only_heartbeats: bool = False
    """Every resource lacks its body, so that absence means nothing."""

    def error_detail(self) -> str:
        """Give the text of the NACK, naming each bad resource; empty when there is none."""
        text = "; ".join(f"{fault.name}: {fault.reason}" for fault in self.faults)
        if len(text) <= MAX_ERROR_CHARS:
            return text
        return f"{text[:MAX_ERROR_CHARS]}… ({len(self.faults)} bad resources)"


class _Resource(NamedTuple):
    """A resource taken out of its wrappings."""

    name: str
    message: xds.Message | None
    """None in a heartbeat, which only says that the resource is still there, and when there is a fault."""
    wrapper_name: str
    version_info: str
    fault: str
    version: str = ""
    """The resource's own version, from its wrapper."""
    aliases: tuple[str, ...] = ()
    ttl_ms: int | None = None

    @property
    def is_heartbeat(self) -> bool:
        return self.message is None and not self.fault


def read_response(response: xds.Message, held: Mapping[str, Entry], interest: Interest) -> Reading:
    """Read a state-of-the-world response of a type that was asked for.

    Valid resources are taken even when others are bad (control-planes.md section 5.4). One that is named twice counts
    as bad, since nothing says which of the two is meant. Resources nobody asked for are ignored (section 5.6).

    Args:
        response: an `envoy.service.discovery.v3.DiscoveryResponse`.
        held: the resources of that type as they are now, by name.
        interest: the names subscribed to.
    """
    resources = [_unwrap(body, response.type_url, response.version_info) for body in response.resources]
    return _read(resources, frozenset(), held, interest)


def read_delta_response(response: xds.Message, held: Mapping[str, Entry], interest: Interest) -> Reading:
    """Read a delta response of a type that was asked for.

    A resource that comes without a version of its own gets its digest for one, so that there is something to compare
    and to announce (section 3.4). One that is sent and removed at once is bad, as one that is named twice.

    Args:
        response: an `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
        held: the resources of that type as they are now, by name.
        interest: the names subscribed to.
    """
    resources = [_unwrap_wrapper(wrapper, response.type_url, "") for wrapper in response.resources]
    removed = {*response.removed_resources, *(resource.name for resource in response.removed_resource_names)}
    return _read(resources, frozenset(removed), held, interest)


def _read(
    resources: list[_Resource], removed: frozenset[str], held: Mapping[str, Entry], interest: Interest
) -> Reading:
    counts = Counter(resource.name for resource in resources if resource.name)
    twice = {name: f"is in the response {count} times" for name, count in counts.items() if count > 1}
    twice |= dict.fromkeys(removed & counts.keys(), "is sent and removed in one response")
    faults = [Fault(name, reason) for name, reason in twice.items() if interest.keys(name)]
    changed: dict[str, Entry] = {}
    ttls_ms: dict[str, int | None] = {}
    for index, resource in enumerate(resources):
        keys = interest.keys(resource.name, resource.aliases) if resource.name else [""]
        if resource.name in twice or not keys:
            continue
        for key in keys:
            entry, reason = _taken(resource, held.get(key))
            if reason:
                faults.append(Fault(resource.name or f"#{index}", reason))
                break
            if entry is not None:
                changed[key] = entry
            if not resource.is_heartbeat or _renews(resource, held.get(key)):
                ttls_ms[key] = resource.ttl_ms
    present = [resource for resource in resources if resource.name and not resource.is_heartbeat]
    return Reading(
        changed=changed,
        mentioned=frozenset(counts),
        faults=tuple(faults),
        is_complete=all(resource.name for resource in resources),
        answered=frozenset(name for resource in present for name in interest.answered(resource.name, resource.aliases)),
        removed=frozenset(_kept(removed - counts.keys(), held, interest)),
        versions={
            key: resource.version for resource in present for key in interest.keys(resource.name, resource.aliases)
        },
        ttls_ms=ttls_ms,
        has_only_heartbeats=bool(resources) and all(resource.is_heartbeat for resource in resources),
    )


def _kept(names: Iterable[str], held: Mapping[str, Entry], interest: Interest) -> Iterator[str]:
    """Give the names under which something is known; any other name is nothing to us (section 5.5)."""
    for name in names:
        yield from [name] if name in held else interest.answered(name)


def _renews(heartbeat: _Resource, held: Entry | None) -> bool:
    """A heartbeat is for the version that it names; what is held in another version is not renewed by it."""
    return held is not None and heartbeat.version in ("", held.version_info)


def _taken(resource: _Resource, held: Entry | None) -> tuple[Entry | None, str]:
    """Give the entry when the resource is new or changed, or the reason why it is bad; neither when it is unchanged."""
    if resource.fault or resource.message is None:
        return None, resource.fault
    try:
        return _compared(resource.message, resource, held)
    except RecursionError:  # Any in Any is parsed level by level, which protobuf's own limit does not see
        return None, "is nested too deeply"


def _compared(message: xds.Message, resource: _Resource, held: Entry | None) -> tuple[Entry | None, str]:
    digest = blake2b(xds.canonical_bytes(message), digest_size=16).digest()
    if held is not None and held.digest == digest and resource.wrapper_name in ("", resource.name):
        return None, ""
    reason = fault_of(message, resource.wrapper_name)
    if reason:
        return None, reason
    version_info = resource.version_info or digest.hex()
    unknown_fields = tuple(xds.unknown_field_paths(message))
    return Entry(message, digest, version_info, references_of(message), unknown_fields), ""


def _unwrap(body: xds.Message, type_url: str, version_info: str) -> _Resource:
    if body.type_url != WRAPPER:
        return _unpacked(body, type_url, _Resource("", None, "", version_info, ""))
    wrapper = xds.unpack(body)
    if wrapper is None:
        return _Resource("", None, "", "", "is a damaged discovery.v3.Resource")
    return _unwrap_wrapper(wrapper, type_url, version_info)


def _unwrap_wrapper(wrapper: xds.Message, type_url: str, version_info: str) -> _Resource:
    name = wrapper.name or wrapper.resource_name.name
    resource = _Resource(
        name,
        None,
        wrapper_name=name,
        version_info=wrapper.version or version_info,
        fault="",
        version=wrapper.version,
        aliases=tuple(wrapper.aliases),
        ttl_ms=ttl_ms if (ttl_ms := wrapper.ttl.ToMilliseconds()) > 0 else None,
    )
    return _unpacked(wrapper.resource, type_url, resource) if wrapper.HasField("resource") else resource


def _unpacked(body: xds.Message, type_url: str, resource: _Resource) -> _Resource:
    if body.type_url != type_url:
        return resource._replace(fault=f"is a {body.type_url!r}, not a {type_url}")
    try:
        message = xds.parse(type_url, body.value)
    except DecodeError:
        return resource._replace(fault=f"is damaged: it is no {type_url.rpartition('/')[2]}")
    is_named_by_wrapper = type_url == xds.VIRTUAL_HOST and resource.wrapper_name
    return resource._replace(name=resource.wrapper_name if is_named_by_wrapper else name_of(message), message=message)
