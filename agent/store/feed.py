"""What all watchers of the same range are told: each line rendered once, then shared."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from agent.store.range import lies_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.store.delta import Change, Event
    from agent.store.store import Store

MAX_LINES_BYTES = 2 << 20
MAX_LINES = 4096
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


class Feed:
    """The lines of one spec.

    Args:
        spec: which events.
        store: what is watched.
        render: makes the line of one revision from its events, framed for the wire.

    Attributes:
        next_revision: the revision after the last one that was published to the live watchers.
    """

    __slots__ = ("_bytes", "_lines", "_render", "next_revision", "spec", "store")

    def __init__(self, spec: WatchSpec, store: Store, render: Callable[[WatchSpec, int, list[Event]], bytes]) -> None:
        self.spec = spec
        self.store = store
        self.next_revision = store.revision + 1
        self._render = render
        self._lines: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0

    def line(self, change: Change) -> bytes:
        """Give the line of a change; empty when no watcher of this feed wants to hear of it."""
        known = self._lines.get(change.revision)
        if known is not None:
            return known
        events = [event for event in change.events if self.spec.selects(event)]
        line = self._render(self.spec, change.revision, events) if events else b""
        self._lines[change.revision] = line
        self._bytes += len(line)
        while len(self._lines) > MAX_LINES or (self._bytes > MAX_LINES_BYTES and len(self._lines) > 1):
            self._bytes -= len(self._lines.popitem(last=False)[1])
        return line

    def slices(self, changes: Iterable[Change], end_revision: int) -> Iterable[Slice]:
        """Join the lines of changes into slices of about MAX_SLICE_BYTES, the last one reaching `end_revision`."""
        lines: list[bytes] = []
        size = 0
        for change in changes:
            line = self.line(change)
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
