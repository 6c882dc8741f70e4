"""An agent process without a parent on an embedded log, what it says, and what it uses."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.log.contract import NewRecord, TopicSpec
from pipeline.log.url import open_log
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis
from tests.agent.torture.proc import Usage, usage
from tests.conformance.running_agent import BUNDLES, STATUS
from tests.conformance.watch_client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.log.contract import Writer

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0
VALUE = b'{"uri":"/","name":"%b"}'


class LoneAgent:
    """A running agent process.

    Attributes:
        port: where it serves.
        pid: its process id.
        said: what it has written to its standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process, writer: Writer) -> None:
        self.port = 0
        self.pid = process.pid
        self.said: list[str] = []
        self.process = process
        self._writer = writer
        self._seq = 0

    async def put(self, unit: str, objects: dict[str, bytes]) -> None:
        """Write the bundle of a unit."""
        self._seq += 1
        await self.append(NewRecord(unit, bundle(unit, self._seq, objects)))

    async def append(self, *records: NewRecord) -> None:
        """Write records as they are."""
        await self._writer.append(BUNDLES, records)

    def usage(self) -> Usage:
        return usage(self.pid)

    async def figures(self, client: Client) -> dict[str, float]:
        """Read the agent's own metrics; the connection that asks is among the connections."""
        answer = await client.ask(self.port, "/metrics", method="GET")
        found = re.findall(r"^meshferry_agent_(\w+)(?:\{[^}]*\})? ([0-9.e+-]+)$", answer.body.decode(), re.MULTILINE)
        return {name: float(value) for name, value in found}

    def complaints(self) -> list[str]:
        """Give what it said that only a defect would make it say."""
        return [line for line in self.said if re.search(r"Traceback|Error|Fatal|never retrieved|exception", line)]

    async def read(self) -> None:
        """Keep what it says until it ends."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())


@asynccontextmanager
async def lone_agent(folder: Path, *, routes: int = 1, heartbeat_s: float = 15.0) -> AsyncIterator[LoneAgent]:
    """Run an agent on a view with a few routes, until it is live.

    Raises:
        AssertionError: it did not start, or had ended before the caller was done with it.
    """
    async with open_log(url := f"sqlite://{folder}/log.db") as log:
        await log.apply([TopicSpec(name, {"cleanup.policy": "compact"}) for name in (BUNDLES, STATUS)])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.agent.agent_process", f"{folder}/state", url, str(heartbeat_s)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        agent = LoneAgent(process, await log.writer("test"))
        reading = asyncio.create_task(agent.read())
        try:
            await agent.append(NewRecord(GENESIS_KEY, genesis()))
            for number in range(1, routes + 1):
                name = f"r{number}"
                await agent.put(f"http/{name}", {f"/routes/{name}": VALUE % name.encode()})
            assert process.stdout is not None
            async with asyncio.timeout(DEADLINE_S):
                agent.port = int(await process.stdout.readline() or 0)
                while (await Client().ask(agent.port, "/readyz", method="GET")).body != b"live\n":
                    await asyncio.sleep(0.02)
            yield agent
            assert process.returncode is None, "\n".join(agent.said)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await reading
