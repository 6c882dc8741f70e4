"""The gRPC transport of an ADS session: the only file that knows its streams and the clock.

One connection at a time. Each attempt makes a new channel, so that certificates and the token are read again and
nothing of an old connection lingers. Events go through one queue to the session; the reader waits until a response has
been dealt with before it takes the next from the wire, so that a slow follower slows the control plane, not the memory.
Who is asked next, and when, is decided in failover.py.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pipeline.backoff import Backoff
from pipeline.version import build_version
from producers.source import SourceProblem
from producers.xds.age import Ages
from producers.xds.channel import (
    CONNECT_TIMEOUT_S,
    REMEDIES,
    ConnectError,
    Server,
    TLSFiles,
    call_metadata,
    check_headers,
    open_channel,
    stream_error,
    translated,
)
from producers.xds.command import DeliverChanges, ReportProblem, SendRequest, StartTimer
from producers.xds.event import Event, ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.failover import End, Failover
from producers.xds.profile import Facts, build_identity
from producers.xds.variant import VARIANTS
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from pipeline.settings import XDSSettings
    from producers.source import Changes
    from producers.xds.command import Command
    from producers.xds.session import Timing

BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 30.0
MAX_KEEPALIVE_MS = 600_000
BREAK_S = 0.1
"""A connection that breaks takes its stream along within this time; where the stream goes on it was a GOAWAY."""
DRAIN_S = 1.5
"""How long a stream may go on after a GOAWAY: a server that has a complaint ends it within a second and says why."""
TOO_MANY_PINGS = "too_many_pings"
NO_STREAM = "cannot connect"


@dataclass(frozen=True)
class Lifetime:
    """When a stream is given up though nothing has gone wrong on it; 0 means never."""

    max_age_s: float = 0.0
    """A stream this old is opened again."""
    max_silence_s: float = 0.0
    """A stream on which nothing was heard for so long is opened again; for control planes that hang half-open."""
    return_after_s: float = 300.0
    """How long the first control plane of a list is left alone after it failed."""


_Happening: TypeAlias = Event | SourceProblem | BaseException


class ADSSource:
    """An ADS control plane, or several that stand in for each other, as a source (producers/source.py)."""

    def __init__(
        self,
        servers: Server | Sequence[Server],
        node: xds.Message,
        *,
        variant: str = "sotw",
        timing: Timing | None = None,
        lifetime: Lifetime | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Make the source; nothing is connected before `changes` is followed.

        Args:
            servers: whom to ask, in this order of preference.
            node: the identity to ask as (`build_node`).
            variant: `sotw` or `delta`.
            timing: other delays than the protocol's.
            lifetime: when streams are given up.
            jitter: gives a number in [0, 1) for the back-off.

        Raises:
            ValueError: no such variant, no server, or one that is no address.
        """
        self._servers = [servers] if isinstance(servers, Server) else list(servers)
        if not self._servers:
            raise ValueError("server: empty; give HOST:PORT of the control plane")
        if bad := [server.address for server in self._servers if not re.fullmatch(r"\S+:\S+", server.address)]:
            raise ValueError(f"server: {bad[0]!r} is not HOST:PORT")
        if variant not in VARIANTS:
            raise ValueError(f"variant: {variant!r} is none; there are {', '.join(sorted(VARIANTS))}")
        self._variant = VARIANTS[variant]
        self._lifetime = lifetime or Lifetime()
        self._place = ", ".join(server.address for server in self._servers)
        self._session = self._variant.session(node, self._place, timing)
        self._events: asyncio.Queue[_Happening] = asyncio.Queue()
        self._backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, jitter)
        self._failover = Failover(len(self._servers), round(self._lifetime.return_after_s * 1000))
        self._ages = Ages()
        self._call: Any = None
        self._is_answered = self._is_draining = False
        self._opened_s = 0.0
        self._told: set[SourceProblem] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}

    @property
    def server(self) -> Server:
        """The control plane in use."""
        return self._servers[self._failover.index]

    def ages_s(self) -> dict[str, float]:
        """Give how long ago each type was last heard of, in seconds, by type URL."""
        return self._ages.ages_s(asyncio.get_running_loop().time())

    async def changes(self) -> AsyncIterator[Changes | SourceProblem]:
        """Follow the control plane until cancelled.

        Yields:
            Changes and problems in the order they happened. A server that cannot be reached is a problem, tried again
            with full-jitter back-off; what was delivered stays in force.
        """
        connecting = asyncio.create_task(self._connect_forever(), name=f"ads {self._place}")
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
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return  # grpc raises this too when it was the call that was cancelled

    def _fire(self, serial: int) -> None:
        del self._timers[serial]
        self._events.put_nowait(TimerFired(serial))

    def _stop_timers(self) -> None:
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    async def _connect_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._is_answered, self._is_draining, self._opened_s = False, False, loop.time()
            try:
                end = await self._stream()
            except ConnectError as error:
                end = End.BROKEN
                self._tell(error)
            if not self._is_answered and end is not End.RETURNING:
                end = End.UNANSWERED
            now_s = loop.time()
            if self._failover.ended(end, round((now_s - self._opened_s) * 1000), round(now_s * 1000)):
                await asyncio.sleep(self._backoff.next_s())

    def _tell(self, error: ConnectError) -> None:
        """Report a problem, once until the next response."""
        problem = SourceProblem(self.server.address, error.message, error.remedy)
        if problem not in self._told:
            self._told.add(problem)
            self._events.put_nowait(problem)
        if _is_complaint(error):
            index = self._failover.index
            keepalive_ms = min(2 * self.server.keepalive_ms, MAX_KEEPALIVE_MS)
            self._servers[index] = replace(self.server, keepalive_ms=keepalive_ms)

    async def _stream(self) -> End:
        """Connect once and read until the stream ends.

        Returns:
            How it ended, where nothing went wrong.

        Raises:
            ConnectError: something went wrong.
        """
        metadata, channel = call_metadata(self.server), open_channel(self.server)
        try:
            self._call = channel.stream_stream(self._variant.method)(metadata=metadata)
            with translated(NO_STREAM):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._call.wait_for_connection()
            self._ages.open(asyncio.get_running_loop().time())
            await self._happened(StreamOpened())
            try:
                end = await self._until_first([self._read(), *self._limits(channel)])
            except ConnectError as error:
                await self._end()
                if self._is_draining and error.code is grpc.StatusCode.UNAVAILABLE and not _is_complaint(error):
                    return End.FINISHED
                raise
            await self._end()
            return end
        finally:
            await channel.close()

    async def _end(self) -> None:
        self._call.cancel()  # also frees a follower that is stuck in writing to a peer that does not read
        await self._happened(StreamEnded())

    async def _until_first(self, endings: Sequence[Coroutine[Any, Any, End]]) -> End:
        tasks = [asyncio.create_task(ending) for ending in endings]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return next(task for task in tasks if task in done).result()

    def _limits(self, channel: Any) -> list[Coroutine[Any, Any, End]]:
        """Give what can end a stream from outside."""
        limits: list[Coroutine[Any, Any, End]] = [self._until_told_to_go(channel)]
        if self._lifetime.max_age_s:
            limits.append(self._until_old())
        if self._lifetime.max_silence_s:
            limits.append(self._until_silent())
        if self._failover.index:
            limits.append(self._until_first_is_back())
        return limits

    async def _until_told_to_go(self, channel: Any) -> End:
        """Wait for a GOAWAY: it takes the channel out of READY while the stream on it may still live."""
        while (state := channel.get_state()) is not grpc.ChannelConnectivity.IDLE:
            await channel.wait_for_state_change(state)
        await asyncio.sleep(BREAK_S)
        self._is_draining = True
        await asyncio.sleep(DRAIN_S)
        return End.FINISHED

    async def _until_old(self) -> End:
        await asyncio.sleep(self._lifetime.max_age_s)
        return End.FINISHED

    async def _until_silent(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        while (left_s := self._ages.heard_s + self._lifetime.max_silence_s - loop.time()) > 0:  # noqa: ASYNC110 - time
            await asyncio.sleep(left_s)
        message = f"nothing was heard for {self._lifetime.max_silence_s:g} s"
        described = self._ages.described(loop.time())
        remedy = "it is opened again; raise `max_silence_s` if this control plane is often silent for so long"
        raise ConnectError(message + (f"; last answers: {described} ago" if described else ""), remedy)

    async def _until_first_is_back(self) -> End:
        """Look from time to time whether the first control plane takes connections again."""
        loop = asyncio.get_running_loop()
        while (due_ms := self._failover.return_due_ms) is not None:
            await asyncio.sleep(due_ms / 1000 - loop.time())
            if await _is_reachable(self._servers[0]):
                break
            self._failover.first_failed(round(loop.time() * 1000))
        return End.RETURNING

    async def _read(self) -> End:
        while (body := await self._next_body()) is not grpc.aio.EOF:
            await self._take(body)
        code, details = await self._call.code(), await self._call.details()
        if code is grpc.StatusCode.OK and self._is_answered:
            return End.FINISHED
        raise stream_error(self._ended(), code, details)

    async def _next_body(self) -> Any:
        with translated(self._ended()):
            return await self._call.read()

    def _ended(self) -> str:
        """Say it alike whether a refusal comes with the connection or after it."""
        return "the stream ended" if self._is_answered else NO_STREAM

    async def _take(self, body: bytes) -> None:
        try:
            response = xds.message_class(self._variant.response).FromString(body)
        except DecodeError:
            name = self._variant.response.rpartition(".")[2]
            raise ConnectError(f"it sent what is no {name}", REMEDIES[grpc.StatusCode.UNIMPLEMENTED]) from None
        self._backoff.reset()
        self._told.clear()
        self._is_answered = True
        self._ages.hear(response.type_url, asyncio.get_running_loop().time())
        await self._happened(ResponseReceived(response))

    async def _happened(self, event: Event) -> None:
        self._events.put_nowait(event)
        await self._events.join()


def _is_complaint(error: ConnectError) -> bool:
    return TOO_MANY_PINGS in error.message


async def _is_reachable(server: Server) -> bool:
    try:
        channel = open_channel(server)
    except ConnectError:
        return False
    try:
        await asyncio.wait_for(channel.channel_ready(), CONNECT_TIMEOUT_S)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        await channel.close()


def source_of(settings: XDSSettings) -> ADSSource:
    """Make a source from the settings of a view.

    Raises:
        ValueError: the identity cannot be built, or there is no such variant; names the field.
    """
    facts = settings.identity
    identity = build_identity(
        settings.profile,
        Facts(facts.name, facts.namespace, facts.ip, facts.mesh, facts.domain, facts.service_account),
        build_version(),
        node_id=settings.node_id,
        cluster=settings.cluster,
        metadata=settings.metadata,
        locality=settings.locality,
    )
    headers = check_headers(settings.headers, settings.token_header)
    tls = settings.tls
    files = TLSFiles(tls.ca, tls.cert, tls.key, tls.server_name) if tls else None
    addresses = [settings.server] if isinstance(settings.server, str) else settings.server
    servers = [
        Server(
            address,
            files,
            settings.token_file,
            token_header=settings.token_header or identity.token_header,
            token_prefix=identity.token_prefix,
            metadata=headers,
            keepalive_ms=settings.keepalive_s * 1000,
        )
        for address in addresses
    ]
    lifetime = Lifetime(settings.max_age_s, settings.max_silence_s, settings.return_after_s)
    return ADSSource(servers, identity.node, variant=settings.variant or identity.variant, lifetime=lifetime)
