"""`meshferry agent`."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.role_options import SettingsFile, configured_log, settings_from
from pipeline.settings import Settings, host_port
from schemas.keys import TopicKind, topic

if TYPE_CHECKING:
    from agent.server import AgentOptions
    from pipeline.log import Log

logger = logging.getLogger(__name__)


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

    async with configured_log(tree) as log:
        await serve(agent_options(tree, chosen, log), started=started)


def agent_options(settings: Settings, view: str, log: Log) -> AgentOptions:
    """Compose what the role needs."""
    from agent.server import AgentOptions  # noqa: PLC0415 - loaded by this role only
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
    )
