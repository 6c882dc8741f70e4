from __future__ import annotations

import pytest

from agent.store.delta import Change, Event
from agent.store.feed import MAX_SLICE_BYTES, Feed, Lines, Slice, WatchSpec
from agent.store.image import KeyValue
from agent.store.store import Store

KV = KeyValue(b"{}", 1, 1, 1)
PUT, DELETE = Event(b"/a/1", KV, None), Event(b"/a/2", None, KV)


ALL_OF_A = WatchSpec(b"/a/", b"/a0")


class Renders:
    """Counts; a line is as long as asked for."""

    def __init__(self, size: int = 4) -> None:
        self.count = 0
        self.size = size

    def __call__(self, *_: object) -> bytes:
        self.count += 1
        return b"x" * self.size


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


def test_a_line_is_rendered_once_for_each_spec():
    render = Renders()
    lines, change = Lines(render), Change(5, (PUT,))
    assert lines.line(ALL_OF_A, change) is lines.line(ALL_OF_A, change)
    assert render.count == 1
    lines.line(WatchSpec(b"/a/1"), change)
    assert render.count == 2


def test_a_change_outside_the_range_has_no_line():
    render = Renders()
    assert Lines(render).line(ALL_OF_A, Change(5, (Event(b"/b/1", KV, None),))) == b""
    assert render.count == 0


def test_rendered_lines_are_bounded():
    render = Renders(size=60)
    lines = Lines(render, max_bytes=100)
    for revision in (1, 2, 2, 1):
        lines.line(ALL_OF_A, Change(revision, (PUT,)))
    assert render.count == 3
    assert (len(lines._lines), lines._bytes) == (1, 60)


def test_lines_are_joined_into_slices():
    feed = Feed(ALL_OF_A, Store(), Lines(Renders(size=MAX_SLICE_BYTES // 2 + 1)))
    changes = [Change(revision, (PUT,)) for revision in (3, 5, 6)]
    two, one = feed.slices(changes, 9)
    assert (len(two.lines), two.next_revision) == (MAX_SLICE_BYTES + 2, 6)
    assert (len(one.lines), one.next_revision) == (MAX_SLICE_BYTES // 2 + 1, 9)
    assert list(feed.slices([], 9)) == [Slice(b"", 9)]
