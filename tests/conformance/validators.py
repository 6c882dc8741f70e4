"""The guarantees of an etcd watch, checked on what clients saw.

The first six are etcd's published watch guarantees, the last three are ours (law 5). Every test that opens a watch
records it; the recordings of a test are validated together when it ends. A broken promise is `Broke<Guarantee>`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_REVISION = 10**14


class Event(NamedTuple):
    """An event as a client sees it; `value` None is a delete."""

    key: bytes
    value: bytes | None
    mod_revision: int


class Line(NamedTuple):
    """One line of a watch."""

    header_revision: int
    events: tuple[Event, ...] = ()
    is_created: bool = False
    is_canceled: bool = False
    compact_revision: int = 0


class Reading(NamedTuple):
    """What a Range showed."""

    revision: int
    values: dict[bytes, bytes]


class Position(NamedTuple):
    """What a node says its header revision is at an offset of the topic."""

    node: str
    offset: int
    revision: int


@dataclass
class Recording:
    """One watch, from its request to its end."""

    key: bytes
    range_end: bytes
    start_revision: int
    node: str = "node"
    is_filtered: bool = False
    lines: list[Line] = field(default_factory=list)

    def events(self) -> Iterator[Event]:
        for line in self.lines:
            yield from line.events

    @property
    def first_revision(self) -> int:
        """The revision from which on this watch was told everything."""
        return self.start_revision or next((line.header_revision + 1 for line in self.lines if line.is_created), 0)

    @property
    def last_revision(self) -> int:
        """The revision up to which this watch was told everything."""
        return max((line.header_revision for line in self.lines if line.events), default=0)


class BrokenGuaranteeError(AssertionError):
    """A promise was broken; the message quotes it."""


class BrokeOrderedError(BrokenGuaranteeError):
    """Ordered: events rise by revision, also inside a line; an event never precedes one that was already posted."""


class BrokeUniqueError(BrokenGuaranteeError):
    """Unique: an event never appears on a watch twice."""


class BrokeAtomicError(BrokenGuaranteeError):
    """Atomic: all events of one revision come in one line, which may hold several revisions."""


class BrokeReliableError(BrokenGuaranteeError):
    """Reliable: no event is missing between two that were seen."""


class BrokeResumableError(BrokenGuaranteeError):
    """Resumable: a watch from a later revision on is told all that came since."""


class BrokeBookmarkableError(BrokenGuaranteeError):
    """Bookmarkable: once a revision was announced, everything up to it has been told; no line says nothing."""


class BrokeBoundedError(BrokenGuaranteeError):
    """Bounded: a revision is above 0 and below 10^14, which is what Lua can carry."""


class BrokeMonotoneError(BrokenGuaranteeError):
    """Monotone: the header revision never falls, whatever was restarted."""


class BrokeEqualError(BrokenGuaranteeError):
    """Equal: one offset has one revision, and one revision of a key one value, on every node."""


def check_ordered(recording: Recording) -> None:
    for before, after in pairwise(recording.events()):
        if after.mod_revision < before.mod_revision:
            raise BrokeOrderedError(f"{after.key!r} at {after.mod_revision} came after {before.mod_revision}")
    for before, after in pairwise(line for line in recording.lines if line.events):
        if after.header_revision <= before.header_revision:
            raise BrokeOrderedError(f"event line {after.header_revision} came after {before.header_revision} (rule 8)")


def check_unique(recording: Recording) -> None:
    seen = set()
    for event in recording.events():
        if (event.key, event.mod_revision) in seen:
            raise BrokeUniqueError(f"{event.key!r} at {event.mod_revision} came twice")
        seen.add((event.key, event.mod_revision))


def check_atomic(recording: Recording) -> None:
    line_of: dict[int, int] = {}
    for number, line in enumerate(recording.lines):
        for event in line.events:
            if line_of.setdefault(event.mod_revision, number) != number:
                raise BrokeAtomicError(f"revision {event.mod_revision} is spread over several lines")


def check_reliable(recording: Recording, readings: Sequence[Reading]) -> None:
    if recording.is_filtered:
        return
    known = [r for r in readings if recording.first_revision - 1 <= r.revision <= recording.last_revision]
    for before, after in pairwise(sorted(known, key=lambda reading: reading.revision)):
        values = _selected(recording, before.values)
        for event in recording.events():
            if before.revision < event.mod_revision <= after.revision:
                values.pop(event.key, None)
                if event.value is not None:
                    values[event.key] = event.value
        if values != _selected(recording, after.values):
            raise BrokeReliableError(
                f"events from {before.revision} to {after.revision} do not lead from Range to Range"
            )


def check_resumable(recordings: Sequence[Recording]) -> None:
    """Compare each watch with what all of its range were told in its time: as good as every pair, and linear."""
    ranges: dict[tuple[bytes, bytes, bool], list[Recording]] = {}
    for recording in recordings:
        ranges.setdefault((recording.key, recording.range_end, recording.is_filtered), []).append(recording)
    for watches in ranges.values():
        told = [_told(watch) for watch in watches]
        everything: dict[int, set[Event]] = {}
        for one in told:
            for revision, events in one.items():
                everything.setdefault(revision, set()).update(events)
        revisions = sorted(everything)
        for watch, one in zip(watches, told, strict=True):
            start, end = bisect_left(revisions, watch.first_revision), bisect_right(revisions, watch.last_revision)
            for revision in revisions[start:end] if watch.first_revision else ():
                if one.get(revision) != everything[revision]:
                    missed = everything[revision] - one.get(revision, set())
                    raise BrokeResumableError(f"two watches differ at {revision}: {missed}")


def _told(watch: Recording) -> dict[int, set[Event]]:
    """Give the events of a watch by revision, within the revisions of which it was told everything."""
    found: dict[int, set[Event]] = {}
    for event in watch.events():
        if watch.first_revision <= event.mod_revision <= watch.last_revision:
            found.setdefault(event.mod_revision, set()).add(event)
    return found


def check_bookmarkable(recording: Recording) -> None:
    announced = recording.start_revision - 1
    for line in recording.lines:
        if not line.events and not line.is_created and not line.is_canceled:
            raise BrokeBookmarkableError(f"a line at {line.header_revision} has no events (rules 8 and 13)")
        for event in line.events:
            if event.mod_revision <= announced:
                raise BrokeBookmarkableError(f"{event.key!r} at {event.mod_revision} came after {announced}")
            if event.mod_revision > line.header_revision:
                raise BrokeBookmarkableError(f"{event.mod_revision} is above its header {line.header_revision}")
        if line.events:
            announced = line.header_revision


def check_bounded(recording: Recording) -> None:
    for line in recording.lines:
        revisions = [event.mod_revision for event in line.events]
        if not line.is_canceled:
            revisions.append(line.header_revision)
        for revision in revisions:
            if not 0 < revision < MAX_REVISION:
                raise BrokeBoundedError(f"revision {revision}")


def check_monotone(headers: Iterable[int]) -> None:
    """Check header revisions in the order in which they were seen."""
    for before, after in pairwise(headers):
        if after < before:
            raise BrokeMonotoneError(f"header revision {after} after {before}")


def check_equal(recordings: Sequence[Recording], positions: Iterable[Position] = ()) -> None:
    values: dict[tuple[bytes, int], bytes | None] = {}
    for recording in recordings:
        for event in recording.events():
            if values.setdefault((event.key, event.mod_revision), event.value) != event.value:
                raise BrokeEqualError(f"{event.key!r} at {event.mod_revision} has two values")
    revisions: dict[int, int] = {}
    for node, offset, revision in positions:
        if revisions.setdefault(offset, revision) != revision:
            raise BrokeEqualError(f"offset {offset} is revision {revisions[offset]} and, on {node}, {revision}")


def validate(
    recordings: Sequence[Recording],
    readings: Sequence[Reading] = (),
    positions: Iterable[Position] = (),
    headers: Iterable[int] = (),
) -> None:
    """Check all nine guarantees.

    Args:
        recordings: all watches, in the order in which they were opened.
        readings: full Ranges that cover what was watched.
        positions: revisions that nodes gave for offsets.
        headers: header revisions of one view's nodes in the order in which they were seen.

    Raises:
        BrokenGuaranteeError: the first broken one.
    """
    for recording in recordings:
        check_ordered(recording)
        check_unique(recording)
        check_atomic(recording)
        check_reliable(recording, readings)
        check_bookmarkable(recording)
        check_bounded(recording)
    check_resumable(recordings)
    check_monotone(headers)
    check_equal(recordings, positions)


def _selected(recording: Recording, values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    if not recording.range_end:
        return {key: value for key, value in values.items() if key == recording.key}
    return {key: value for key, value in values.items() if recording.key <= key < recording.range_end}
