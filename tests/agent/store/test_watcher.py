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
    Command,
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
    from collections.abc import Sequence

    from agent.store.delta import Change

R = CREATED_MS
BIG = b'{"a":"%b"}' % (b"x" * MAX_SLICE_BYTES)


class Bed:
    """A store with a feed of everything; a line is its revisions and a newline, so that it can be read."""

    def __init__(self, max_count: int = 100) -> None:
        self.store = Store(history=History(max_count))
        self.store.replay(0, GENESIS_KEY, genesis())
        self.feed = Feed(WatchSpec(b"\0", b"\0"), self.store, Lines(self._render))
        self.offset = 0

    @staticmethod
    def _render(_: WatchSpec, changes: Sequence[Change]) -> bytes:
        return b" ".join(b"%d" % (change.revision - R) for change in changes) + b"\n"

    def change(self, *values: bytes) -> tuple[ChangesPublished, ...]:
        """One more revision for each value, `{}` by default, all published together as the front does it."""
        changes = []
        for value in values or (b"{}",):
            self.offset += 1
            unit = bundle("a", self.offset, {f"/routes/{self.offset}": value})
            changes.append(self.store.replay(self.offset, "a", unit))
        published = []
        for line, next_revision in self.feed.slices(changes, self.store.revision + 1):
            self.feed.next_revision = next_revision
            if line:
                published.append(ChangesPublished((SendLines(line),)))
        return tuple(published)

    def watcher(self, *events: Event) -> Watcher:
        watcher = Watcher(self.feed)
        for event in events:
            watcher.receive(event)
        return watcher


def told(watcher: Watcher, published: Sequence[ChangesPublished]) -> list[Command]:
    return [command for event in published for command in watcher.receive(event)]


def test_a_watch_from_now_is_live_at_once():
    bed = Bed()
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(0)) == (SendCreated(),)
    assert watcher.state is State.LIVE
    assert told(watcher, bed.change()) == [SendLines(b"1\n")]


def test_what_is_published_together_is_one_line():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(0))
    assert told(watcher, bed.change(b"{}", b"{}", b"{}")) == [SendLines(b"1 2 3\n")]
    assert told(watcher, bed.change(BIG, b"{}")) == [SendLines(b"4\n"), SendLines(b"5\n")]


def test_a_watch_from_the_past_catches_up_in_the_flush_of_created():
    bed = Bed()
    bed.change(), bed.change()
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(R + 1)) == (SendCreated(b"1 2\n"),)
    assert watcher.state is State.LIVE


def test_a_watch_may_start_inside_what_was_published_together():
    bed = Bed()
    bed.change(b"{}", b"{}", b"{}")
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(R + 2)) == (SendCreated(b"2 3\n"),)
    assert told(watcher, bed.change()) == [SendLines(b"4\n")]


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
    for _ in range(3):
        bed.change(BIG)
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(R + 1)) == (SendCreated(b"1\n"), RequestTurn())
    assert watcher.state is State.SYNCING
    assert told(watcher, bed.change(BIG)) == []
    assert watcher.receive(TurnGranted()) == (SendLines(b"2\n"), RequestTurn())
    assert watcher.receive(TurnGranted()) == (SendLines(b"3\n"), RequestTurn())
    assert watcher.receive(TurnGranted()) == (SendLines(b"4\n"),)
    assert watcher.state is State.LIVE
    assert told(watcher, bed.change()) == [SendLines(b"5\n")]


def test_a_catch_up_that_changes_come_into_tells_them_with_its_last_line():
    bed = Bed()
    bed.change(BIG), bed.change()
    watcher = bed.watcher()
    assert watcher.receive(WatchRequested(R + 1)) == (SendCreated(b"1\n"), RequestTurn())
    assert told(watcher, bed.change(b"{}", b"{}")) == []
    assert watcher.receive(TurnGranted()) == (SendLines(b"2 3 4\n"),)
    assert told(watcher, bed.change()) == [SendLines(b"5\n")]


def test_a_slow_watcher_goes_on_where_it_left_off():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(0))
    assert told(watcher, bed.change()) == [SendLines(b"1\n")]
    assert watcher.receive(WritePaused()) == ()
    assert watcher.state is State.LAGGING
    assert told(watcher, bed.change()) == []
    assert told(watcher, bed.change()) == []
    assert watcher.receive(WriteResumed()) == (SendLines(b"2 3\n"),)
    assert watcher.state is State.LIVE
    assert told(watcher, bed.change()) == [SendLines(b"4\n")]


def test_a_slow_watcher_that_missed_much_goes_on_in_slices():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(0), WritePaused())
    bed.change(BIG, BIG, b"{}"), bed.change()
    assert watcher.receive(WriteResumed()) == (SendLines(b"1\n"), RequestTurn())
    assert watcher.receive(WritePaused()) == ()
    assert watcher.receive(TurnGranted()) == ()
    assert watcher.receive(WriteResumed()) == (SendLines(b"2\n"), RequestTurn())
    assert watcher.receive(TurnGranted()) == (SendLines(b"3 4\n"),)
    assert watcher.state is State.LIVE


def test_a_watcher_that_pauses_between_the_lines_of_one_publication_is_told_the_rest():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(0))
    lines = bed.feed.slices(
        [bed.store.replay(at, "a", bundle("a", at, {f"/routes/{at}": BIG})) for at in range(1, 4)],
        bed.store.revision + 1,
    )
    first = next(lines)
    bed.feed.next_revision = first.next_revision
    assert watcher.receive(ChangesPublished((SendLines(first.line),))) == (SendLines(b"1\n"),)
    assert watcher.receive(WritePaused()) == ()
    for line, next_revision in lines:
        bed.feed.next_revision = next_revision
        assert watcher.receive(ChangesPublished((SendLines(line),))) == ()
    assert watcher.receive(WriteResumed()) == (SendLines(b"2\n"), RequestTurn())
    assert watcher.receive(TurnGranted()) == (SendLines(b"3\n"),)


def test_a_watcher_that_pauses_while_it_catches_up_goes_on_there():
    bed = Bed()
    bed.change(BIG), bed.change(BIG)
    watcher = bed.watcher(WatchRequested(R + 1), WritePaused())
    assert watcher.state is State.LAGGING
    assert watcher.receive(TurnGranted()) == ()
    assert watcher.receive(WriteResumed()) == (SendLines(b"2\n"),)


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
    assert told(watcher, bed.change()) == []


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


def test_a_patient_watcher_waits_for_a_future_start_and_is_told_it_whole():
    bed = Bed()
    watcher = Watcher(bed.feed)
    assert watcher.receive(WatchRequested(R + 3, is_patient=True)) == (SendCreated(),)
    assert watcher.state is State.WAITING
    assert watcher.receive(TurnGranted()) == ()
    (published,) = bed.change()
    assert watcher.receive(published) == ()
    (published,) = bed.change(b"{}", b"{}")
    assert watcher.receive(published) == (RequestTurn(),)
    assert watcher.receive(published) == ()
    assert watcher.receive(TurnGranted()) == (SendLines(b"3\n"),)
    assert watcher.state is State.LIVE


def test_a_patient_watcher_notices_by_heartbeat_what_was_not_for_it():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(R + 2, is_patient=True))
    assert watcher.receive(HeartbeatDue()) == ()
    bed.change(b"{}", b"{}")
    assert watcher.receive(HeartbeatDue()) == (RequestTurn(),)
    assert watcher.state is State.SYNCING


def test_a_patient_watcher_that_cannot_take_more_goes_on_waiting():
    bed = Bed()
    watcher = bed.watcher(WatchRequested(R + 3, is_patient=True), WritePaused())
    assert watcher.state is State.LAGGING
    bed.change()
    assert watcher.receive(WriteResumed()) == ()
    assert (watcher.state, watcher.next_revision) == (State.WAITING, R + 3)


@pytest.mark.parametrize(("event", "commands"), [(CancelRequested(), (SendCanceled(),)), (ConnectionLost(), ())])
def test_a_patient_watcher_may_end(event: Event, commands: tuple[Command, ...]):
    watcher = Bed().watcher(WatchRequested(R + 9, is_patient=True))
    assert watcher.receive(event) == commands
    assert watcher.state is State.CANCELED
