from __future__ import annotations

import pytest

from agent.store import feed as feed_module
from agent.store.delta import Change, Event
from agent.store.feed import MAX_LINES, MAX_SLICE_BYTES, Feed, Slice, WatchSpec
from agent.store.image import KeyValue
from agent.store.store import Store

KV = KeyValue(b"{}", 1, 1, 1)
PUT, DELETE = Event(b"/a/1", KV, None), Event(b"/a/2", None, KV)


class Renders:
    """Counts; a line is as long as asked for."""

    def __init__(self, size: int = 4) -> None:
        self.count = 0
        self.size = size

    def __call__(self, spec: WatchSpec, revision: int, events: list[Event]) -> bytes:
        self.count += 1
        return b"x" * self.size


def feed(render: Renders, spec: WatchSpec = WatchSpec(b"/a/", b"/a0")) -> Feed:
    return Feed(spec, Store(), render)


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        (WatchSpec(b"/a/", b"/a0"), [True, True]),
        (WatchSpec(b"/a/1"), [True, False]),
        (WatchSpec(b"/a/2", b"\0"), [False, True]),
        (WatchSpec(b"/a/", b"/a0", no_put=True), [False, True]),
        (WatchSpec(b"/a/", b"/a0", no_delete=True), [True, False]),
        (WatchSpec(b"/b/", b"/b0"), [False, False]),
    ],
)
def test_a_spec_selects_by_range_and_filter(spec: WatchSpec, selected: list[bool]):
    assert [spec.selects(PUT), spec.selects(DELETE)] == selected


def test_a_line_is_rendered_once():
    render = Renders()
    made = feed(render)
    change = Change(5, (PUT,))
    assert made.line(change) is made.line(change)
    assert render.count == 1


def test_a_change_outside_the_range_has_no_line():
    render = Renders()
    assert feed(render).line(Change(5, (Event(b"/b/1", KV, None),))) == b""
    assert render.count == 0


def test_rendered_lines_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed_module, "MAX_LINES_BYTES", 100)
    render = Renders(size=60)
    made = feed(render)
    for revision in (1, 2, 1):
        made.line(Change(revision, (PUT,)))
    assert render.count == 3


def test_rendered_lines_are_bounded_by_count():
    made = feed(Renders())
    for revision in range(MAX_LINES + 10):
        made.line(Change(revision, ()))
    assert len(made._lines) == MAX_LINES


def test_lines_are_joined_into_slices():
    made = feed(Renders(size=MAX_SLICE_BYTES // 2 + 1))
    changes = [Change(revision, (PUT,)) for revision in (3, 5, 6)]
    two, one = made.slices(changes, 9)
    assert (len(two.lines), two.next_revision) == (MAX_SLICE_BYTES + 2, 6)
    assert (len(one.lines), one.next_revision) == (MAX_SLICE_BYTES // 2 + 1, 9)
    assert list(made.slices([], 9)) == [Slice(b"", 9)]
