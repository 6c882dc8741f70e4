"""The gRPC transport of an ADS session: the only file that knows grpc, sockets and the clock.

One connection at a time. Each attempt makes a new channel, so that certificates and the token are read again and
nothing of an old connection lingers. Events go through one queue to the session; the reader waits until a response has
been dealt with before it takes the next from the wire, so that a slow follower slows the control plane, not the memory.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pipeline.backoff import Backoff
from pipeline.version import build_version
from producers.source import SourceProblem
from producers.xds.command import DeliverChanges, ReportProblem, SendRequest, StartTimer
from producers.xds.event import Event, ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.node import build_node
from producers.xds.session import Session, Timing
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pipeline.settings import XDSSettings
    from producers.source import Changes
    from producers.xds.command import Command

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 30.0
CONNECT_TIMEOUT_S = 30.0
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # a single response of 3.6 MB is normal (control-planes.md section 6)
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),  # an idle stream is the normal case, it must be probed for ever
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel inherits the back-off of the old one
)
MAX_DETAILS_CHARS = 300
REMEDIES = {
    grpc.StatusCode.UNAVAILABLE: "check address, port, TLS settings and that the control plane runs; tried again",
    grpc.StatusCode.UNIMPLEMENTED: "check that the address is an ADS server's and that it speaks state-of-the-world",
    grpc.StatusCode.UNAUTHENTICATED: "check the token file or the client certificate; tried again",
    grpc.StatusCode.PERMISSION_DENIED: "check that this identity may subscribe as this node id; tried again",
    grpc.StatusCode.INVALID_ARGUMENT: "check node id, cluster and metadata against what the control plane wants",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the control plane limits streams; tried again with back-off",
}


@dataclass(frozen=True)
class TLSFiles:
    """PEM files of a TLS connection, read at every connect; an empty path leaves that part out."""

    ca: str = ""
    """The authorities to trust; empty trusts the system's."""
    cert: str = ""
    """The client certificate, for mTLS."""
    key: str = ""
    """Its private key."""


@dataclass(frozen=True)
class Server:
    """An ADS server and how to speak to it."""

    address: str
    """host:port."""
    tls: TLSFiles | None = None
    """None speaks plaintext."""
    token_file: str = ""
    """File with a bearer token, read at every connect."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Further gRPC metadata of the stream."""


_Happening: TypeAlias = Event | SourceProblem | BaseException


class _ConnectError(Exception):
    """An attempt failed; what went wrong and what to do about it, one line each."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ADSSource:
    """An ADS control plane as a source (producers/source.py)."""

    def __init__(
        self,
        server: Server,
        node: xds.Message,
        *,
        timing: Timing | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Make the source; nothing is connected before `changes` is followed.

        Args:
            server: whom to ask.
            node: the identity to ask as (`build_node`).
            timing: other delays than the protocol's.
            jitter: gives a number in [0, 1) for the back-off.
        """
        self._server = server
        self._session = Session(node, server.address, timing)
        self._events: asyncio.Queue[_Happening] = asyncio.Queue()
        self._backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, jitter)
        self._call: Any = None
        self._last_problem: SourceProblem | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}

    async def changes(self) -> AsyncIterator[Changes | SourceProblem]:
        """Follow the control plane until cancelled.

        Yields:
            Changes and problems in the order they happened. A server that cannot be reached is a problem, tried again
            with full-jitter back-off; what was delivered stays in force.
        """
        connecting = asyncio.create_task(self._connect_forever(), name=f"ads {self._server.address}")
        connecting.add_done_callback(self._stopped)
        try:
            while True:
                happening = await self._events.get()
                for output in await self._perform(happening):
                    yield output
                self._events.task_done()
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            self._stop_timers()

    def _stopped(self, connecting: asyncio.Task[None]) -> None:
        """Hand a fault of our own to the follower, who would else wait for ever."""
        if not connecting.cancelled() and (error := connecting.exception()) is not None:
            self._events.put_nowait(error)

    async def _perform(self, happening: _Happening) -> list[Changes | SourceProblem]:
        if isinstance(happening, BaseException):
            raise happening
        if isinstance(happening, SourceProblem):
            return [happening]
        outputs: list[Changes | SourceProblem] = []
        for command in self._session.receive(happening):
            outputs += await self._obey(command)
        return outputs

    async def _obey(self, command: Command) -> list[Changes | SourceProblem]:
        match command:
            case SendRequest(request):
                await self._send(request)
            case StartTimer(serial, delay_ms):
                loop = asyncio.get_running_loop()
                self._timers[serial] = loop.call_later(delay_ms / 1000, self._fire, serial)
            case DeliverChanges(changes):
                return [changes]
            case ReportProblem(problem):
                return [problem]
        return []

    async def _send(self, request: xds.Message) -> None:
        try:
            await self._call.write(request.SerializeToString())
        except (grpc.RpcError, asyncio.InvalidStateError):
            return  # the stream has ended; its reader reports that, and a new stream starts from the beginning

    def _fire(self, serial: int) -> None:
        del self._timers[serial]
        self._events.put_nowait(TimerFired(serial))

    def _stop_timers(self) -> None:
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    async def _connect_forever(self) -> None:
        while True:
            try:
                await self._stream()
            except _ConnectError as error:
                problem = SourceProblem(self._server.address, error.message, error.remedy)
                if problem != self._last_problem:
                    self._events.put_nowait(problem)
                self._last_problem = problem
            await asyncio.sleep(self._backoff.next_s())

    async def _stream(self) -> None:
        """Connect once and read until the stream ends.

        Raises:
            _ConnectError: in the end, whatever the end was.
        """
        channel = _channel(self._server)
        try:
            self._call = channel.stream_stream(METHOD)(metadata=_metadata(self._server))
            with _translated("cannot connect"):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._call.wait_for_connection()
            await self._happened(StreamOpened())
            try:
                with _translated("the stream ended"):
                    await self._read()
            except _ConnectError:
                self._stop_timers()
                await self._happened(StreamEnded())
                raise
        finally:
            await channel.close()

    async def _read(self) -> None:
        parse = xds.message_class("envoy.service.discovery.v3.DiscoveryResponse").FromString
        while (body := await self._call.read()) is not grpc.aio.EOF:
            try:
                response = parse(body)
            except DecodeError:
                raise _ConnectError(
                    "it sent what is no DiscoveryResponse", REMEDIES[grpc.StatusCode.UNIMPLEMENTED]
                ) from None
            self._backoff.reset()
            self._last_problem = None
            await self._happened(ResponseReceived(response))
        raise _ended("the stream ended", await self._call.code(), await self._call.details())

    async def _happened(self, event: Event) -> None:
        self._events.put_nowait(event)
        await self._events.join()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn what grpc raises when a stream fails into a _ConnectError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _ended(what, error.code(), error.details()) from error
    except TimeoutError:
        raise _ended(what, grpc.StatusCode.UNAVAILABLE, f"no answer within {CONNECT_TIMEOUT_S:g} s") from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # grpc raises this too when the server ends the stream with the status CANCELLED
        raise _ended(what, grpc.StatusCode.CANCELLED, "") from None


def _ended(what: str, code: grpc.StatusCode, details: str | None) -> _ConnectError:
    reason = " ".join((details or "").split())[:MAX_DETAILS_CHARS]
    message = f"{what}: {code.name}" + (f", {reason}" if reason else "")
    return _ConnectError(message, REMEDIES.get(code, "it is opened again; see the control plane's log"))


def _metadata(server: Server) -> tuple[tuple[str, str], ...]:
    if not server.token_file:
        return server.metadata
    token = _read_file(server.token_file, "token").decode("ascii", "replace").strip()
    if not token.isprintable() or not token.isascii():
        raise _ConnectError(f"{server.token_file}: is no bearer token", "write the token alone into the file, in ASCII")
    return (*server.metadata, ("authorization", f"Bearer {token}"))


def _channel(server: Server) -> Any:
    if server.tls is None:
        return grpc.aio.insecure_channel(server.address, options=CHANNEL_OPTIONS)
    tls = server.tls
    if bool(tls.cert) != bool(tls.key):  # grpc aborts the process over it
        raise _ConnectError("a client certificate without its key, or the reverse", "give both `cert` and `key`")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read_pem(tls.ca, "CA") if tls.ca else None,
        private_key=_read_pem(tls.key, "key") if tls.key else None,
        certificate_chain=_read_pem(tls.cert, "certificate") if tls.cert else None,
    )
    return grpc.aio.secure_channel(server.address, credentials, options=CHANNEL_OPTIONS)


def _read_pem(path: str, what: str) -> bytes:
    content = _read_file(path, what)
    if b"-----BEGIN " not in content:
        raise _ConnectError(f"{path}: is not PEM", f"give the {what} as a PEM file")
    return content


def _read_file(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _ConnectError(f"{path}: {error.strerror}", f"give a readable {what} file") from error


def source_of(settings: XDSSettings) -> ADSSource:
    """Make a source from the settings of a view.

    Raises:
        ValueError: node id or metadata cannot be used; names the field.
    """
    tls = TLSFiles(settings.tls.ca, settings.tls.cert, settings.tls.key) if settings.tls else None
    node = build_node(settings.node_id, build_version(), cluster=settings.cluster, metadata=settings.metadata)
    return ADSSource(Server(settings.server, tls, settings.token_file), node)
