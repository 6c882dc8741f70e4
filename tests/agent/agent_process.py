"""An agent in a process of its own: `python -m tests.agent.agent_process DIRECTORY [LOG URL] [OPTION=SECONDS …]`.

It prints its port. Without a URL the log does not answer. The options are `heartbeat_s` and `base_retry_s`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import nullcontext
from pathlib import Path

import uvloop

from agent import server
from agent.server import AgentOptions, serve
from agent.store.removal import RemovalLimit
from pipeline.log.url import open_log
from tests.agent.memory_log import MemoryLog
from tests.conformance.running_agent import BUNDLES, STATUS


async def main(directory: str, url: str | None = None, *arguments: str) -> None:
    given = dict(argument.split("=") for argument in arguments)
    server.BASE_RETRY_S = float(given.get("base_retry_s", server.BASE_RETRY_S))  # no test waits for the real one
    silent = MemoryLog()
    silent.is_reachable = False
    async with open_log(url) if url else nullcontext(silent) as log:
        options = AgentOptions(
            view="shop",
            node="node-1",
            log=log,
            bundles_topic=BUNDLES,
            status_topic=STATUS,
            state_directory=Path(directory),
            listen_port=0,
            heartbeat_s=float(given.get("heartbeat_s", "15")),
            removal=RemovalLimit(0.8, 100),
        )
        await serve(options, started=lambda _, port: print(port, flush=True))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    uvloop.install()
    asyncio.run(main(*sys.argv[1:]))
