"""The way into the image: what a source says becomes sealed, canonical entries; what it repeats is dropped early.

Control planes and files repeat whole sets. A resource whose serialised form is as it was is recognised by a digest and
costs one serialisation; a RouteConfiguration is looked at virtual host by virtual host, because it is the one resource
that grows with the whole view.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from producers.image import Entry, Replacement, ResourceKey
from producers.sealing import seal_message
from producers.secret import inspect
from producers.source import Note, SourceProblem
from producers.traversal import body_of, copy_without
from schemas import xds

if TYPE_CHECKING:
    from producers.sealing import Seal
    from producers.source import Changes, ResourceChange

DIGEST_BYTES = 16
PAIR_REMEDY = "give PEM with a private key that fits the certificate"


class Admission(NamedTuple):
    """What a set of changes comes to."""

    replacements: tuple[Replacement, ...]
    problems: tuple[SourceProblem, ...]
    """Which resources were not taken over and why."""
    notes: tuple[Note, ...] = ()
    """Findings about resources that were taken over."""


NOTHING = Admission((), ())


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
        self._refused: dict[ResourceKey, bytes] = {}

    @property
    def refused(self) -> frozenset[str]:
        """Type URLs of which a resource is refused now; the log may hold a last good version of it."""
        return frozenset(key.type_url for key in self._refused)

    def admit(self, changes: Changes, time_ms: int | None = None) -> Admission:
        """Turn changes into replacements for the image, in their order; a complete set removes what it lacks.

        Args:
            changes: what the source says.
            time_ms: now, Unix milliseconds, to check certificates against; None leaves them unchecked (offline
                translation, where the translator sees them in the clear).
        """
        admissions: list[Admission] = []
        for change in changes.changes:
            place = f"{changes.source}: {change.type_url.rpartition('.')[2]} {change.name}"
            try:
                admissions.append(self._admit(change, place, time_ms))
            except RecursionError:
                admissions.append(Admission((), (SourceProblem(place, "nested too deeply", "simplify the resource"),)))
        replacements, problems, notes = zip(*admissions, strict=True) if admissions else ((), (), ())
        absent = self._absent(changes) if changes.is_complete else ()
        return Admission((*chain(*replacements), *absent), tuple(chain(*problems)), tuple(chain(*notes)))

    def _admit(self, change: ResourceChange, place: str, time_ms: int | None) -> Admission:
        key = ResourceKey(change.type_url, change.name)
        if change.body is None:
            return Admission(tuple(self._forget(key)), ())
        digest = _digest(change.body)
        if self._digests.get(key) == digest:
            self._refused.pop(key, None)  # back to what is in force
            return NOTHING
        if self._refused.get(key) == digest:
            return NOTHING
        body, notes = change.body, tuple[Note, ...]()
        if time_ms is not None:
            body, faults, expiries = inspect(change.type_url, body, time_ms)
            if faults:
                self._refused[key] = digest
                return Admission((), tuple(_bad_pair(place, path, text) for path, text in faults))
            notes = tuple(Note("SEC-EXPIRED", *key, path, text) for path, text in expiries)
        self._refused.pop(key, None)
        message = self._canonical(change.type_url, change.name, body)
        self._digests[key] = digest
        return Admission((Replacement(key, Entry(message, body_of(message), change.version_info)),), (), notes)

    def _absent(self, changes: Changes) -> list[Replacement]:
        present = {(change.type_url, change.name) for change in changes.changes}
        absent = [
            key
            for key in self._digests
            if key not in present and (changes.covers is None or key.type_url in changes.covers)
        ]
        for key in [key for key in self._refused if key not in present]:
            if changes.covers is None or key.type_url in changes.covers:
                del self._refused[key]
        return [replacement for key in absent for replacement in self._forget(key)]

    def _forget(self, key: ResourceKey) -> list[Replacement]:
        self._refused.pop(key, None)
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


def _bad_pair(place: str, path: str, text: str) -> SourceProblem:
    return SourceProblem(f"{place}: {path}: SEC-KEYPAIR", text, PAIR_REMEDY)


def _digest(message: xds.Message) -> bytes:
    return blake2b(body_of(message), digest_size=DIGEST_BYTES).digest()
