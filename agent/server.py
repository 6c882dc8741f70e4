"""The asyncio shell of an agent: one port, one follower, one state directory."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from agent.etcd.auth import Auth, Clock
from agent.etcd.json_codec import Identity
from agent.follower import DEFAULT_PATIENCE, Follower, Patience
from agent.metrics import CONTENT_TYPE, Facts, render
from agent.neighbour import ForeignAnswerError, judge, unreachable
from agent.pace import RouterPace
from agent.replica import Replica
from agent.state_directory import DirectoryTakenError, StateDirectory
from agent.status import build_status
from agent.store.bundle import identity
from agent.store.removal import UNLIMITED, RemovalLimit
from agent.wire.admission import Admission
from agent.wire.control_api import ControlAPI
from agent.wire.front import Front, Readiness
from agent.wire.listening_socket import BACKLOG, listen
from agent.wire.opening import Opening
from agent.wire.response import Response
from agent.wire.tls import TLSConnection
from agent.wire.wheel import SLOTS
from pipeline.log.contract import BrokenTopicError, LogUnreachableError, NewRecord, WriterFencedError
from pipeline.version import build_version
from schemas.codec import encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.etcd.auth import User
    from agent.store.bundle import Reveal
    from agent.wire.certificate import TLSContext
    from agent.wire.front import Connection
    from pipeline.log.contract import Log, Writer
    from schemas.records import NeighbourStatus, NodeStatus

LOGGER = logging.getLogger("meshferry.agent")
MAX_STATUS_AGE_S = 10.0
MIN_STATUS_AGE_S = 1.0
BASE_CHECK_S = 1.0
CERTIFICATE_CHECK_S = 2.0
BASE_RETRY_S = 30.0
"""After a base could not be written; each attempt leaves a small journal until one succeeds."""
CLOSE_AT_ONCE = 50
CLOSE_EVERY_S = 0.01
"""Watches are closed in steps: their clients come back at once (section 5.3)."""
LAST_REQUESTS_S = 0.02
"""How long requests that have arrived are still answered after the last accept: one cut off costs its client 3 s."""
FIRST_REQUEST_S = 0.2
"""How long a connection that has said nothing yet may still ask: it was accepted just before the end."""
LOCK_CHECK_S = 0.005


@dataclass(frozen=True)
class Handover:
    """How an agent takes over from another one on the same machine.

    Attributes:
        prepared: called when only the predecessor is in the way.
        max_wait_s: how long to wait for it to let go of the state directory; 0 where there is none.
    """

    prepared: Callable[[], None]
    max_wait_s: float


ALONE = Handover(lambda: None, 0.0)


@dataclass(frozen=True)
class AgentOptions:
    """What an agent needs to know.

    Attributes:
        view: the view it serves.
        node: its id in the status topic.
        log: the log, entered.
        bundles_topic: where the bundles are.
        status_topic: where its status goes.
        state_directory: where the last-known-good state is kept.
        listen_host: address to listen on.
        listen_port: 0 takes a free one.
        prefix: the etcd prefix of APISIX.
        reveal: opens sealed private keys; the default leaves them sealed.
        heartbeat_s: seconds between heartbeats on an idle watch (rule 14).
        patience: how long a topic that was created again must be quiet.
        sockets: listening sockets that outlive this agent; it opens its own where there are none.
        handover: see there.
        max_new_watches_per_s: watches above this rate are told to come back (rule 15); 0 takes all.
        log_opened: set once the log is entered; until then it is not asked.
        removal: what one record may take away.
        max_router_rebuilds_per_s: how often routes may change; 0 as often as they do.
        control_api: http://HOST:PORT of the control API of the APISIX beside it, to be asked what it has; or empty.
        tls: for new connections; without it the port is plain.
        users: who may use the API; without any, everybody.
    """

    view: str
    node: str
    log: Log
    bundles_topic: str
    status_topic: str
    state_directory: Path
    listen_host: str = "127.0.0.1"
    listen_port: int = 2379
    prefix: str = "/apisix"
    reveal: Reveal = identity
    heartbeat_s: float = 15.0
    patience: Patience = DEFAULT_PATIENCE
    sockets: Sequence[socket.socket] = ()
    handover: Handover = ALONE
    max_new_watches_per_s: float = 0.0
    log_opened: asyncio.Event | None = None
    removal: RemovalLimit = UNLIMITED
    max_router_rebuilds_per_s: float = 0.0
    control_api: str = ""
    tls: TLSContext | None = None
    users: tuple[User, ...] = ()


async def serve(options: AgentOptions, *, started: Callable[[str, int], None]) -> None:
    """Serve until cancelled.

    Args:
        options: see there.
        started: called once with the address, when the port is open. Before there is a state it answers 503.

    Raises:
        StateDirectoryError: another agent has the directory, or it cannot be written.
        ListenError: the port cannot be had.
    """
    raise_file_limit()
    options.handover.prepared()
    directory = StateDirectory(options.state_directory, options.view, options.prefix)
    await _take(directory, options.handover.max_wait_s)
    try:
        await _Agent(options, directory).run(started)
    finally:
        directory.release()


async def _take(directory: StateDirectory, max_wait_s: float) -> None:
    """Take the directory, waiting for a predecessor to let go of it."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + max_wait_s
    while True:
        try:
            directory.take()
        except DirectoryTakenError:
            if loop.time() >= deadline_s:
                raise
        else:
            return
        await asyncio.sleep(LOCK_CHECK_S)


def raise_file_limit() -> None:
    """Allow as many connections as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Agent:
    """The parts of one agent, wired together."""

    def __init__(self, options: AgentOptions, directory: StateDirectory) -> None:
        self._options = options
        self._directory = directory
        loaded = directory.load(options.reveal)
        ids = Identity(_id_of(options.view), _id_of(f"{options.view} {options.node}"))
        admission = Admission(options.max_new_watches_per_s, time.monotonic)
        auth = Auth(options.users, Clock(time.time, time.monotonic))
        self._front = Front(loaded.store, ids, self._readiness, admission, self._metrics, auth=auth, name=options.node)
        self._replica = Replica(loaded, directory, self._front.publish, options.removal)
        self._replica.open_journal()
        self._has_news = asyncio.Event()
        pace = RouterPace(options.max_router_rebuilds_per_s, options.prefix)
        self._follower = Follower(
            options.log, options.bundles_topic, self._replica, self._notice, options.patience, pace=pace
        )
        self._lost_at_s = time.monotonic() - _age_s(loaded.kept_ms)
        self._control_api = ControlAPI(options.control_api) if options.control_api else None
        self._apisix: NeighbourStatus | None = None
        self._was_live = False

    async def run(self, started: Callable[[str, int], None]) -> None:
        """Accept connections and work until cancelled; then let go of the state and close the watches."""
        options, loop = self._options, asyncio.get_running_loop()
        servers: list[asyncio.Server] = []
        try:
            for opened in [passed.dup() for passed in options.sockets] or listen(
                options.listen_host, options.listen_port
            ):
                server = await loop.create_server(self._accept, sock=opened, backlog=BACKLOG)
                servers.append(server)
            host, port = servers[0].sockets[0].getsockname()[:2]
            started(host, port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._turn_wheel())
                tasks.create_task(self._keep_base())
                if options.tls is not None:
                    tasks.create_task(self._keep_certificate(options.tls))
                if self._control_api is not None:
                    tasks.create_task(self._ask_apisix(self._control_api))
        finally:
            for server in servers:
                server.close()
            await self._leave()

    async def _follow(self) -> None:
        """Follow the log and report to it, once it is open."""
        if self._options.log_opened is not None:
            await self._options.log_opened.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run())
            tasks.create_task(self._tell_status())

    def _accept(self) -> asyncio.Protocol:
        tls = self._options.tls
        return Opening(self._front) if tls is None else TLSConnection(tls, lambda: Opening(self._front))

    async def _keep_certificate(self, tls: TLSContext) -> None:
        while True:
            await asyncio.sleep(CERTIFICATE_CHECK_S)
            tls.renew()

    def _notice(self) -> None:
        if self._follower.is_live:
            self._lost_at_s = time.monotonic()
            self._was_live = True
        self._has_news.set()

    def _readiness(self) -> Readiness:
        if not self._replica.store.image.is_ready:
            return Readiness(is_ready=False, reason="no state yet")
        if self._follower.is_live:
            return Readiness(is_ready=True, reason="live")
        age_s = time.monotonic() - self._lost_at_s
        source = "the log" if self._was_live else str(self._options.state_directory)
        return Readiness(is_ready=True, reason=f"last-known-good from {source}, {age_s:.0f} s old")

    def _metrics(self) -> Response:
        image, front = self._replica.store.image, self._front
        status = self._status()
        facts = Facts(
            revision=status.applied_revision,
            target_revision=status.target_revision,
            ready=image.is_ready,
            live=status.is_live,
            last_known_good_age_seconds=status.last_good_age_ms / 1000,
            objects=len(image.objects),
            units=len(image.units),
            units_rejected=len(image.rejected),
            watchers=status.watchers,
            connections=len(front.wheel.members()),
            history_bytes=self._replica.store.history.bytes,
            journal_bytes=self._replica.journal_bytes,
            lines_published_total=front.published_lines,
            events_published_total=front.published_events,
        )
        return Response(200, CONTENT_TYPE, render(facts))

    async def _turn_wheel(self) -> None:
        while True:
            await asyncio.sleep(self._options.heartbeat_s / SLOTS)
            for connection in self._front.wheel.turn():
                connection.beat()

    async def _keep_base(self) -> None:
        while True:
            await asyncio.sleep(BASE_CHECK_S)
            if self._replica.wants_base and not await self._write_base():
                await asyncio.sleep(BASE_RETRY_S)

    async def _write_base(self) -> bool:
        """Write a base in another thread; False if the disk did not take it."""
        write = self._replica.begin_base(self._options.view)
        if write is None:
            return False
        try:
            self._replica.end_base(await asyncio.to_thread(write))
        except OSError as error:
            self._replica.fail_base(error)
            return False
        return True

    async def _tell_status(self) -> None:
        """Write the status when something has happened, at most once a second, and every ten seconds."""
        writer: Writer | None = None
        while True:
            try:
                async with asyncio.timeout(MAX_STATUS_AGE_S):
                    await self._has_news.wait()
            except TimeoutError:
                pass
            self._has_news.clear()
            try:
                writer = writer or await self._options.log.writer(f"agent-{self._options.view}-{self._options.node}")
                await writer.append(self._options.status_topic, [NewRecord(self._options.node, encode(self._status()))])
            except (LogUnreachableError, BrokenTopicError) as error:
                LOGGER.debug("%s: %s", self._options.status_topic, error)
                writer = None
            except WriterFencedError:
                LOGGER.warning("node %s: another agent has the same node id: choose another one", self._options.node)
                writer = None
                await asyncio.sleep(MAX_STATUS_AGE_S)
            await asyncio.sleep(MIN_STATUS_AGE_S)

    async def _ask_apisix(self, control_api: ControlAPI) -> None:
        """Ask until APISIX has what is served, then again when that changes, and every ten seconds."""
        while True:
            store, before = self._replica.store, self._apisix
            try:
                listed = await control_api.listing()
                self._apisix = judge(store.image, store.history, store.prefix, listed)
            except (OSError, ForeignAnswerError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                self._apisix = unreachable(f"{control_api.url}: {reason}: check agent.control_api")
            if self._apisix != before:
                self._has_news.set()
            is_behind = self._apisix.is_reachable and self._apisix.behind > 0
            await asyncio.sleep(MIN_STATUS_AGE_S if is_behind else MAX_STATUS_AGE_S)

    def _status(self) -> NodeStatus:
        options = self._options
        return build_status(
            self._replica.store.image,
            view=options.view,
            node=options.node,
            target_offset=self._follower.target_offset,
            watchers=self._front.watcher_count,
            is_live=self._follower.is_live,
            time_ms=time.time_ns() // 1_000_000,
            build=build_version(),
            last_good_age_ms=round((time.monotonic() - self._lost_at_s) * 1000),
            apisix=self._apisix,
        )

    async def _leave(self) -> None:
        """Answer what has arrived, let go of the state, and close the watches in steps, newcomers last."""
        await asyncio.sleep(LAST_REQUESTS_S if len(self._front.wheel) else 0)
        watching: list[Connection] = [member for member in self._front.wheel.members() if member.retire()]
        self._directory.release()
        for first in range(0, len(watching), CLOSE_AT_ONCE):
            for member in watching[first : first + CLOSE_AT_ONCE]:
                member.abort()
            await asyncio.sleep(CLOSE_EVERY_S)
        await asyncio.sleep(0)  # connections that were closed leave the wheel in the next turn
        if len(self._front.wheel):
            await asyncio.sleep(FIRST_REQUEST_S)
            for member in self._front.wheel.members():
                member.abort()


def _age_s(time_ms: int) -> float:
    """Tell how old a moment is; 0 without one, and when the clock was set back since."""
    return max(0.0, time.time() - time_ms / 1000) if time_ms else 0.0


def _id_of(name: str) -> int:
    """Make a stable id below 2^63, as etcd's ids print."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) >> 1
