"""`meshferry agent`."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.role_options import SettingsFile, configured_log, settings_from
from pipeline.log import BrokenTopicError, LogUnreachableError
from pipeline.settings import Settings, host_port
from schemas.keys import TopicKind, topic

if TYPE_CHECKING:
    from agent.server import AgentOptions
    from pipeline.log import Log

logger = logging.getLogger(__name__)

OPEN_AGAIN_S = 5.0
LOCK_FILE = "lock"


async def run(*, settings: SettingsFile = "", view: str = "") -> None:
    """Serve a view as etcd v3 to the APISIX beside it until stopped.

    Reads the view's bundles from the log and keeps the last good state in `agent.state`, which it serves whatever
    happens to the log. Run one beside each APISIX:

    ```sh
    meshferry agent --settings meshferry.yaml
    ```

    Exit codes: 0 stopped by a signal, 1 the port or the state directory is taken, 64 usage, 78 bad configuration.

    Args:
        settings: settings file.
        view: the view, where the settings have several and `agent.view` names none.
    """
    from agent.server import serve  # noqa: PLC0415 - loaded by this role only

    tree = settings_from(settings)
    chosen = tree.the_view(view or tree.agent.view)

    def started(host: str, port: int) -> None:
        logger.info("agent: view %s as etcd v3 on %s:%d, prefix %s", chosen, host, port, tree.agent.prefix)

    log = configured_log(tree)
    async with AsyncExitStack() as stack:
        options = agent_options(tree, chosen, log)
        is_open = await _is_opened(log, stack, has_state=has_state(options.state_directory))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(options, started=started))
            if not is_open:
                tasks.create_task(_open_later(log, stack))


def has_state(directory: Path) -> bool:
    """Tell whether an agent has ever kept anything there."""
    return directory.is_dir() and any(path.name != LOCK_FILE for path in directory.iterdir())


async def _is_opened(log: Log, stack: AsyncExitStack, *, has_state: bool) -> bool:
    """Open the log; one that cannot be opened stops only an agent that has nothing to serve (law 7).

    Raises:
        BrokenTopicError, LogUnreachableError: the log cannot be opened, and there is no last good state.
    """
    try:
        await stack.enter_async_context(log)
    except (BrokenTopicError, LogUnreachableError) as error:
        if not has_state:
            raise
        logger.warning("agent: %s; serving the last good state, the log is tried every %.0f s", error, OPEN_AGAIN_S)
        return False
    return True


async def _open_later(log: Log, stack: AsyncExitStack) -> None:
    """Try again until the log can be opened; until then its every operation says that it is closed."""
    is_open = False
    while not is_open:
        await asyncio.sleep(OPEN_AGAIN_S)
        try:
            await stack.enter_async_context(log)
            is_open = True
        except (BrokenTopicError, LogUnreachableError) as error:
            logger.debug("agent: %s", error)


def agent_options(settings: Settings, view: str, log: Log) -> AgentOptions:
    """Compose what the role needs."""
    from agent.server import AgentOptions  # noqa: PLC0415 - loaded by this role only
    from agent.store.removal import RemovalLimit  # noqa: PLC0415 - as above
    from pipeline.cli.sealing import reveal_with  # noqa: PLC0415 - cryptography is slow to import

    host, port = host_port(settings.agent.listen, "agent.listen")
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
        removal=RemovalLimit(settings.agent.removal.share, settings.agent.removal.minimum),
        max_router_rebuilds_per_s=settings.agent.max_router_rebuilds_per_s,
        control_api=settings.agent.control_api,
    )
