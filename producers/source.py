"""The one interface of sources: what a source of xDS resources tells the producer.

A source (a file, an ADS stream) yields values and never raises for bad content: a broken input becomes a
`SourceProblem`, and the last good state stays in force (architecture.md law 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from schemas import xds


class ResourceChange(msgspec.Struct, frozen=True):
    """One resource as the source has it now, or its removal."""

    type_url: str
    name: str
    body: xds.Message | None
    """The parsed message; None when the resource is gone."""
    version_info: str = ""


class Note(msgspec.Struct, frozen=True):
    """A finding about a resource that was taken all the same, such as a field this build does not know."""

    code: str
    """A code of mapping.md section 11, e.g. `CFG-UNKNOWN-FIELD`."""
    type_url: str
    name: str
    path: str
    """Field path inside the resource."""
    message: str
    """One line."""


class Changes(msgspec.Struct, frozen=True):
    """What changed in a source, taken over as one step.

    The first Changes of a source is complete: a source that gathers its state bit by bit (ADS) yields nothing before
    it has once been told everything it subscribed to. Later ones may be complete or hold only what changed.
    """

    changes: tuple[ResourceChange, ...]
    is_complete: bool
    """The set is everything the source holds of the types it covers: names that are absent are removed."""
    source: str
    """Where it came from: a file's path, a control plane's address. No secrets."""
    covers: frozenset[str] | None = None
    """Type URLs that a complete set speaks for; None for every type."""
    notes: tuple[Note, ...] = ()


class SourceProblem(msgspec.Struct, frozen=True):
    """The source cannot be read or its content cannot be taken; the last good state stays."""

    place: str
    """File (with line) or address, and the field path when there is one."""
    message: str
    """What is wrong, one line, without secrets."""
    remedy: str
    """What to do about it, one line."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message} ({self.remedy})"


class Source(Protocol):
    """Anything that resources come from."""

    def changes(self) -> AsyncIterator[Changes | SourceProblem]:
        """Follow the source until cancelled.

        Yields:
            Changes in the order they happened, and problems as values among them. A source that cannot be read yields
            a problem, keeps trying, and never yields an empty complete set in its place.
        """
        ...
