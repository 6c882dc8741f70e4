"""An agent in a process of its own: `python -m tests.agent.agent_process DIRECTORY [LOG URL [HEARTBEAT]]`.

It prints its port. HEARTBEAT are the seconds between heartbeats. Without a URL the log does not answer.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path

import uvloop

from agent.server import AgentOptions, serve
from pipeline.log.url import open_log
from tests.agent.memory_log import MemoryLog
from tests.conformance.running_agent import BUNDLES, STATUS


async def main(directory: str, url: str | None = None, heartbeat_s: str = "15") -> None:
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
            heartbeat_s=float(heartbeat_s),
        )
        await serve(options, started=lambda _, port: print(port, flush=True))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(*sys.argv[1:]))
