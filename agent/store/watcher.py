"""One watch as a state machine: events in, commands out; no socket, no clock, no await.

`TRANSITIONS` is the whole behaviour; docs/watch-session.md is drawn from it. A watcher owns no queue: one that cannot
take more is LAGGING, is told from the history where it left off once it can, and is ended when the history no longer
reaches back to it. See etcd-contract.md sections 1 (rules 7-9, 13-16) and 5.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.store.feed import Feed

MAX_MISSED_HEARTBEATS = 4
"""Heartbeats a watcher may be lagging through before its connection counts as dead."""


class LocalProtocolError(RuntimeError):
    """An event that cannot happen in the watcher's state: a mistake of ours."""


class State(Enum):
    """Where a watcher is."""

    CREATED = auto()
    WAITING = auto()
    SYNCING = auto()
    LIVE = auto()
    LAGGING = auto()
    CANCELED = auto()


class WatchRequested(NamedTuple):
    """The client asked to be told from `start_revision` on; 0 means from now.

    A start in the future is waited for if the client `is_patient`, as clients of gRPC are; APISIX would hang deaf
    (rule 9).
    """

    start_revision: int
    is_patient: bool = False


class ChangesPublished(NamedTuple):
    """The store has changed; `commands` is the same for all watchers of the feed."""

    commands: tuple[Command, ...]


class TurnGranted(NamedTuple):
    """The loop came round after `RequestTurn`."""


class WritePaused(NamedTuple):
    """The connection cannot take more now."""


class WriteResumed(NamedTuple):
    """The connection can take more again."""


class HeartbeatDue(NamedTuple):
    """A heartbeat interval has passed."""


class CancelRequested(NamedTuple):
    """The client canceled the watch and keeps the stream."""


class ConnectionLost(NamedTuple):
    """The client is gone."""


class SendCreated(NamedTuple):
    """Send the `created` line, and `lines` in the same flush (rule 16)."""

    lines: bytes = b""


class SendLines(NamedTuple):
    """Send lines that are framed for the wire."""

    lines: bytes


class SendCompacted(NamedTuple):
    """Send a line with `canceled` and this `compact_revision`, which is accepted as a start right away (rule 9)."""

    compact_revision: int


class SendCanceled(NamedTuple):
    """Confirm the client's own cancel."""


class SendHeartbeat(NamedTuple):
    """Send one space (rule 14)."""


class RequestTurn(NamedTuple):
    """Come back with `TurnGranted` after other work."""


class CloseConnection(NamedTuple):
    """Close at once, without a last chunk: the client resumes by revision (section 5.3)."""


Event = (
    WatchRequested
    | ChangesPublished
    | TurnGranted
    | WritePaused
    | WriteResumed
    | HeartbeatDue
    | CancelRequested
    | ConnectionLost
)
Command = SendCreated | SendLines | SendCompacted | SendCanceled | SendHeartbeat | RequestTurn | CloseConnection
Commands = tuple[Command, ...]


class Watcher:
    """One watch.

    Args:
        feed: the lines it shares with the other watchers of the same range.

    Attributes:
        state: where it is; like the others, only `receive` changes it.
        next_revision: where to go on, while it is not LIVE.
        missed_heartbeats: how often it was found lagging since it last took something.
    """

    __slots__ = ("feed", "missed_heartbeats", "next_revision", "state")

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.state = State.CREATED
        self.next_revision = 0
        self.missed_heartbeats = 0

    def receive(self, event: Event) -> Commands:
        """Take an event.

        Returns:
            What to do, in order.

        Raises:
            LocalProtocolError: the event cannot happen in this state; nothing has changed.
        """
        try:
            transition = TRANSITIONS[self.state, type(event)]
        except KeyError:
            raise LocalProtocolError(f"{type(event).__name__} in {self.state.name}") from None
        return transition.action(self, event)


HEARTBEAT: Commands = (SendHeartbeat(),)


def _start(watcher: Watcher, event: Event) -> Commands:
    """Judge the start revision: now, in reach of the history, to be waited for, or none of these."""
    assert isinstance(event, WatchRequested)  # noqa: S101 - the table says so
    start = event.start_revision or watcher.feed.store.revision + 1
    is_future = start > watcher.feed.store.revision + 1
    if (is_future and not event.is_patient) or not watcher.feed.covers(start):
        return SendCreated(), *_compact(watcher)
    if is_future:
        return SendCreated(), *_sync(watcher, start)
    slice_, *rest = _sync(watcher, start)
    lines = slice_.lines if isinstance(slice_, SendLines) else b""
    return SendCreated(lines), *rest


def _catch_up(watcher: Watcher, _: Event) -> Commands:
    """Tell the next slice of what was missed, if the history still holds it."""
    watcher.missed_heartbeats = 0
    if not watcher.feed.covers(watcher.next_revision):
        return _compact(watcher)
    return _sync(watcher, watcher.next_revision)


def _reach(watcher: Watcher, _: Event) -> Commands:
    """See whether the start that is waited for has come; what came since is told from the history."""
    if watcher.feed.store.revision < watcher.next_revision:
        return ()
    watcher.state = State.SYNCING
    return (RequestTurn(),)


def _sync(watcher: Watcher, next_revision: int) -> Commands:
    if next_revision > watcher.feed.store.revision + 1:
        watcher.next_revision = next_revision
        watcher.state = State.WAITING
        return ()
    slice_ = watcher.feed.catch_up(next_revision)
    watcher.next_revision = slice_.next_revision
    if slice_.next_revision > watcher.feed.store.revision:
        watcher.state = State.LIVE
        return (SendLines(slice_.line),)
    watcher.state = State.SYNCING
    return SendLines(slice_.line), RequestTurn()


def _compact(watcher: Watcher) -> Commands:
    watcher.state = State.CANCELED
    return (SendCompacted(watcher.feed.store.revision + 1),)


def _deliver(_watcher: Watcher, event: Event) -> Commands:
    assert isinstance(event, ChangesPublished)  # noqa: S101 - the table says so
    return event.commands


def _fall_behind(watcher: Watcher, _: Event) -> Commands:
    """Remember what was published last; nothing is queued."""
    watcher.next_revision = watcher.feed.next_revision
    return _lag(watcher, _)


def _lag(watcher: Watcher, _: Event) -> Commands:
    watcher.state = State.LAGGING
    return ()


def _lose_patience(watcher: Watcher, _: Event) -> Commands:
    """End a watcher that takes nothing for long, or that the history has left behind."""
    watcher.missed_heartbeats += 1
    if watcher.missed_heartbeats < MAX_MISSED_HEARTBEATS and watcher.feed.covers(watcher.next_revision):
        return ()
    watcher.state = State.CANCELED
    return (CloseConnection(),)


def _beat(_watcher: Watcher, _event: Event) -> Commands:
    return HEARTBEAT


def _cancel(watcher: Watcher, _: Event) -> Commands:
    watcher.state = State.CANCELED
    return (SendCanceled(),)


def _free(watcher: Watcher, _: Event) -> Commands:
    watcher.state = State.CANCELED
    return ()


def _ignore(_watcher: Watcher, _event: Event) -> Commands:
    return ()


class Transition(NamedTuple):
    """What is done, and the states it may lead to."""

    action: Callable[[Watcher, Event], Commands]
    targets: tuple[State, ...]


_CANCEL = Transition(_cancel, (State.CANCELED,))
_FREE = Transition(_free, (State.CANCELED,))
_CATCH_UP = Transition(_catch_up, (State.WAITING, State.SYNCING, State.LIVE, State.CANCELED))
_REACH = Transition(_reach, (State.WAITING, State.SYNCING))

TRANSITIONS: dict[tuple[State, type[Event]], Transition] = {
    (State.CREATED, WatchRequested): Transition(_start, (State.LIVE, State.SYNCING, State.WAITING, State.CANCELED)),
    (State.CREATED, ConnectionLost): _FREE,
    (State.WAITING, ChangesPublished): _REACH,
    (State.WAITING, HeartbeatDue): _REACH,
    (State.WAITING, TurnGranted): Transition(_ignore, (State.WAITING,)),
    (State.WAITING, WritePaused): Transition(_lag, (State.LAGGING,)),
    (State.WAITING, CancelRequested): _CANCEL,
    (State.WAITING, ConnectionLost): _FREE,
    (State.SYNCING, TurnGranted): _CATCH_UP,
    (State.SYNCING, ChangesPublished): Transition(_ignore, (State.SYNCING,)),
    (State.SYNCING, WritePaused): Transition(_lag, (State.LAGGING,)),
    (State.SYNCING, HeartbeatDue): Transition(_ignore, (State.SYNCING,)),
    (State.SYNCING, CancelRequested): _CANCEL,
    (State.SYNCING, ConnectionLost): _FREE,
    (State.LIVE, ChangesPublished): Transition(_deliver, (State.LIVE,)),
    (State.LIVE, WritePaused): Transition(_fall_behind, (State.LAGGING,)),
    (State.LIVE, TurnGranted): Transition(_ignore, (State.LIVE,)),
    (State.LIVE, HeartbeatDue): Transition(_beat, (State.LIVE,)),
    (State.LIVE, CancelRequested): _CANCEL,
    (State.LIVE, ConnectionLost): _FREE,
    (State.LAGGING, ChangesPublished): Transition(_ignore, (State.LAGGING,)),
    (State.LAGGING, TurnGranted): Transition(_ignore, (State.LAGGING,)),
    (State.LAGGING, WriteResumed): _CATCH_UP,
    (State.LAGGING, HeartbeatDue): Transition(_lose_patience, (State.LAGGING, State.CANCELED)),
    (State.LAGGING, CancelRequested): _CANCEL,
    (State.LAGGING, ConnectionLost): _FREE,
    (State.CANCELED, ChangesPublished): Transition(_ignore, (State.CANCELED,)),
    (State.CANCELED, TurnGranted): Transition(_ignore, (State.CANCELED,)),
    (State.CANCELED, WritePaused): Transition(_ignore, (State.CANCELED,)),
    (State.CANCELED, WriteResumed): Transition(_ignore, (State.CANCELED,)),
    (State.CANCELED, HeartbeatDue): Transition(_beat, (State.CANCELED,)),
    (State.CANCELED, CancelRequested): Transition(_ignore, (State.CANCELED,)),
    (State.CANCELED, ConnectionLost): Transition(_ignore, (State.CANCELED,)),
}
