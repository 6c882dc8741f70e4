"""One gRPC call on a stream of grpclib: its messages in and out, for whatever answers them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from grpclib.metadata import encode_grpc_message
from h2.exceptions import ProtocolError

from agent.etcd import errors
from agent.etcd.errors import EtcdError
from agent.grpc.message import PREFIX_BYTES, frame
from agent.grpc.watch import WatchStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpclib.protocol import Stream

    from agent.etcd.auth import Grant
    from agent.store.hub import Hub
    from agent.wire.front import Front

MAX_MESSAGE_BYTES = 2 << 20
"""etcd's --max-request-bytes and the overhead of gRPC."""
MAX_WATCHES = 1024
"""Per connection: the dashboard leaks watches (section 8)."""
_HEAD = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_OK = [(b"grpc-status", b"0")]


class Calls(Protocol):
    """The calls of one connection, as one of them sees the others.

    Attributes:
        sessions: the watch streams.
        watch_count: watches on all of them.
    """

    sessions: set[WatchStream]
    watch_count: int

    @property
    def front(self) -> Front:
        """What answers."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class Call:
    """One call: its messages in and out.

    Args:
        calls: those of the connection.
        stream: grpclib's side of it.
    """

    __slots__ = (
        "_calls",
        "_drain",
        "_h2",
        "_has_head",
        "_on_blocked",
        "_on_drained",
        "_pending",
        "_stream",
        "_stream_id",
    )

    def __init__(self, calls: Calls, stream: Stream) -> None:
        self._calls = calls
        self._stream = stream
        self._stream_id = stream.id or 0  # the client has opened it, so it has one
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

    async def watch(self, hub: Hub, grant: Grant | None) -> None:
        """Watch until the client ends the call; one that has no more requests stays (section 2.5)."""
        front = self._calls.front
        if not front.admission.admits():
            await asyncio.sleep(front.admission.delay_s())
            raise errors.not_ready()
        session = WatchStream(hub, front.identity, self, grant)
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
            self._h2.send_headers(self._stream_id, _HEAD)

    def _fits(self, size: int) -> bool:
        connection = self._stream.connection
        return connection.write_ready.is_set() and size <= self._h2.local_flow_control_window(self._stream_id)

    def _write(self, frames: bytes) -> None:
        limit = self._h2.max_outbound_frame_size
        for first in range(0, len(frames), limit):
            self._h2.send_data(self._stream_id, frames[first : first + limit])
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
            self._h2.send_headers(self._stream_id, _OK, end_stream=True)
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
        self._h2.send_headers(self._stream_id, trailers if self._has_head else _HEAD + trailers, end_stream=True)
        if self._stream.closable:
            self._h2.reset_stream(self._stream_id, error_code=0)
        self._stream.connection.flush()

    async def reject(self) -> None:
        """End what is no gRPC call."""
        if self._stream.closable:
            self._h2.send_headers(self._stream_id, [(b":status", b"415")], end_stream=True)
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
        self._calls.abort()


def _nothing() -> None:
    return
