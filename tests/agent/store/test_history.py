from __future__ import annotations

from hypothesis import given, seed
from hypothesis import strategies as st

from agent.store.delta import Change, Event
from agent.store.history import EVENT_BYTES, History
from agent.store.image import KeyValue


def change(revision: int, size: int = 0) -> Change:
    return Change(revision, (Event(b"", KeyValue(b"x" * size, 1, revision, 1), None),))


def test_the_oldest_changes_go_when_there_are_too_many():
    history = History(max_count=2)
    for revision in (3, 5, 9):
        history.append(change(revision))
    assert history.floor == 3
    assert [found.revision for found in history.after(3)] == [5, 9]
    assert [found.revision for found in history.after(5)] == [9]
    assert [found.revision for found in history.after(6)] == [9]
    assert list(history.after(9)) == []


def test_the_oldest_changes_go_when_they_are_too_large():
    history = History(max_bytes=2 * EVENT_BYTES + 10)
    for revision in (1, 2, 3):
        history.append(change(revision, size=5))
    assert (history.floor, len(history), history.bytes) == (1, 2, 2 * EVENT_BYTES + 10)


def test_the_newest_change_is_kept_whatever_its_size():
    history = History(max_bytes=1)
    history.append(change(1))
    history.append(change(2, size=1000))
    assert (history.floor, len(history)) == (1, 1)


def test_the_value_before_counts():
    history = History()
    history.append(Change(1, (Event(b"kk", None, KeyValue(b"xxx", 1, 1, 1)),)))
    assert history.bytes == EVENT_BYTES + 5


def test_reset_forgets():
    history = History()
    history.append(change(4))
    history.reset(7)
    assert (history.floor, len(history), history.bytes) == (7, 0, 0)


@seed(3)
@given(st.lists(st.integers(1, 3), max_size=400), st.integers(1, 50))
def test_it_holds_exactly_what_lies_above_the_floor(steps: list[int], max_count: int):
    history, revisions, revision = History(max_count=max_count), [], 0
    for step in steps:
        revision += step
        revisions.append(revision)
        history.append(change(revision))
    assert [found.revision for found in history.after(history.floor)] == revisions[-max_count:]
    assert len(history) == len(revisions[-max_count:])
    assert len(history._changes) <= max(2 * max_count + 1, 66 + max_count)
