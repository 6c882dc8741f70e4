"""Reads a DiscoveryResponse: which resources are new, which are bad and why, which were at least mentioned. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from producers.xds.references import Key, references_of
from producers.xds.validate import fault_of, name_of
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

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
    """Valid resources whose content differs from what is held."""
    mentioned: frozenset[str]
    """Names of all resources in the response, also of those that are bad, unchanged or were not asked for."""
    faults: tuple[Fault, ...]
    is_complete: bool
    """False when a bad resource could not say its name: it may be any of those that seem absent."""

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


def read_response(response: xds.Message, held: Mapping[str, Entry], wanted: Container[str] | None) -> Reading:
    """Read a response of a type that was asked for.

    Valid resources are taken even when others are bad (control-planes.md section 5.4). One that is named twice counts
    as bad, since nothing says which of the two is meant. Resources nobody asked for are ignored (section 5.6).

    Args:
        response: an `envoy.service.discovery.v3.DiscoveryResponse`.
        held: the resources of that type as they are now, by name.
        wanted: the names subscribed to; None for a wildcard.
    """
    resources = list(_unwrapped(response))
    counts = Counter(resource.name for resource in resources)
    changed: dict[str, Entry] = {}
    faults = [Fault(name, f"is in the response {count} times") for name, count in counts.items() if name and count > 1]
    for index, resource in enumerate(resources):
        if counts[resource.name] > 1 and resource.name:
            continue
        if resource.name and wanted is not None and resource.name not in wanted:
            continue
        entry, reason = _taken(resource, held.get(resource.name))
        if reason:
            faults.append(Fault(resource.name or f"#{index}", reason))
        elif entry is not None:
            changed[resource.name] = entry
    return Reading(
        changed=changed,
        mentioned=frozenset(name for name in counts if name),
        faults=tuple(faults),
        is_complete=all(resource.name for resource in resources),
    )


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
    unknown_fields = tuple(xds.unknown_field_paths(message))
    return Entry(message, digest, resource.version_info, references_of(message), unknown_fields), ""


def _unwrapped(response: xds.Message) -> Iterator[_Resource]:
    for body in response.resources:
        yield _unwrap(body, response.type_url, response.version_info)


def _unwrap(body: xds.Message, type_url: str, version_info: str) -> _Resource:
    wrapper_name = ""
    if body.type_url == WRAPPER:
        wrapper = xds.unpack(body)
        if wrapper is None:
            return _Resource("", None, "", "", "is a damaged discovery.v3.Resource")
        wrapper_name, version_info, body = wrapper.name, wrapper.version or version_info, wrapper.resource
        if not wrapper.HasField("resource"):
            return _Resource(wrapper_name, None, wrapper_name, version_info, "")
    if body.type_url != type_url:
        return _Resource(wrapper_name, None, wrapper_name, version_info, f"is a {body.type_url!r}, not a {type_url}")
    try:
        message = xds.parse(type_url, body.value)
    except DecodeError:
        reason = f"is damaged: it is no {type_url.rpartition('/')[2]}"
        return _Resource(wrapper_name, None, wrapper_name, version_info, reason)
    return _Resource(name_of(message), message, wrapper_name, version_info, "")
