"""The way into the image: what a source says becomes sealed, canonical entries; what it repeats is dropped early.

Control planes and files repeat whole sets. A resource whose serialised form is as it was is recognised by a digest and
costs one serialisation; a RouteConfiguration is looked at virtual host by virtual host, because it is the one resource
that grows with the whole view.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from producers.image import Entry, Replacement, ResourceKey
from producers.sealing import seal_message
from producers.source import SourceProblem
from producers.traversal import body_of, copy_without
from schemas import xds

if TYPE_CHECKING:
    from producers.sealing import Seal
    from producers.source import Changes, ResourceChange

DIGEST_BYTES = 16


class Admission(NamedTuple):
    """What a set of changes comes to."""

    replacements: tuple[Replacement, ...]
    problems: tuple[SourceProblem, ...]


class Intake:
    """Remembers what the source said last, by digests only: plaintext of secrets is not kept."""

    def __init__(self, seal: Seal | None) -> None:
        """Start with nothing.

        Args:
            seal: seals sensitive values; None leaves them in the clear (offline translation only).
        """
        self._seal = seal
        self._digests: dict[ResourceKey, bytes] = {}
        self._virtual_hosts: dict[str, dict[bytes, xds.Message]] = {}

    def admit(self, changes: Changes) -> Admission:
        """Turn changes into replacements for the image, in their order; a complete set removes what it lacks."""
        replacements: list[Replacement] = []
        problems: list[SourceProblem] = []
        for change in changes.changes:
            try:
                replacements += self._admit(change)
            except RecursionError:
                place = f"{changes.source}: {change.type_url.rpartition('.')[2]} {change.name}"
                problems.append(SourceProblem(place, "nested too deeply", "simplify the resource"))
        if changes.is_complete:
            replacements += self._absent(changes)
        return Admission(tuple(replacements), tuple(problems))

    def _admit(self, change: ResourceChange) -> list[Replacement]:
        key = ResourceKey(change.type_url, change.name)
        if change.body is None:
            return self._forget(key)
        digest = _digest(change.body)
        if self._digests.get(key) == digest:
            return []
        message = self._canonical(change.type_url, change.name, change.body)
        self._digests[key] = digest
        return [Replacement(key, Entry(message, body_of(message), change.version_info))]

    def _absent(self, changes: Changes) -> list[Replacement]:
        present = {(change.type_url, change.name) for change in changes.changes}
        absent = [
            key
            for key in self._digests
            if key not in present and (changes.covers is None or key.type_url in changes.covers)
        ]
        return [replacement for key in absent for replacement in self._forget(key)]

    def _forget(self, key: ResourceKey) -> list[Replacement]:
        if self._digests.pop(key, None) is None:
            return []
        if key.type_url == xds.ROUTE_CONFIGURATION:
            self._virtual_hosts.pop(key.name, None)
        return [Replacement(key, None)]

    def _canonical(self, type_url: str, name: str, body: xds.Message) -> xds.Message:
        if type_url != xds.type_url_of(body):
            return type(body)()  # a type nobody here can read: that it exists is all that is kept
        if type_url != xds.ROUTE_CONFIGURATION:
            return self._sealed(body)
        known, seen = self._virtual_hosts.get(name, {}), {}
        route_configuration = self._sealed(copy_without(body, "virtual_hosts"))
        for virtual_host in body.virtual_hosts:
            digest = _digest(virtual_host)
            seen[digest] = known.get(digest) or self._sealed(virtual_host)
            route_configuration.virtual_hosts.append(seen[digest])
        self._virtual_hosts[name] = seen
        return route_configuration

    def _sealed(self, message: xds.Message) -> xds.Message:
        """Copy a message, sealed and canonical."""
        copy = type(message)()
        copy.CopyFrom(message)
        if self._seal is not None:
            seal_message(copy, self._seal)
        canonical: xds.Message = type(message).FromString(xds.canonical_bytes(copy))
        return canonical


def _digest(message: xds.Message) -> bytes:
    return blake2b(body_of(message), digest_size=DIGEST_BYTES).digest()
