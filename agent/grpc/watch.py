"""The watches of one gRPC stream: requests and events in, frames out; no socket, no clock, no await.

The frames of a spec are rendered once for all streams, for the watch id 0; for another id they are given its field,
which protobuf allows to follow the others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from agent.etcd import errors
from agent.grpc.message import PREFIX_BYTES, encode, frame, header, key_value, parse
from agent.store.feed import WatchSpec
from agent.store.watcher import (
    CancelRequested,
    CloseConnection,
    Command,
    ConnectionLost,
    HeartbeatDue,
    RequestTurn,
    SendCanceled,
    SendCompacted,
    SendCreated,
    SendLines,
    State,
    TurnGranted,
    Watcher,
    WatchRequested,
    WritePaused,
    WriteResumed,
)
from schemas.etcd import Message, message_class

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.etcd.auth import Grant
    from agent.etcd.json_codec import Identity
    from agent.store.delta import Change, Event
    from agent.store.hub import Hub
    from agent.store.watcher import Event as WatchEvent

NO_WATCH_ID = -1
MAX_FRAGMENT_BYTES = 2 << 20
"""etcd's --max-request-bytes and the overhead of gRPC: what a client takes by default."""
PROGRESS_BEATS = 40
"""Heartbeats without an event before a watch with `progress_notify` is told its revision: ten minutes, as in etcd."""
NO_PUT, NO_DELETE = 0, 1
DELETE = 1
_TURN, _BEAT, _PAUSED, _RESUMED, _LOST = TurnGranted(), HeartbeatDue(), WritePaused(), WriteResumed(), ConnectionLost()
_WATCH_ID_TAG = b"\x10"
"""Field 2 of WatchResponse, a varint."""


class Outlet(Protocol):
    """Where the frames of a stream go."""

    @property
    def is_blocked(self) -> bool:
        """Whether something waits to be sent; what is sent now waits behind it."""
        ...

    def send(self, frames: bytes) -> None:
        """Send frames; calls `WatchStream.block` if they have to wait."""
        ...

    def request_turn(self, call: Callable[[], None]) -> None:
        """Call back after other work."""
        ...

    def claim_watch(self) -> bool:
        """Ask for one more watch; False if the connection has too many."""
        ...

    def release_watch(self) -> None:
        """Give a watch back."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class StreamWatch:
    """One watch of a stream.

    Args:
        stream: whose it is.
        watch_id: its id there.
        spec: what it selects.
        wants_progress: whether it is told its revision when nothing happens.
    """

    __slots__ = ("quiet_beats", "stream", "wants_progress", "watch_id", "watcher")

    def __init__(self, stream: WatchStream, watch_id: int, spec: WatchSpec, *, wants_progress: bool) -> None:
        self.stream = stream
        self.watch_id = watch_id
        self.wants_progress = wants_progress
        self.quiet_beats = 0
        self.watcher = Watcher(stream.hub.join(spec, self))

    def deliver(self, event: WatchEvent) -> None:
        """Hand an event to the watcher and do what it orders."""
        for command in self.watcher.receive(event):
            if type(command) is SendLines:
                self._send_lines(command.lines)
            else:
                self._execute(command)

    def _send_lines(self, lines: bytes) -> None:
        if lines:
            self.quiet_beats = 0
            self.stream.outlet.send(with_watch_id(lines, self.watch_id) if self.watch_id else lines)

    def _execute(self, command: Command) -> None:
        stream = self.stream
        match command:
            case SendCreated(lines):
                stream.respond(watch_id=self.watch_id, created=True)
                self._send_lines(lines)
            case SendCompacted(compact_revision):
                stream.drop(self)
                stream.respond(0, watch_id=self.watch_id, canceled=True, compact_revision=compact_revision)
            case SendCanceled():
                stream.drop(self)
                stream.respond(watch_id=self.watch_id, canceled=True)
            case RequestTurn():
                stream.outlet.request_turn(self._take_turn)
            case CloseConnection():
                stream.outlet.abort()
            case _:
                pass  # a heartbeat: HTTP/2 has its own

    def _take_turn(self) -> None:
        self.deliver(_TURN)
        self.stream.tell_progress()

    def beat(self) -> None:
        """A heartbeat interval has passed."""
        self.deliver(_BEAT)
        self.quiet_beats += 1
        if self.wants_progress and self.quiet_beats >= PROGRESS_BEATS and self.watcher.state is State.LIVE:
            self.quiet_beats = 0
            self.stream.respond(watch_id=self.watch_id)


class WatchStream:
    """All watches of one stream.

    Args:
        hub: where they are told from.
        identity: the ids in the headers.
        outlet: where their frames go.
        grant: the keys that may be watched; None for all.
    """

    __slots__ = ("_grant", "_identity", "_next_id", "_wants_progress", "_watches", "hub", "outlet")

    def __init__(self, hub: Hub, identity: Identity, outlet: Outlet, grant: Grant | None = None) -> None:
        self.hub = hub
        self._grant = grant
        self.outlet = outlet
        self._identity = identity
        self._watches: dict[int, StreamWatch] = {}
        self._next_id = 0
        self._wants_progress = False

    def take(self, data: bytes) -> None:
        """Take a WatchRequest.

        Raises:
            EtcdError: it cannot be decoded, or there is no state yet.
        """
        request = parse("WatchRequest", data)
        match request.WhichOneof("request_union"):
            case "create_request":
                self._create(request.create_request)
            case "cancel_request":
                watch = self._watches.get(request.cancel_request.watch_id)
                if watch is not None:
                    watch.deliver(CancelRequested())
            case "progress_request":
                self._wants_progress = True
            case _:
                pass  # a request of a later etcd
        self.tell_progress()

    def _create(self, request: Message) -> None:
        if not self.hub.store.image.is_ready:
            raise errors.not_ready()
        if refusal := self._refusal(request):
            self.respond(watch_id=NO_WATCH_ID, created=True, canceled=True, cancel_reason=refusal)
            return
        watch_id = request.watch_id or self._free_id()
        watch = StreamWatch(self, watch_id, read_spec(request), wants_progress=request.progress_notify)
        self._watches[watch_id] = watch
        watch.deliver(WatchRequested(request.start_revision, is_patient=True))
        if self.outlet.is_blocked:
            self.block()

    def _refusal(self, request: Message) -> str:
        """Say why a watch cannot be had, in etcd's words where it has some."""
        key, range_end = request.key or b"\0", request.range_end
        if self._grant is not None and not self._grant.covers(key, range_end):
            return "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
        if request.watch_id and request.watch_id in self._watches:
            return "mvcc: duplicate watch ID provided on the WatchStream"
        if range_end and range_end != b"\0" and key >= range_end:
            return "mvcc: watcher range is empty"
        if not self.outlet.claim_watch():
            return "etcdserver: too many watches on one connection"
        return ""

    def _free_id(self) -> int:
        while self._next_id in self._watches:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def respond(self, revision: int | None = None, **fields: object) -> None:
        """Send a WatchResponse without events, with the store's revision if no other is given."""
        made = header(self._identity, self.hub.store.revision if revision is None else revision)
        self.outlet.send(frame(encode(message_class("WatchResponse")(header=made, **fields))))

    def tell_progress(self) -> None:
        """Answer a progress request as soon as every watch has been told everything."""
        if self._wants_progress and all(
            watch.watcher.state in {State.LIVE, State.WAITING} for watch in self._watches.values()
        ):
            self._wants_progress = False
            self.respond(watch_id=NO_WATCH_ID)

    def drop(self, watch: StreamWatch) -> None:
        """Forget a watch that has ended."""
        if self._watches.pop(watch.watch_id, None) is not None:
            self.hub.leave(watch.watcher.feed.spec, watch)
            self.outlet.release_watch()

    def block(self) -> None:
        """What was sent waits: nothing more is sent, the watches remember where they are."""
        for watch in self._watches.values():
            if watch.watcher.state in {State.LIVE, State.SYNCING, State.WAITING}:
                watch.deliver(_PAUSED)

    def unblock(self) -> None:
        """Everything was sent: the watches go on, those first that have waited longest."""
        for watch in tuple(self._watches.values()):
            if self.outlet.is_blocked:
                return
            if watch.watcher.state is State.LAGGING:
                self._watches[watch.watch_id] = self._watches.pop(watch.watch_id)
                watch.deliver(_RESUMED)
        self.tell_progress()

    def beat(self) -> None:
        """A heartbeat interval has passed."""
        for watch in tuple(self._watches.values()):
            watch.beat()

    def close(self) -> None:
        """The stream has ended."""
        for watch in tuple(self._watches.values()):
            watch.deliver(_LOST)
            self.drop(watch)


def read_spec(request: Message) -> WatchSpec:
    """Read what a WatchCreateRequest selects; the watch id is no part of it, so that streams share their frames."""
    return WatchSpec(
        request.key or b"\0",
        request.range_end,
        request.prev_kv,
        NO_PUT in request.filters,
        NO_DELETE in request.filters,
        is_fragmented=request.fragment,
    )


def renderer(identity: Identity) -> Callable[[WatchSpec, Sequence[Change]], bytes]:
    """Make the renderer of a hub."""
    return partial(render_events, identity)


def render_events(identity: Identity, spec: WatchSpec, changes: Sequence[Change]) -> bytes:
    """Render changes in a row as one WatchResponse, or as several fragments if the spec allows it and one is too large.

    Args:
        identity: the ids in the header.
        spec: whose frames they are.
        changes: by rising revision, at least one; the header has the revision of the last, each event that of its own.
    """
    response = message_class("WatchResponse")
    made = header(identity, changes[-1].revision)
    events = [_event(event, change.revision, spec) for change in changes for event in change.events]
    if not spec.is_fragmented:
        return frame(encode(response(header=made, events=events)))
    runs: list[list[Message]] = [[]]
    size = 0
    for event in events:
        size += event.ByteSize()
        if runs[-1] and size > MAX_FRAGMENT_BYTES:
            runs.append([])
            size = event.ByteSize()
        runs[-1].append(event)
    last = len(runs) - 1
    return b"".join(
        [frame(encode(response(header=made, fragment=at < last, events=run))) for at, run in enumerate(runs)]
    )


def _event(event: Event, revision: int, spec: WatchSpec) -> Message:
    made = message_class("mvccpb.Event")()
    if event.kv is None:
        made.type = DELETE
        made.kv.key, made.kv.mod_revision = event.key, revision
    else:
        made.kv.CopyFrom(key_value(event.key, event.kv))
    if spec.prev_kv and event.prev is not None:
        made.prev_kv.CopyFrom(key_value(event.key, event.prev))
    return made


def with_watch_id(frames: bytes, watch_id: int) -> bytes:
    """Give rendered frames the field of a watch id other than 0."""
    field = _WATCH_ID_TAG + _varint(watch_id)
    parts, at = list[bytes](), 0
    while at < len(frames):
        end = at + PREFIX_BYTES + int.from_bytes(frames[at + 1 : at + PREFIX_BYTES])
        size = end - at - PREFIX_BYTES + len(field)
        parts += (b"\0", size.to_bytes(4), frames[at + PREFIX_BYTES : end], field)
        at = end
    return b"".join(parts)


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
