"""What all watchers of the same range are told: each line rendered once, then shared."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from agent.store.delta import Change
from agent.store.range import lies_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.store.delta import Event
    from agent.store.store import Store

MAX_SLICE_BYTES = 256 << 10
"""Where a line is cut, so that no watcher's buffer and no turn of the loop has to take much more at once."""
EVENT_FRAME_BYTES = 128
"""What an event takes in a line beside its key and values: a line of deletes is bounded too."""


class WatchSpec(NamedTuple):
    """Everything of a create_request that decides what its lines say (etcdserverpb.WatchCreateRequest)."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False
    watch_id: int = 0
    is_fragmented: bool = False

    def selects(self, event: Event) -> bool:
        """Tell whether a watcher wants to hear of an event."""
        if self.no_delete if event.kv is None else self.no_put:
            return False
        return lies_in(event.key, self.key, self.range_end)


class Slice(NamedTuple):
    """A line, framed for the wire (empty when the spec selects no event), and the revision from which to go on."""

    line: bytes
    next_revision: int


Render = Callable[[WatchSpec, Sequence[Change]], bytes]
"""Makes one line, framed for the wire, from changes that hold only what the spec selects."""


class Lines:
    """Lines that were rendered, for whoever asks next: bounded over all feeds together.

    Args:
        render: see there.
        max_bytes: what is kept at most, beside the newest line.
    """

    def __init__(self, render: Render, max_bytes: int = 4 << 20) -> None:
        self._render = render
        self._max_bytes = max_bytes
        self._lines: OrderedDict[tuple[WatchSpec, int, int], bytes] = OrderedDict()
        self._bytes = 0

    def line(self, spec: WatchSpec, selected: Sequence[Change]) -> bytes:
        """Give the line of changes in a row, which are at least one and hold only what the spec selects.

        The first and the last revision name the line: between them lies everything the spec selects. A change without
        events must not be the first, for its revision may be one that is told elsewhere.
        """
        key = (spec, selected[0].revision, selected[-1].revision)
        known = self._lines.get(key)
        if known is not None:
            return known
        line = self._lines[key] = self._render(spec, selected)
        self._bytes += len(line)
        while self._bytes > self._max_bytes and len(self._lines) > 1:
            self._bytes -= len(self._lines.popitem(last=False)[1])
        return line


class Feed:
    """What the watchers of one spec are told.

    Args:
        spec: which events.
        store: what is watched.
        lines: shared by all feeds.

    Attributes:
        next_revision: the revision after the last one that was published to the live watchers.
    """

    __slots__ = ("_lines", "next_revision", "spec", "store")

    def __init__(self, spec: WatchSpec, store: Store, lines: Lines) -> None:
        self.spec = spec
        self.store = store
        self.next_revision = store.revision + 1
        self._lines = lines

    def slices(self, changes: Iterable[Change], end_revision: int) -> Iterator[Slice]:
        """Join changes into lines of about MAX_SLICE_BYTES, the last one reaching `end_revision`.

        Changes that are published together share a line, as rule 8 of the contract allows: what was one step of the
        source is one step for APISIX, and its router is rebuilt once. A revision is never split, and all its events
        are told, also those of a key that changes again in the same line.

        Args:
            changes: by rising revision; those without events are passed over.
            end_revision: the revision after the last one that is published now.
        """
        run: list[Change] = []
        size = 0
        for change in changes:
            events = tuple(event for event in change.events if self.spec.selects(event))
            if not events:
                continue
            run.append(Change(change.revision, events))
            size += sum(_event_bytes(event, prev_kv=self.spec.prev_kv) for event in events)
            if size > MAX_SLICE_BYTES:
                yield Slice(self._lines.line(self.spec, run), change.revision + 1)
                run, size = [], 0
        yield Slice(self._lines.line(self.spec, run) if run else b"", end_revision)

    def catch_up(self, next_revision: int) -> Slice:
        """Give the first slice of what a watcher missed from `next_revision` on; the caller has asked `covers`."""
        changes = self.store.history.after(next_revision - 1)
        return next(self.slices(changes, self.store.revision + 1))

    def covers(self, next_revision: int) -> bool:
        """Tell whether the history still holds everything from a revision on."""
        return next_revision > self.store.history.floor


def _event_bytes(event: Event, *, prev_kv: bool) -> int:
    told = (event.kv, event.prev) if prev_kv else (event.kv,)
    return EVENT_FRAME_BYTES + len(event.key) + sum(len(kv.value) for kv in told if kv is not None)
