"""One HTTP/2 connection: gRPC calls around the sans-IO services.

The only file that touches grpclib, whose server-protocol classes are private; tests/agent/wire/test_http2.py holds the
contract. grpclib moves frames, windows and pings; calls are answered here, because its own request handler has no
limit for the size of a message and logs what clients do wrong.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from grpclib.config import Configuration
from grpclib.metadata import encode_grpc_message
from grpclib.protocol import AbstractHandler, H2Protocol
from h2.config import H2Configuration
from h2.events import UnknownFrameReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from agent.etcd import errors
from agent.etcd.errors import EtcdError
from agent.grpc.message import PREFIX_BYTES, frame
from agent.grpc.service import HEALTH_WATCH_PATH, KEEP_ALIVE_PATH, MEMBER_LIST_PATH, WATCH_PATH, Services
from agent.grpc.watch import WatchStream, renderer
from agent.wire.address import own_url
from agent.wire.http1 import MAX_QUIET_BEATS, WRITE_HIGH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from grpclib.protocol import Stream

    from agent.store.hub import Hub
    from agent.wire.front import Front

LOGGER = logging.getLogger("meshferry.agent")
MAX_MESSAGE_BYTES = 2 << 20
"""etcd's --max-request-bytes and the overhead of gRPC."""
MAX_STREAMS = 1024
MAX_WATCHES = 1024
"""Per connection: the dashboard leaks watches (section 8)."""
MAX_DEAF_BEATS = 4
"""Heartbeat intervals a connection may leave a ping, or what was written, alone."""
_CONFIG = Configuration(
    http2_connection_window_size=4 << 20, http2_stream_window_size=1 << 20
).__for_server__()
_H2_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)
_HEAD = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_OK = [(b"grpc-status", b"0")]
_PING = b"heartbea"


class _GRPC:
    """What all HTTP/2 connections of a front share."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.services = Services(front.member)
        self.hub: Hub = front.add_hub(renderer(front.identity))


def connection(front: Front) -> GRPCConnection:
    """Make the protocol of a connection that has begun with HTTP/2's preface."""
    shared = front.grpc
    if shared is None:
        shared = front.grpc = _GRPC(front)
    return GRPCConnection(cast("_GRPC", shared))


class GRPCConnection(H2Protocol):
    """One accepted connection.

    Args:
        shared: the services.
    """

    def __init__(self, shared: _GRPC) -> None:
        self._calls = _Calls(shared, self)
        super().__init__(self._calls, _CONFIG, _H2_CONFIG)
        self._front = shared.front
        self._slot = -1
        self._quiet_beats = 0
        self._deaf_beats = 0
        self._is_paused = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet and enter the wheel."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports are of no asyncio class
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        self._slot = self._front.wheel.add(self)
        super().connection_made(transport)
        h2 = self.connection._connection  # noqa: SLF001 - grpclib hides what it wraps
        h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS})
        self.connection.flush()
        self.processor.processors[UnknownFrameReceived] = _ignore  # type: ignore[index]  # HTTP/2 wants it ignored

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the watches at once."""
        self._front.wheel.remove(self, self._slot)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take frames; a client that breaks the protocol in a way grpclib does not expect is disconnected."""
        if self.transport.is_closing():
            return
        self._quiet_beats = self._deaf_beats = 0
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - whatever the bytes were, the other connections live on
            LOGGER.debug("an HTTP/2 connection sent what cannot be understood: %r", error)
            self.transport.abort()

    def pause_writing(self) -> None:
        """The client does not read: nor do we, or its pings alone could fill the buffer."""
        super().pause_writing()
        self._is_paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._is_paused = False
        self._deaf_beats = 0
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def beat(self) -> None:
        """Ping a connection that has calls, close one that has had none for long or does not answer."""
        for session in tuple(self._calls.sessions):
            session.beat()
        if self.transport.is_closing():
            return
        self._deaf_beats += 1
        self._quiet_beats += 1
        if self._deaf_beats > MAX_DEAF_BEATS and (self._is_paused or self._calls.is_busy):
            self.transport.abort()
        elif self._calls.is_busy and not self._is_paused:
            self.connection._connection.ping(_PING)  # noqa: SLF001 - grpclib hides what it wraps
            self.connection.flush()
        elif self._quiet_beats >= MAX_QUIET_BEATS:
            self.transport.close()

    def abort(self) -> None:
        """Close at once: clients resume by revision."""
        self.transport.abort()


def _ignore(_: object) -> None:
    return


class _Calls(AbstractHandler):
    """The calls of one connection."""

    def __init__(self, shared: _GRPC, owner: GRPCConnection) -> None:
        self.shared = shared
        self.owner = owner
        self.sessions: set[WatchStream] = set()
        self.watch_count = 0
        self._tasks: dict[Stream, asyncio.Task[None]] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a call is open."""
        return bool(self._tasks)

    def accept(self, stream: Stream, headers: list[tuple[bytes, bytes]], release_stream: Callable[[], None]) -> None:  # type: ignore[override]  # header_encoding=None gives bytes
        """Start a call."""
        task = asyncio.get_running_loop().create_task(self._run(stream, dict(headers), release_stream))
        self._tasks[stream] = task

    def cancel(self, stream: Stream) -> None:
        """The client has reset a stream."""
        task = self._tasks.pop(stream, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """The connection is gone."""
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, stream: Stream, headers: dict[bytes, bytes], release: Callable[[], None]) -> None:
        call = Call(self, stream)
        try:
            await self._answer(call, headers)
        except EtcdError as error:
            await call.fail(error)
        except ProtocolError:
            pass  # the stream ended before its answer
        except Exception:
            LOGGER.exception("%s failed", headers.get(b":path", b"?").decode("ascii", "replace"))
            await call.fail(EtcdError(500, 13, "etcdserver: internal error"))
        finally:
            self._tasks.pop(stream, None)
            call.close()
            with suppress(KeyError, ProtocolError):  # grpclib has let go of a connection that is gone
                release()

    def _answer(self, call: Call, headers: dict[bytes, bytes]) -> Coroutine[None, None, None]:
        path, services = headers.get(b":path", b""), self.shared.services
        if headers.get(b":method") != b"POST" or not headers.get(b"content-type", b"").startswith(b"application/grpc"):
            return call.reject()
        self.shared.front.authorize(headers.get(b"token", headers.get(b"authorization", b"")).decode("ascii", "replace"))
        if path in services.unary:
            return call.unary(services.unary[path])
        if path == WATCH_PATH:
            return call.watch(self.shared.hub)
        if path == KEEP_ALIVE_PATH:
            return call.each(services.lease.keep_alive)
        if path == MEMBER_LIST_PATH:
            return call.unary(lambda data: services.maintenance.member_list(data, own_url(self.owner.transport)))
        if path == HEALTH_WATCH_PATH:
            return call.once(services.maintenance.health)
        service, _, method = path.decode("ascii", "replace").strip("/").rpartition("/")
        raise errors.unimplemented(f"unknown method {method} for service {service}")


class Call:
    """One call: its messages in and out.

    Args:
        calls: those of the connection.
        stream: grpclib's side of it.
    """

    __slots__ = ("_calls", "_drain", "_has_head", "_h2", "_on_blocked", "_on_drained", "_pending", "_stream")

    def __init__(self, calls: _Calls, stream: Stream) -> None:
        self._calls = calls
        self._stream = stream
        self._h2 = stream._h2_connection  # noqa: SLF001 - grpclib hides what it wraps
        self._has_head = False
        self._pending: list[bytes] = []
        self._drain: asyncio.Task[None] | None = None
        self._on_blocked: Callable[[], None] = _nothing
        self._on_drained: Callable[[], None] = _nothing

    # The kinds of calls

    async def unary(self, answer: Callable[[bytes], bytes]) -> None:
        """One message, one answer."""
        data = await self._receive()
        if data is None:
            raise EtcdError(500, 13, "grpc: the request has no message")
        self.send(frame(answer(data)))
        await self._end()

    async def each(self, answer: Callable[[bytes], bytes]) -> None:
        """An answer for each message, until the client has no more."""
        while (data := await self._receive()) is not None:
            self.send(frame(answer(data)))
            await self._drained()
        await self._end()

    async def once(self, answer: Callable[[bytes], bytes]) -> None:
        """One answer on a stream that stays open."""
        self.send(frame(answer(await self._receive() or b"")))
        await self._forever()

    async def watch(self, hub: Hub) -> None:
        """Watch until the client ends the call; one that has no more requests stays (section 2.5)."""
        session = WatchStream(hub, self._calls.shared.front.identity, self)
        self._on_blocked, self._on_drained = session.block, session.unblock
        self._calls.sessions.add(session)
        try:
            while (data := await self._receive()) is not None:
                session.take(data)
                await self._drained()
            await self._forever()
        finally:
            self._calls.sessions.discard(session)
            session.close()

    async def _forever(self) -> None:
        await asyncio.get_running_loop().create_future()

    # Messages in

    async def _receive(self) -> bytes | None:
        """Give the next message, None after the last one.

        Raises:
            EtcdError: it is compressed, too large or cut short.
        """
        try:
            prefix = await self._stream.recv_data(PREFIX_BYTES)
            if not prefix:
                return None
            if prefix[0]:
                raise errors.unimplemented("grpc: Decompressor is not installed for grpc-encoding")
            size = int.from_bytes(prefix[1:])
            if size > MAX_MESSAGE_BYTES:
                raise errors.message_too_large(size, MAX_MESSAGE_BYTES)
            data: bytes = await self._stream.recv_data(size)
        except AssertionError:  # what grpclib makes of a stream that ends inside a message
            raise EtcdError(500, 13, "unexpected EOF") from None
        if len(data) < size:
            raise EtcdError(500, 13, "unexpected EOF")
        return data

    # Messages out

    @property
    def is_blocked(self) -> bool:
        """Whether something waits to be sent."""
        return self._drain is not None

    def send(self, frames: bytes) -> None:
        """Send frames, at once if the windows and the client allow it, else as soon as they do."""
        if not self._stream.closable:
            return
        self._open()
        if self._drain is None and self._fits(len(frames)):
            self._write(frames)
            return
        self._pending.append(frames)
        if self._drain is None:
            self._drain = asyncio.get_running_loop().create_task(self._send_pending())
            self._on_blocked()

    def _open(self) -> None:
        if not self._has_head:
            self._has_head = True
            self._h2.send_headers(self._stream.id, _HEAD)

    def _fits(self, size: int) -> bool:
        connection = self._stream.connection
        return connection.write_ready.is_set() and size <= self._h2.local_flow_control_window(self._stream.id)

    def _write(self, frames: bytes) -> None:
        limit = self._h2.max_outbound_frame_size
        for first in range(0, len(frames), limit):
            self._h2.send_data(self._stream.id, frames[first : first + limit])
        self._stream.connection.flush()

    async def _send_pending(self) -> None:
        """Send what waits; grpclib waits for the windows."""
        try:
            while self._pending:
                await self._stream.send_data(self._pending[0])
                del self._pending[0]
        except ProtocolError:
            self._pending.clear()  # the stream is gone, and so will be its call
        self._drain = None
        self._on_drained()

    async def _drained(self) -> None:
        while self._drain is not None:
            await asyncio.wait([self._drain])

    async def _end(self) -> None:
        await self._drained()
        if self._stream.closable:
            self._h2.send_headers(self._stream.id, _OK, end_stream=True)
            self._stream.connection.flush()

    async def fail(self, error: EtcdError) -> None:
        """End the call with an error."""
        await self._drained()
        if not self._stream.closable:
            return
        trailers = [
            (b"grpc-status", b"%d" % error.code),
            (b"grpc-message", encode_grpc_message(error.message).encode()),
        ]
        self._h2.send_headers(self._stream.id, trailers if self._has_head else _HEAD + trailers, end_stream=True)
        if self._stream.closable:
            self._h2.reset_stream(self._stream.id, error_code=0)
        self._stream.connection.flush()

    async def reject(self) -> None:
        """End what is no gRPC call."""
        if self._stream.closable:
            self._h2.send_headers(self._stream.id, [(b":status", b"415")], end_stream=True)
            self._stream.connection.flush()

    def close(self) -> None:
        """Stop sending."""
        if self._drain is not None:
            self._drain.cancel()

    # What a watch stream asks for beside

    def request_turn(self, call: Callable[[], None]) -> None:
        """Call back after other work."""
        asyncio.get_running_loop().call_soon(call)

    def claim_watch(self) -> bool:
        """Ask for one more watch on the connection."""
        if self._calls.watch_count >= MAX_WATCHES:
            return False
        self._calls.watch_count += 1
        return True

    def release_watch(self) -> None:
        """Give a watch back."""
        self._calls.watch_count -= 1

    def abort(self) -> None:
        """Close the connection at once."""
        self._calls.owner.transport.abort()


def _nothing() -> None:
    return
