from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.store.feed import MAX_SLICE_BYTES, Feed, Lines, WatchSpec
from agent.store.history import History
from agent.store.store import Store
from agent.store.watcher import (
    MAX_MISSED_HEARTBEATS,
    TRANSITIONS,
    CancelRequested,
    ChangesPublished,
    CloseConnection,
    ConnectionLost,
    Event,
    HeartbeatDue,
    LocalProtocolError,
    RequestTurn,
    SendCanceled,
    SendCompacted,
    SendCreated,
    SendHeartbeat,
    SendLines,
    State,
    TurnGranted,
    Watcher,
    WatchRequested,
    WritePaused,
    WriteResumed,
)
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis
from tests.agent.store.watch_diagram import DOCUMENT, render

if TYPE_CHECKING:
    from agent.store.delta import Event as StoreEvent

R = CREATED_MS
BIG = b'{"a":"%b"}' % (b"x" * (MAX_SLICE_BYTES // 2))


class Bed:
    """A store with a feed of everything; a line is the revision and a newline, so that slices can be read."""

    def __init__(self, max_count: int = 100) -> None:
        self.store = Store(history=History(max_count))
        self.store.replay(0, GENESIS_KEY, genesis())
        self.lines = Lines(self._render)
        self.feed = Feed(WatchSpec(b"\0", b"\0"), self.store, self.lines)
        self.offset = 0
        self.size = 0

    def _render(self, _: WatchSpec, revision: int, __: list[StoreEvent]) -> bytes:
        return str(revision - R).encode() + b" " * self.size + b"\n"

    def change(self) -> ChangesPublished:
        """One more revision, as the front publishes it."""
        self.offset += 1
        change = self.store.replay(self.offset, "a", bundle("a", self.offset, {f"/routes/{self.offset}": b"{}"}))
        self.feed.next_revision = change.revision + 1
        return ChangesPublished((SendLines(self.lines.line(self.feed.spec, change)),))

    def watcher(self, *events: Event) -> Watcher:
        watcher = Watcher(self.feed)
        for event in events:
            watcher.receive(event)
        return watcher


def test_a_watch_from_now_is_live_at_once():
    bed = Bed()
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(0)) == (SendCreated(),)
    assert watcher.state is State.LIVE
    assert watcher.receive(bed.change()) == (SendLines(b"1\n"),)


def test_a_watch_from_the_past_catches_up_in_the_flush_of_created():
    bed = Bed()
    bed.change(), bed.change()
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(R + 1)) == (SendCreated(b"1\n2\n"),)
    assert watcher.state is State.LIVE


@pytest.mark.parametrize("start", [-1, R, R + 3])
def test_a_start_out_of_reach_is_told_one_that_is_accepted(start: int):
    bed = Bed()
    bed.change()
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(start)) == (SendCreated(), SendCompacted(R + 2))
    assert watcher.state is State.CANCELED
    assert bed.watcher(WatchRequested(R + 2)).state is State.LIVE


def test_a_long_catch_up_comes_in_slices_with_turns_between():
    bed = Bed()
    bed.size = MAX_SLICE_BYTES
    for _ in range(3):
        bed.change()
    watcher = bed.watcher()
    created, turn = watcher.receive(WatchRequested(R + 1))
    assert isinstance(created, SendCreated)
    assert created.lines.split() == [b"1"]
    assert turn == RequestTurn()
    assert watcher.state is State.SYNCING
    assert watcher.receive(bed.change()) == ()
    told = []
    while watcher.state is State.SYNCING:
        lines = watcher.receive(TurnGranted())[0]
        assert isinstance(lines, SendLines)
        told += lines.lines.split()
    assert told == [b"2", b"3", b"4"]


def test_a_slow_watcher_goes_on_where_it_left_off():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(0))
    assert watcher.receive(bed.change()) == (SendLines(b"1\n"),)
    assert watcher.receive(WritePaused()) == ()
    assert watcher.state is State.LAGGING
    assert watcher.receive(bed.change()) == ()
    assert watcher.receive(bed.change()) == ()
    assert watcher.receive(WriteResumed()) == (SendLines(b"2\n3\n"),)
    assert watcher.state is State.LIVE


def test_a_watcher_that_pauses_while_it_catches_up_goes_on_there():
    bed = Bed()
    bed.size = MAX_SLICE_BYTES
    bed.change(), bed.change()
    watcher = bed.watcher(WatchRequested(R + 1), WritePaused())
    assert watcher.state is State.LAGGING
    assert watcher.receive(TurnGranted()) == ()
    lines = watcher.receive(WriteResumed())[0]
    assert isinstance(lines, SendLines)
    assert lines.lines.split() == [b"2"]


def test_a_watcher_the_history_has_left_behind_is_compacted_when_it_can_be_told():
    bed = Bed(max_count=1)
    watcher = bed.watcher(WatchRequested(0), WritePaused())
    bed.change(), bed.change()
    assert watcher.receive(WriteResumed()) == (SendCompacted(R + 3),)
    assert watcher.state is State.CANCELED


def test_a_watcher_the_history_has_left_behind_and_that_reads_nothing_is_closed():
    bed = Bed(max_count=1)
    watcher = bed.watcher(WatchRequested(0), WritePaused())
    bed.change(), bed.change()
    assert watcher.receive(HeartbeatDue()) == (CloseConnection(),)
    assert watcher.state is State.CANCELED


def test_a_watcher_that_reads_nothing_for_long_is_closed():
    watcher = Bed().watcher(WatchRequested(0), WritePaused())
    for _ in range(MAX_MISSED_HEARTBEATS - 1):
        assert watcher.receive(HeartbeatDue()) == ()
    assert watcher.receive(HeartbeatDue()) == (CloseConnection(),)


def test_taking_something_restores_the_patience():
    watcher = Bed().watcher(WatchRequested(0))
    for _ in range(MAX_MISSED_HEARTBEATS * 2):
        for event in (WritePaused(), HeartbeatDue(), WriteResumed()):
            watcher.receive(event)
    assert watcher.state is State.LIVE


def test_heartbeats_go_to_who_is_live_or_canceled():
    bed = Bed()
    assert bed.watcher(WatchRequested(0)).receive(HeartbeatDue()) == (SendHeartbeat(),)
    assert bed.watcher(WatchRequested(-1)).receive(HeartbeatDue()) == (SendHeartbeat(),)


def test_a_cancel_is_confirmed_once():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(0))
    assert watcher.receive(CancelRequested()) == (SendCanceled(),)
    assert watcher.receive(CancelRequested()) == ()
    assert watcher.receive(bed.change()) == ()


SAMPLES: dict[type, Event] = {
    WatchRequested: WatchRequested(0),
    ChangesPublished: ChangesPublished(()),
    TurnGranted: TurnGranted(),
    WritePaused: WritePaused(),
    WriteResumed: WriteResumed(),
    HeartbeatDue: HeartbeatDue(),
    CancelRequested: CancelRequested(),
    ConnectionLost: ConnectionLost(),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("kind", list(SAMPLES))
def test_every_event_in_every_state_leads_where_the_table_says(state: State, kind: type[Event]):
    bed = Bed()
    watcher = Watcher(bed.feed)
    watcher.state, watcher.next_revision = state, bed.store.revision + 1
    if (state, kind) in TRANSITIONS:
        watcher.receive(SAMPLES[kind])
        assert watcher.state in TRANSITIONS[state, kind].targets
    else:
        with pytest.raises(LocalProtocolError, match=f"{kind.__name__} in {state.name}"):
            watcher.receive(SAMPLES[kind])
        assert watcher.state is state


def test_the_picture_is_drawn_from_the_table():
    assert DOCUMENT.read_text("utf-8") == render()
