"""`meshferry agent`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.parent import become_parent
from pipeline.cli.role_options import SettingsFile, configured_log, settings_from
from pipeline.cli.settings_watch import SettingsWatch, say_fixed, say_refused
from pipeline.log import BrokenTopicError, LogUnreachableError
from pipeline.notification import PREPARED, READY, STOPPING, WATCHDOG, Notifier, forget
from pipeline.reload import AGENT_FIXED, keep_fixed
from pipeline.settings import Settings, SettingsError, host_port
from schemas.keys import TopicKind, topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.server import AgentOptions
    from pipeline.log import Log

logger = logging.getLogger(__name__)

OPEN_AGAIN_S = 5.0
MAX_LOG_WAIT_S = 2.0
"""How long a successor opens the log before its predecessor, which has one, is asked to go."""
MAX_LOCK_WAIT_S = 15.0
"""A predecessor that does not let go is killed before (pipeline/parent)."""
LOCK_FILE = "lock"


def run(*, settings: SettingsFile = "", view: str = "", supervise: bool | None = None) -> Any:
    """Serve a view as etcd v3 to the APISIX beside it until stopped.

    Reads the view's bundles from the log and keeps the last good state in `agent.state`, which it serves whatever
    happens to the log. Run one beside each APISIX:

    ```sh
    meshferry agent --settings meshferry.yaml
    ```

    A tiny parent holds the listening socket and starts the serving process, again when that has crashed; no client is
    refused meanwhile. SIGHUP starts another one with the settings and the code as they are now, and the old one makes
    room (docs/agent.md). Where systemd passes the socket there is no parent.

    Exit codes: 0 stopped by a signal, 1 the port or the state directory is taken, 64 usage, 69 the log cannot be
    reached and there is no last good state, 78 bad configuration.

    Args:
        settings: settings file.
        view: the view, where the settings have several and `agent.view` names none.
        supervise: whether a parent holds the socket; `agent.supervise` says so otherwise.
    """
    from agent.wire.listening_socket import is_passed, listen  # noqa: PLC0415 - loaded by this role only

    watch = SettingsWatch(settings)
    tree = settings_from(settings)
    tree.the_view(view or tree.agent.view)
    configured_log(tree)
    if not is_passed(os.environ, os.getpid()) and (tree.agent.supervise if supervise is None else supervise):
        become_parent(listen(*host_port(tree.agent.listen, "agent.listen")), tree)
    return _Agent(tree, view).run(settings, watch)


class _Agent:
    """One process that serves: the sockets, whom it tells, and the settings in force."""

    def __init__(self, settings: Settings, view: str) -> None:
        """Take the sockets.

        Raises:
            ListenError: they cannot be had.
        """
        from agent.wire.listening_socket import LISTEN_NAMES, listen, passed_sockets  # noqa: PLC0415 - as above

        self._settings = settings
        self._view = view
        self._notifier = Notifier(os.environ, os.getpid())
        passed = passed_sockets(os.environ, os.getpid())
        forget(LISTEN_NAMES)
        self._sockets = passed or listen(*host_port(settings.agent.listen, "agent.listen"))
        if passed:
            logger.info("agent: serves on the socket it was given, %s", _address(self._sockets[0]))
        if self._notifier.channel is not None and not _is_at(self._sockets, settings.agent.listen):
            say_fixed("agent", ["agent.listen"])

    async def run(self, path: str, watch: SettingsWatch) -> None:
        """Serve until cancelled or orphaned.

        Args:
            path: of the settings file.
            watch: says when it is to be read again.
        """
        if self._notifier.channel is not None:
            asyncio.get_running_loop().add_reader(self._notifier.channel, self._end_orphaned)
        try:
            with watch:
                await self._serve(path, watch)
        finally:
            self._notifier.tell(STOPPING)
            for held in self._sockets:
                held.close()

    def _end_orphaned(self) -> None:
        """The parent is gone: end as if it had said so."""
        assert self._notifier.channel is not None  # noqa: S101 - it is what was read
        asyncio.get_running_loop().remove_reader(self._notifier.channel)
        logger.warning("agent: the parent process is gone, and so am I")
        os.kill(os.getpid(), signal.SIGTERM)

    async def _serve(self, path: str, watch: SettingsWatch) -> None:
        options = self._options(self._settings, has_predecessor=self._notifier.has_predecessor)
        async with asyncio.TaskGroup() as tasks:
            if self._notifier.watchdog_s:
                tasks.create_task(self._tell_alive())
            serving = tasks.create_task(self._serve_with(options))
            while True:
                options = await self._other_options(path, watch)
                serving.cancel()
                serving = tasks.create_task(self._serve_with(options))

    async def _tell_alive(self) -> None:
        while True:
            self._notifier.tell(WATCHDOG)
            await asyncio.sleep(self._notifier.watchdog_s)

    async def _other_options(self, path: str, watch: SettingsWatch) -> AgentOptions:
        """Wait for settings that mean something else to this agent, or for the signal that wants them taken."""
        while True:
            is_asked = await watch.changed()
            try:
                new = await asyncio.to_thread(settings_from, path)
                kept = keep_fixed(self._settings, new, AGENT_FIXED)
                options = self._options(kept.settings, has_predecessor=True)
            except SettingsError as error:
                say_refused("agent", path, error)
                continue
            say_fixed("agent", kept.fixed)
            old, self._settings = self._settings, kept.settings
            if is_asked or (old.agent, old.log, old.seal) != (new.agent, new.log, new.seal):
                logger.info("agent: settings read again: begins anew with them")
                return options
            logger.info("agent: settings read again: nothing of this role's has changed")

    def _options(self, settings: Settings, *, has_predecessor: bool) -> AgentOptions:
        from agent.server import Handover  # noqa: PLC0415 - loaded by this role only

        view = settings.the_view(self._view or settings.agent.view)
        return replace(
            agent_options(settings, view, configured_log(settings)),
            sockets=self._sockets,
            log_opened=asyncio.Event(),
            handover=Handover(lambda: self._notifier.tell(PREPARED), MAX_LOCK_WAIT_S if has_predecessor else 0.0),
        )

    async def _serve_with(self, options: AgentOptions) -> None:
        """Serve; the log is opened beside, for only an agent that has nothing to serve has to wait for it (law 7)."""
        from agent.server import serve  # noqa: PLC0415 - loaded by this role only

        def started(host: str, port: int) -> None:
            logger.info("agent: view %s as etcd v3 on %s:%d, prefix %s", options.view, host, port, options.prefix)
            self._notifier.tell(READY, f"STATUS=serving view {options.view} on {host}:{port}")

        opened = options.log_opened
        assert opened is not None  # noqa: S101 - set where the options are made
        async with AsyncExitStack() as stack:
            if not has_state(options.state_directory):
                await stack.enter_async_context(options.log)
                opened.set()
            async with asyncio.TaskGroup() as tasks:
                if not opened.is_set():
                    tasks.create_task(_open(options.log, stack, opened))
                if options.handover.max_wait_s:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(opened.wait(), MAX_LOG_WAIT_S)
                tasks.create_task(serve(options, started=started))


def _is_at(sockets: Sequence[socket.socket], listen: str) -> bool:
    """Tell whether the parent's sockets are where the settings, which may be newer, want them."""
    port = host_port(listen, "agent.listen")[1]
    return not port or any(held.getsockname()[1] == port for held in sockets)


def _address(held: socket.socket) -> str:
    host, port = held.getsockname()[:2]
    return f"{host}:{port}"


def has_state(directory: Path) -> bool:
    """Tell whether an agent has ever kept anything there."""
    return directory.is_dir() and any(path.name != LOCK_FILE for path in directory.iterdir())


async def _open(log: Log, stack: AsyncExitStack, opened: asyncio.Event) -> None:
    """Open the log, trying again until that succeeds."""
    level = logging.WARNING
    while not opened.is_set():
        try:
            await stack.enter_async_context(log)
            opened.set()
        except (BrokenTopicError, LogUnreachableError) as error:
            text = "agent: %s; serving the last good state, the log is tried every %.0f s"
            logger.log(level, text, error, OPEN_AGAIN_S)
            level = logging.DEBUG
            await asyncio.sleep(OPEN_AGAIN_S)


def agent_options(settings: Settings, view: str, log: Log) -> AgentOptions:
    """Compose what the role needs.

    Raises:
        SettingsError: a file with a certificate, a key or a password cannot be used, or the state directory is that of
            another view.
    """
    from agent.server import AgentOptions  # noqa: PLC0415 - loaded by this role only
    from agent.state_directory import ForeignStateError, check_owner  # noqa: PLC0415 - as above
    from agent.store.removal import RemovalLimit  # noqa: PLC0415 - as above
    from pipeline.cli.agent_access import read_users, tls_context  # noqa: PLC0415 - as above
    from pipeline.cli.sealing import reveal_with  # noqa: PLC0415 - cryptography is slow to import

    host, port = host_port(settings.agent.listen, "agent.listen")
    try:
        check_owner(Path(settings.agent.state), view, settings.agent.prefix)
    except ForeignStateError as error:
        raise SettingsError(str(error)) from None
    return AgentOptions(
        view=view,
        node=settings.agent.node or socket.gethostname(),
        log=log,
        bundles_topic=topic(settings.log.prefix, view, TopicKind.BUNDLES),
        status_topic=topic(settings.log.prefix, view, TopicKind.STATUS),
        state_directory=Path(settings.agent.state),
        listen_host=host,
        listen_port=port,
        prefix=settings.agent.prefix,
        reveal=reveal_with(settings.seal),
        max_new_watches_per_s=settings.agent.max_new_watches_per_s,
        removal=RemovalLimit(settings.agent.removal.share, settings.agent.removal.minimum),
        max_router_rebuilds_per_s=settings.agent.max_router_rebuilds_per_s,
        control_api=settings.agent.control_api,
        tls=tls_context(settings.agent.tls) if settings.agent.tls else None,
        users=read_users(settings.agent),
    )
