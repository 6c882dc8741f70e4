"""One HTTP/2 connection: gRPC calls around the sans-IO services.

Only this file and grpc_call.py touch grpclib, whose server-protocol classes are private; the contract is held by
tests/agent/wire/test_http2.py. grpclib moves frames, windows and pings; calls are answered here, because its own
request handler has no limit for the size of a message and logs what clients do wrong.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, H2Protocol
from h2.config import H2Configuration
from h2.events import UnknownFrameReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from agent.etcd import errors
from agent.etcd.errors import EtcdError
from agent.grpc.service import (
    AUTHENTICATE_PATH,
    HEALTH_PREFIX,
    HEALTH_WATCH_PATH,
    KEEP_ALIVE_PATH,
    MEMBER_LIST_PATH,
    WATCH_PATH,
    Services,
)
from agent.grpc.watch import WatchStream, renderer
from agent.wire.address import own_url
from agent.wire.grpc_call import Call
from agent.wire.http1 import MAX_QUIET_BEATS, WRITE_HIGH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from grpclib.protocol import Stream

    from agent.etcd.auth import Grant
    from agent.store.hub import Hub
    from agent.wire.front import Front

LOGGER = logging.getLogger("meshferry.agent")
logging.getLogger("hpack").setLevel(logging.INFO)  # its debug lines have the headers, and so the tokens, in the clear
MAX_FRAME_BYTES = 16384 + 9
"""What a client may send as one frame, with its head; h2 itself looks at the length only when the frame is complete."""
MAX_STREAMS = 1024
MAX_DEAF_BEATS = 4
"""Heartbeat intervals a connection may leave a ping, or what was written, alone."""
_CONFIG = Configuration(
    _keepalive_time=None,  # the wheel pings
    http2_connection_window_size=4 << 20,
    http2_stream_window_size=1 << 20,
).__for_server__()
_H2_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)
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
        self.processor.processors[UnknownFrameReceived] = _ignore  # HTTP/2 wants it ignored

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
            is_too_large = len(self.connection._connection.incoming_buffer._data) > MAX_FRAME_BYTES  # noqa: SLF001 - see there
        except Exception as error:  # noqa: BLE001 - whatever the bytes were, the other connections live on
            LOGGER.debug("an HTTP/2 connection sent what cannot be understood: %r", error)
            is_too_large = True
        if is_too_large:
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

    def retire(self) -> bool:
        """Close unless a call is open: it goes on until its turn comes."""
        if not self._calls.is_busy:
            self.transport.close()
        return self._calls.is_busy

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
    def front(self) -> Front:
        """What answers."""
        return self.shared.front

    def abort(self) -> None:
        """Close the connection at once."""
        self.owner.transport.abort()

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
        if path == AUTHENTICATE_PATH:
            return call.unary(partial(services.maintenance.authenticate, self.shared.front.auth))
        grant = None if path.startswith(HEALTH_PREFIX) else self._grant(headers)
        return (
            call.unary(partial(services.answer, path, grant))
            if path in services.unary
            else self._stream(path, call, grant)
        )

    def _stream(self, path: bytes, call: Call, grant: Grant | None) -> Coroutine[None, None, None]:
        services = self.shared.services
        match path:
            case _ if path == WATCH_PATH:
                found = call.watch(self.shared.hub, grant)
            case _ if path == KEEP_ALIVE_PATH:
                found = call.each(services.lease.keep_alive)
            case _ if path == MEMBER_LIST_PATH:
                found = call.unary(lambda data: services.maintenance.member_list(data, own_url(self.owner.transport)))
            case _ if path == HEALTH_WATCH_PATH:
                found = call.once(services.maintenance.health)
            case _:
                service, _, method = path.decode("ascii", "replace").strip("/").rpartition("/")
                raise errors.unimplemented(f"unknown method {method} for service {service}")
        return found

    def _grant(self, headers: dict[bytes, bytes]) -> Grant | None:
        """Tell which keys a call may name; None for all where there are no users."""
        auth = self.shared.front.auth
        if not auth.is_enabled:
            return None
        return auth.authorize(headers.get(b"token", headers.get(b"authorization", b"")).decode("ascii", "replace"))
