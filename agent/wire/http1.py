"""One HTTP/1.1 connection: parsing, order, limits and flow control around the sans-IO parts.

Every answer but a watch is ready at once, so requests are answered in the order they came; while the client does not
read, requests wait in the queue and reading stops. A watch is the last request of its connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools

from agent.etcd import errors
from agent.etcd.errors import EtcdError
from agent.etcd.watch import (
    CancelRequest,
    CreateRequest,
    OtherRequest,
    parse_watch,
    render_canceled,
    render_compacted,
    render_created,
    split_object,
)
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
    SendHeartbeat,
    SendLines,
    State,
    TurnGranted,
    Watcher,
    WatchRequested,
    WritePaused,
    WriteResumed,
)
from agent.wire import response
from agent.wire.address import own_url
from agent.wire.front import WATCH_PATHS
from agent.wire.request import Request, kept_header
from agent.wire.response import CONTINUE, HEARTBEAT_CHUNK, STREAM_HEAD, Response, chunk, failure, text, unreadable

if TYPE_CHECKING:
    from agent.store.watcher import Event
    from agent.wire.front import Front

MAX_HEAD_BYTES = 32 << 10
MAX_BODY_BYTES = 3 << 20
"""2 MiB of a gRPC message, as base64."""
WRITE_HIGH_BYTES = 512 << 10
MAX_QUIET_BEATS = 8
"""Heartbeat intervals a connection may be silent without a watch: two minutes."""
_TURN, _BEAT, _PAUSED, _RESUMED, _LOST = TurnGranted(), HeartbeatDue(), WritePaused(), WriteResumed(), ConnectionLost()


class HTTPConnection(asyncio.Protocol):
    """One accepted connection.

    Args:
        front: what answers.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_framing",
        "_front",
        "_has_begun",
        "_head_bytes",
        "_held",
        "_is_in_head",
        "_is_paused",
        "_parser",
        "_path",
        "_queue",
        "_quiet_beats",
        "_refusal",
        "_slot",
        "_token",
        "_transport",
        "_watcher",
    )

    def __init__(self, front: Front) -> None:
        self._front = front
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._queue: deque[Request] | None = None
        self._watcher: Watcher | None = None
        self._body = bytearray()
        self._path, self._framing, self._token = b"", b"", ""
        self._head_bytes = self._quiet_beats = 0
        self._is_in_head = self._has_begun = self._is_paused = False
        self._refusal: Response | None = None
        self._held: asyncio.TimerHandle | None = None
        self._slot = -1
        self._transport: asyncio.Transport

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the wheel."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are of no asyncio class
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        self._slot = self._front.wheel.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the watch at once: the client opens its next one right after (section 6)."""
        del exc
        self._front.wheel.remove(self, self._slot)
        self._parser = self._queue = None
        if self._held:
            self._held.cancel()
        if self._watcher is not None:
            self._watcher.receive(_LOST)
            self._front.leave(self._watcher.feed.spec, self)
            self._watcher = None

    def pause_writing(self) -> None:
        """The client does not read."""
        self._is_paused = True
        if self._watcher is not None:
            self.deliver(_PAUSED)

    def resume_writing(self) -> None:
        """The client has read."""
        self._is_paused = False
        self._quiet_beats = 0
        if self._watcher is not None:
            if self._watcher.state in {State.LAGGING, State.CANCELED}:
                self.deliver(_RESUMED)
        else:
            self._answer()

    def retire(self) -> bool:
        """Close after what was answered; a watch stays until its turn comes."""
        if not self._watcher:
            self._transport.close()
        return bool(self._watcher)

    def abort(self) -> None:
        """Close without a last chunk: APISIX reconnects silently (section 5.3)."""
        self._transport.abort()

    def beat(self) -> None:
        """Send a heartbeat on a watch; close a connection that has been silent for long."""
        if self._watcher is not None:
            self.deliver(_BEAT)
            return
        self._quiet_beats += 1
        if self._quiet_beats >= MAX_QUIET_BEATS:
            self._transport.abort()

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Feed the parser; once a watch has its whole request, everything more is ignored."""
        parser = self._parser
        if parser is None or self._transport.is_closing():
            return
        self._quiet_beats = 0
        was_in_head, self._has_begun = self._is_in_head, False
        try:
            self._feed(parser, memoryview(data))
        except httptools.HttpParserError:
            self._refuse(self._refusal or unreadable(data))
        if was_in_head and self._is_in_head and not self._has_begun:  # all of it belongs to one head
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(text(431, "431 Request Header Fields Too Large"))
        self._answer()

    def _feed(self, parser: httptools.HttpRequestParser, rest: memoryview) -> None:
        """Ignore offers to upgrade, however many: each such request is parsed again as one without it."""
        while rest:
            try:
                parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest, method = rest[upgrade.args[0] :], parser.get_method()
            else:
                return
            if method == b"CONNECT":
                self._refuse(text(405, "Method Not Allowed\n"))
                return
            again = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, self._path, self._framing)
            self._parser = parser = httptools.HttpRequestParser(self)
            parser.feed_data(again)

    def on_message_begin(self) -> None:
        """Parser: a request begins."""
        self._is_in_head, self._has_begun, self._head_bytes = True, True, 0
        self._path, self._framing, self._body, self._token = b"", b"", bytearray(), ""

    def on_url(self, url: bytes) -> None:
        """Parser: a piece of the request target."""
        self._path += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: a header. Only the token and Expect matter to us, and how the body is framed."""
        self._count_head(len(name) + len(value))
        name = name.lower()
        self._framing += kept_header(name, value)
        if name == b"authorization":
            self._token = value.strip().decode("latin-1")
        elif name == b"expect" and not self._queue and self._watcher is None:
            self._transport.write(CONTINUE)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refusal = text(431, "431 Request Header Fields Too Large")
            raise ValueError

    def on_headers_complete(self) -> None:
        """Parser: the head is complete."""
        self._is_in_head = False
        self._path = self._path.partition(b"?")[0]

    def on_body(self, data: bytes) -> None:
        """Parser: a piece of the body."""
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self._refusal = failure(errors.message_too_large(len(self._body), MAX_BODY_BYTES))
            raise ValueError

    def on_message_complete(self) -> None:
        """Parser: the request is complete."""
        if self._watcher is not None:
            self._body = self._take_watch_objects(self._body, "")
            self._parser = None
            return
        parser = self._parser
        if parser is None or parser.should_upgrade() or self._transport.is_closing():
            return
        is_keep_alive, is_old = parser.should_keep_alive(), parser.get_http_version() == "1.0"
        body = bytes(self._body)
        self._enqueue(Request(parser.get_method(), self._path, body, is_keep_alive, is_old, token=self._token))
        self._body = bytearray()

    # Answers

    def _enqueue(self, request: Request) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(request)

    def _refuse(self, refusal: Response) -> None:
        """Answer what cannot be understood, after what came before it, and close."""
        self._parser = None
        if self._watcher is not None:
            self._transport.abort()
        else:
            self._enqueue(Request(b"", b"", b"", is_keep_alive=False, is_old=False, refusal=refusal))

    def _answer(self) -> None:
        """Answer what waits, in order, as long as the client reads."""
        queue = self._queue
        while queue and self._is_open():
            self._respond(queue.popleft())
        if self._watcher is not None:
            self._body = self._take_watch_objects(self._body, "")
        elif self._body and self._is_watch() and self._is_open():
            self._open_early()
        if queue and (self._is_paused or self._held) and self._watcher is None:
            self._transport.pause_reading()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _is_open(self) -> bool:
        return not (self._is_paused or self._held or self._watcher or self._transport.is_closing())

    def _respond(self, request: Request) -> None:
        if request.refusal is not None:
            self._send(request, request.refusal)
        elif request.path in WATCH_PATHS and request.method == b"POST":
            self._open_watch(request)
        else:
            self._send(request, self._front.answer(request, partial(own_url, self._transport)))

    def _send(self, request: Request, answer: Response) -> None:
        head = response.head(answer, is_keep_alive=request.is_keep_alive, is_old=request.is_old)
        body = b"" if request.method == b"HEAD" else response.body_of(answer, is_old=request.is_old)
        self._transport.writelines((head, body))
        if not request.is_keep_alive:
            self._transport.close()

    # The watch

    def _is_watch(self) -> bool:
        parser = self._parser
        return self._path in WATCH_PATHS and parser is not None and parser.get_method() == b"POST"

    def _open_watch(self, request: Request) -> None:
        """Start a watch whose request has arrived in full."""
        if request.is_old:
            self._send(request, text(505, "a watch needs HTTP/1.1\n"))
            return
        try:
            rest = self._take_watch_objects(request.body, request.token)
        except EtcdError as error:
            self._refuse_watch(request, error)
            return
        if self._watcher is None:
            self._send(request, failure(EtcdError(500, 2, "unexpected EOF" if rest else "EOF")))
        else:
            self._parser = None

    def _open_early(self) -> None:
        """Start a watch as soon as its first JSON object is there: the body may never end."""
        try:
            self._body = self._take_watch_objects(self._body, self._token)
        except EtcdError as error:
            self._parser, self._body = None, bytearray()
            self._refuse_watch(Request(b"", b"", b"", is_keep_alive=False, is_old=False), error)

    def _refuse_watch(self, request: Request, error: EtcdError) -> None:
        """Refuse now, or after a while if the client is to come back: not all of them at once (rule 15)."""
        delay_s = self._front.admission.delay_s() if error.status == HTTPStatus.SERVICE_UNAVAILABLE else 0.0
        if delay_s:
            self._held = asyncio.get_running_loop().call_later(delay_s, self._release, request, failure(error))
        else:
            self._send(request, failure(error))

    def _release(self, request: Request, refusal: Response) -> None:
        self._held = None
        self._send(request, refusal)
        self._answer()

    def _take_watch_objects(self, body: bytes | bytearray, token: str) -> bytearray:
        """Take the complete JSON objects of a watch body and give the rest back; an open watch ignores what is none.

        Raises:
            EtcdError: it can never be a watch request, the token does not allow it, or it cannot be taken yet. It is
                refused by its status: on etcd's `canceled` line APISIX comes back 2,000 times a second (section 5.3).
        """
        try:
            found, rest = split_object(bytes(body))
            while found:
                self._take_watch_object(found, token)
                found, rest = split_object(rest)
        except EtcdError:
            if self._watcher is None:
                raise
            return bytearray()
        return bytearray(rest)

    def _take_watch_object(self, found: bytes, token: str) -> None:
        match parse_watch(found):
            case CreateRequest(spec, start_revision) if self._watcher is None:
                self._front.auth.authorize(token).check(spec.key, spec.range_end)
                if not self._front.store.image.is_ready:
                    raise errors.not_ready()
                if not self._front.admission.admits():
                    raise errors.too_many_watches()
                self._watcher = Watcher(self._front.join(spec, self))
                self.deliver(WatchRequested(start_revision))
            case CancelRequest() if self._watcher is not None:
                self.deliver(CancelRequested())
            case CreateRequest() | CancelRequest() | OtherRequest():
                pass  # one watch per connection; progress is never told (rule 13)

    def deliver(self, event: Event) -> None:
        """Hand an event to the watcher and do what it orders."""
        if self._watcher is not None:
            for command in self._watcher.receive(event):
                if type(command) is SendLines:
                    if command.lines:
                        self._transport.write(command.lines)
                else:
                    self._execute(command)

    def _execute(self, command: Command) -> None:
        watcher, front, transport = self._watcher, self._front, self._transport
        if watcher is None:
            return
        spec, revision = watcher.feed.spec, front.store.revision
        match command:
            case SendCreated(lines):
                transport.write(STREAM_HEAD + chunk(render_created(front.identity, spec, revision)) + lines)
            case SendCompacted(compact_revision):
                transport.write(chunk(render_compacted(front.identity, spec, compact_revision)))
            case SendCanceled():
                transport.write(chunk(render_canceled(front.identity, spec, revision)))
            case SendHeartbeat():
                transport.write(HEARTBEAT_CHUNK)
            case RequestTurn():
                asyncio.get_running_loop().call_soon(self.deliver, _TURN)
            case CloseConnection():
                transport.abort()
