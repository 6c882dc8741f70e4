from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from agent.store.delta import Change, Event
from agent.store.feed import EVENT_FRAME_BYTES, MAX_SLICE_BYTES, Feed, Lines, Slice, WatchSpec
from agent.store.image import KeyValue
from agent.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

KV = KeyValue(b"{}", 1, 1, 1)
PUT, DELETE = Event(b"/a/1", KV, None), Event(b"/a/2", None, KV)
ELSEWHERE = Event(b"/b/1", KV, None)


ALL_OF_A = WatchSpec(b"/a/", b"/a0")


class Renders:
    """Counts and remembers; a line names its revisions, or is as long as asked for."""

    def __init__(self, size: int = 0) -> None:
        self.count = 0
        self.size = size

    def __call__(self, _: WatchSpec, changes: Sequence[Change]) -> bytes:
        self.count += 1
        return b"x" * self.size or " ".join(str(change.revision) for change in changes).encode()


def put(revision: int, size: int, *, prev_size: int = 0) -> Change:
    prev = KeyValue(b"x" * prev_size, 1, 1, 1) if prev_size else None
    return Change(revision, (Event(b"/a/1", KeyValue(b"x" * size, 1, revision, 1), prev),))


def feed_of(spec: WatchSpec = ALL_OF_A, render: Renders | None = None) -> Feed:
    return Feed(spec, Store(), Lines(render or Renders()))


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
    lines, changes = Lines(render), [Change(5, (PUT,)), Change(6, (DELETE,))]
    assert lines.line(ALL_OF_A, changes) is lines.line(ALL_OF_A, changes)
    assert render.count == 1
    lines.line(WatchSpec(b"/a/1"), changes)
    assert render.count == 2


def test_a_line_is_another_one_when_it_begins_or_ends_elsewhere():
    lines = Lines(Renders())
    changes = [Change(revision, (PUT,)) for revision in (5, 6, 7)]
    assert lines.line(ALL_OF_A, changes) == b"5 6 7"
    assert lines.line(ALL_OF_A, changes[1:]) == b"6 7"
    assert lines.line(ALL_OF_A, changes[:2]) == b"5 6"


def test_feeds_of_equal_specs_share_a_line_whatever_lies_around_it():
    render = Renders()
    lines = Lines(render)
    live, late = (Feed(ALL_OF_A, Store(), lines) for _ in range(2))
    (told,) = live.slices([Change(4, ()), Change(5, (PUT,)), Change(6, (DELETE,))], 7)
    (again,) = late.slices([Change(3, (ELSEWHERE,)), Change(5, (PUT,)), Change(6, (DELETE,)), Change(8, ())], 9)
    assert told.line is again.line
    assert (told.next_revision, again.next_revision, render.count) == (7, 9, 1)


def test_a_change_without_events_does_not_stand_for_the_one_of_its_revision():
    feed = feed_of()
    assert list(feed.slices([Change(5, ()), Change(6, (PUT,))], 7)) == [Slice(b"6", 7)]
    assert list(feed.slices([Change(5, (PUT,)), Change(6, (PUT,))], 7)) == [Slice(b"5 6", 7)]


def test_changes_outside_the_range_have_no_line():
    render = Renders()
    feed = feed_of(render=render)
    assert list(feed.slices([Change(5, (ELSEWHERE,)), Change(6, ())], 7)) == [Slice(b"", 7)]
    assert list(feed.slices([], 9)) == [Slice(b"", 9)]
    assert render.count == 0


def test_a_line_holds_what_the_spec_selects_and_ends_with_the_last_of_it():
    seen: list[tuple[WatchSpec, list[Change]]] = []

    def render(spec: WatchSpec, changes: Sequence[Change]) -> bytes:
        seen.append((spec, list(changes)))
        return b"line"

    feed = Feed(ALL_OF_A, Store(), Lines(render))
    changes = [Change(5, (ELSEWHERE, PUT)), Change(6, (PUT, DELETE)), Change(7, (ELSEWHERE,))]
    assert list(feed.slices(changes, 8)) == [Slice(b"line", 8)]
    assert seen == [(ALL_OF_A, [Change(5, (PUT,)), Change(6, (PUT, DELETE))])]


def test_rendered_lines_are_bounded():
    render = Renders(size=60)
    lines = Lines(render, max_bytes=100)
    for revision in (1, 2, 2, 1):
        lines.line(ALL_OF_A, [Change(revision, (PUT,))])
    assert render.count == 3
    assert (len(lines._lines), lines._bytes) == (1, 60)


def test_many_small_changes_are_one_line():
    changes = [put(revision, 10) for revision in range(3, 1003)]
    (one,) = feed_of().slices(changes, 2000)
    assert one == Slice(b" ".join(b"%d" % revision for revision in range(3, 1003)), 2000)


def test_a_line_is_cut_after_the_change_that_fills_it():
    changes = [put(revision, MAX_SLICE_BYTES // 2 + 1) for revision in (3, 5, 6)]
    assert list(feed_of().slices(changes, 9)) == [Slice(b"3 5", 6), Slice(b"6", 9)]
    assert list(feed_of().slices(changes[:2], 9)) == [Slice(b"3 5", 6), Slice(b"", 9)]
    below = [put(revision, MAX_SLICE_BYTES // 2 - 200) for revision in (3, 5)]
    assert list(feed_of().slices(below, 9)) == [Slice(b"3 5", 9)]


def test_a_line_is_never_cut_inside_a_revision():
    large = Change(4, tuple(put(4, MAX_SLICE_BYTES).events[0]._replace(key=b"/a/%d" % at) for at in range(3)))
    assert list(feed_of().slices([put(3, 1), large, put(5, 1)], 6)) == [Slice(b"3 4", 5), Slice(b"5", 6)]


def test_deletes_fill_a_line_too():
    count = MAX_SLICE_BYTES // EVENT_FRAME_BYTES
    deletes = [Change(revision, (DELETE,)) for revision in range(1, count + 1)]
    first, rest = feed_of().slices(deletes, count + 1)
    assert 1 < first.next_revision < count
    assert first.line.split() + rest.line.split() == [b"%d" % revision for revision in range(1, count + 1)]


@pytest.mark.parametrize(("is_told", "line_count"), [(True, 3), (False, 1)])
def test_previous_values_fill_a_line_only_when_they_are_told(is_told: bool, line_count: int):  # noqa: FBT001 - a table
    feed = feed_of(ALL_OF_A._replace(prev_kv=is_told))
    changes = [put(revision, 1, prev_size=MAX_SLICE_BYTES) for revision in (1, 2)]
    assert len(list(feed.slices(changes, 3))) == line_count


def test_what_a_spec_does_not_select_does_not_fill_its_line():
    other = Event(b"/b/1", KeyValue(b"x" * MAX_SLICE_BYTES * 2, 1, 1, 1), None)
    assert list(feed_of().slices([Change(1, (other, PUT)), Change(2, (PUT,))], 3)) == [Slice(b"1 2", 3)]


@seed(41)
@given(st.lists(st.lists(st.integers(0, MAX_SLICE_BYTES), max_size=3), max_size=12))
def test_any_changes_are_told_once_in_order_in_lines_that_are_full(sizes: list[list[int]]):
    changes = [
        Change(at, tuple(Event(b"/a/%d" % key, KeyValue(b"x" * size, 1, at, 1), None) for key, size in enumerate(row)))
        for at, row in enumerate(sizes, 1)
    ]
    full = [sum(size + EVENT_FRAME_BYTES + len(b"/a/0") for size in row) for row in sizes]
    *cut, last = feed_of().slices(changes, len(sizes) + 1)
    for line, next_revision in cut:
        revisions = [int(revision) for revision in line.split()]
        assert next_revision == revisions[-1] + 1
        assert sum(full[revision - 1] for revision in revisions[:-1]) <= MAX_SLICE_BYTES
        assert sum(full[revision - 1] for revision in revisions) > MAX_SLICE_BYTES
    assert sum(full[int(revision) - 1] for revision in last.line.split()) <= MAX_SLICE_BYTES
    assert last.next_revision == len(sizes) + 1
    told = [int(revision) for line, _ in (*cut, last) for revision in line.split()]
    assert told == [change.revision for change in changes if change.events]


def test_a_catch_up_is_given_slice_by_slice():
    store = Store()
    feed = Feed(ALL_OF_A, store, Lines(Renders()))
    for change in (put(1, 1), put(2, MAX_SLICE_BYTES), put(3, 1), put(4, 1)):
        store.history.append(change)
        store.image.revision = change.revision
    assert feed.catch_up(1) == Slice(b"1 2", 3)
    assert feed.catch_up(3) == Slice(b"3 4", 5)
    assert feed.catch_up(5) == Slice(b"", 5)
