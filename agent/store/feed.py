"""What all watchers of the same range are told: each line rendered once, then shared."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from agent.store.range import lies_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.store.delta import Change, Event
    from agent.store.store import Store

MAX_SLICE_BYTES = 256 << 10


class WatchSpec(NamedTuple):
    """Everything of a create_request that decides what its lines say (etcdserverpb.WatchCreateRequest)."""

    key: bytes
    range_end: bytes = b""
    prev_kv: bool = False
    no_put: bool = False
    no_delete: bool = False
    watch_id: int = 0

    def selects(self, event: Event) -> bool:
        """Tell whether a watcher wants to hear of an event."""
        if self.no_delete if event.kv is None else self.no_put:
            return False
        return lies_in(event.key, self.key, self.range_end)


class Slice(NamedTuple):
    """Some lines in a row, and the revision from which to go on after them."""

    lines: bytes
    next_revision: int


Render = Callable[[WatchSpec, int, list["Event"]], bytes]
"""Makes the line of one revision from its events, framed for the wire."""


class Lines:
    """Lines that were rendered, for whoever asks next: bounded over all feeds together.

    Args:
        render: see there.
        max_bytes: what is kept at most, beside the newest line.
    """

    def __init__(self, render: Render, max_bytes: int = 4 << 20) -> None:
        self._render = render
        self._max_bytes = max_bytes
        self._lines: OrderedDict[tuple[WatchSpec, int], bytes] = OrderedDict()
        self._bytes = 0

    def line(self, spec: WatchSpec, change: Change) -> bytes:
        """Give the line of a change; empty when the spec selects none of its events."""
        known = self._lines.get((spec, change.revision))
        if known is not None:
            return known
        events = [event for event in change.events if spec.selects(event)]
        if not events:
            return b""
        line = self._lines[spec, change.revision] = self._render(spec, change.revision, events)
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

    def slices(self, changes: Iterable[Change], end_revision: int) -> Iterable[Slice]:
        """Join the lines of changes into slices of about MAX_SLICE_BYTES, the last one reaching `end_revision`."""
        lines: list[bytes] = []
        size = 0
        for change in changes:
            line = self._lines.line(self.spec, change)
            lines.append(line)
            size += len(line)
            if size > MAX_SLICE_BYTES:
                yield Slice(b"".join(lines), change.revision + 1)
                lines, size = [], 0
        yield Slice(b"".join(lines), end_revision)

    def catch_up(self, next_revision: int) -> Slice:
        """Give the first slice of what a watcher missed from `next_revision` on; the caller has asked `covers`."""
        changes = self.store.history.after(next_revision - 1)
        return next(iter(self.slices(changes, self.store.revision + 1)))

    def covers(self, next_revision: int) -> bool:
        """Tell whether the history still holds everything from a revision on."""
        return next_revision > self.store.history.floor
