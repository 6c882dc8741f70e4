"""The asyncio shell of an agent: one port, one follower, one state directory."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from agent.etcd.json_codec import Identity
from agent.follower import DEFAULT_PATIENCE, Follower, Patience
from agent.replica import Replica
from agent.state_directory import StateDirectory
from agent.status import build_status
from agent.store.bundle import identity
from agent.wire.front import Front, Readiness
from agent.wire.opening import Opening
from agent.wire.wheel import SLOTS
from pipeline.log.contract import BrokenTopicError, LogUnreachableError, NewRecord, WriterFencedError
from pipeline.version import build_version
from schemas.codec import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.store.bundle import Reveal
    from agent.wire.front import Connection
    from pipeline.log.contract import Log, Writer

LOGGER = logging.getLogger("meshferry.agent")
BACKLOG = 4096
MAX_STATUS_AGE_S = 10.0
MIN_STATUS_AGE_S = 1.0
BASE_CHECK_S = 1.0
BASE_RETRY_S = 30.0
"""After a base could not be written; each attempt leaves a small journal until one succeeds."""
CLOSE_AT_ONCE = 50
CLOSE_EVERY_S = 0.01
"""Watches are closed in steps: their clients come back at once (section 5.3)."""


class ListenError(OSError):
    """The port cannot be had."""


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
    with StateDirectory(options.state_directory, options.view, options.prefix) as directory:
        await _Agent(options, directory).run(started)


def raise_file_limit() -> None:
    """Allow as many connections as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Agent:
    """The parts of one agent, wired together."""

    def __init__(self, options: AgentOptions, directory: StateDirectory) -> None:
        self._options = options
        loaded = directory.load(options.reveal)
        ids = Identity(_id_of(options.view), _id_of(f"{options.view} {options.node}"))
        self._front = Front(loaded.store, ids, self._readiness, options.node)
        self._replica = Replica(loaded, directory, self._front.publish)
        self._replica.open_journal()
        self._has_news = asyncio.Event()
        self._follower = Follower(options.log, options.bundles_topic, self._replica, self._notice, options.patience)
        self._lost_at_s = time.monotonic()

    async def run(self, started: Callable[[str, int], None]) -> None:
        """Open the port and work until cancelled; then close the watches."""
        options, loop = self._options, asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: Opening(self._front), options.listen_host, options.listen_port, backlog=BACKLOG
            )
        except OSError as error:
            where = f"{options.listen_host}:{options.listen_port}"
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise ListenError(f"cannot listen on {where}: {reason}: choose another address") from error
        try:
            host, port = server.sockets[0].getsockname()[:2]
            started(host, port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follower.run())
                tasks.create_task(self._turn_wheel())
                tasks.create_task(self._keep_base())
                tasks.create_task(self._tell_status())
        finally:
            server.close()
            await self._close_connections()

    def _notice(self) -> None:
        if self._follower.is_live:
            self._lost_at_s = time.monotonic()
        self._has_news.set()

    def _readiness(self) -> Readiness:
        if not self._replica.store.image.is_ready:
            return Readiness(is_ready=False, reason="no state yet")
        if self._follower.is_live:
            return Readiness(is_ready=True, reason="live")
        age_s = time.monotonic() - self._lost_at_s
        return Readiness(is_ready=True, reason=f"last-known-good, the log has not answered for {age_s:.0f} s")

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
                await writer.append(self._options.status_topic, [self._status_record()])
            except (LogUnreachableError, BrokenTopicError) as error:
                LOGGER.debug("%s: %s", self._options.status_topic, error)
                writer = None
            except WriterFencedError:
                LOGGER.warning("node %s: another agent has the same node id: choose another one", self._options.node)
                writer = None
                await asyncio.sleep(MAX_STATUS_AGE_S)
            await asyncio.sleep(MIN_STATUS_AGE_S)

    def _status_record(self) -> NewRecord:
        options = self._options
        status = build_status(
            self._replica.store.image,
            view=options.view,
            node=options.node,
            target_offset=self._follower.target_offset,
            watchers=self._front.watcher_count,
            is_live=self._follower.is_live,
            time_ms=time.time_ns() // 1_000_000,
            build=build_version(),
        )
        return NewRecord(options.node, encode(status))

    async def _close_connections(self) -> None:
        members: tuple[Connection, ...] = self._front.wheel.members()
        for first in range(0, len(members), CLOSE_AT_ONCE):
            for member in members[first : first + CLOSE_AT_ONCE]:
                member.abort()
            await asyncio.sleep(CLOSE_EVERY_S)


def _id_of(name: str) -> int:
    """Make a stable id below 2^63, as etcd's ids print."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) >> 1
