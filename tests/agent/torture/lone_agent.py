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
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import BUNDLES, STATUS
from tests.conformance.watch_client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.log.contract import Writer

ROOT = Path(__file__).parents[3]
DEADLINE_S = 30.0
VALUE = b'{"uri":"/","name":"%b"}'


class LoneAgent:
    """A running agent process; `lone_agent` makes one.

    Attributes:
        port: where it serves; another one after `start_again`.
        said: what it has written to its standard error.
    """

    def __init__(self, arguments: Sequence[str], writer: Writer) -> None:
        self.port = 0
        self.said: list[str] = []
        self._arguments = arguments
        self._writer = writer
        self._seq = 0
        self._has_spoken = asyncio.Condition()
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def start(self) -> None:
        """Start it and wait until it is live."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.agent.agent_process", *self._arguments),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._reading = asyncio.create_task(self._read())
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            self.port = int(await self._process.stdout.readline() or 0)
        await until_ready(Client(), self.port)

    async def start_again(self) -> None:
        """Start another one after this one was killed."""
        await self._process.wait()
        await self._reading
        await self.start()

    async def stop(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reading

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

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

    async def says(self, text: str) -> None:
        """Wait until it has said something."""
        async with asyncio.timeout(DEADLINE_S), self._has_spoken:
            await self._has_spoken.wait_for(lambda: any(text in line for line in self.said))

    async def _read(self) -> None:
        """Keep what it says until it ends."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._has_spoken:
                self.said.append(line.decode(errors="replace").rstrip())
                self._has_spoken.notify_all()


@asynccontextmanager
async def lone_agent(
    folder: Path,
    *,
    routes: int = 1,
    max_message_bytes: int = 1 << 20,
    **options: float,
) -> AsyncIterator[LoneAgent]:
    """Run an agent on a view with a few routes, until it is live.

    Args:
        folder: for its state and the log.
        routes: how many there are.
        max_message_bytes: what the log takes.
        options: see tests/agent/agent_process.py.

    Raises:
        AssertionError: it did not start, or had ended before the caller was done with it.
    """
    async with open_log(url := f"sqlite://{folder}/log.db") as log:
        config = {"cleanup.policy": "compact", "max.message.bytes": str(max_message_bytes)}
        await log.apply([TopicSpec(name, config) for name in (BUNDLES, STATUS)])
        arguments = [f"{folder}/state", url, *(f"{name}={value}" for name, value in options.items())]
        agent = LoneAgent(arguments, await log.writer("test"))
        await agent.append(NewRecord(GENESIS_KEY, genesis()))
        for number in range(1, routes + 1):
            name = f"r{number}"
            await agent.put(f"http/{name}", {f"/routes/{name}": VALUE % name.encode()})
        await agent.start()
        try:
            yield agent
            assert agent.is_running, "\n".join(agent.said)
        finally:
            await agent.stop()
