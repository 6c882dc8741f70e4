"""`meshferry agent` with its parent, as processes, on an embedded log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.log.contract import NewRecord, TopicSpec
from pipeline.log.url import open_log
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.log.contract import Writer

ROOT = Path(__file__).parents[3]
BUNDLES = "meshferry.shop.bundles"
TOPICS = [TopicSpec(f"meshferry.shop.{kind}", {"cleanup.policy": "compact"}) for kind in ("bundles", "status")]
DEADLINE_S = 15.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SupervisedAgent:
    """A view with one route, and the agent that serves it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.settings = folder / "meshferry.yaml"
        self.process: asyncio.subprocess.Process
        self.lines: list[str] = []
        self._folder = folder
        self._stack = AsyncExitStack()
        self._writer: Writer
        self._seq = 0
        self._said = asyncio.Condition()
        self.write_settings()

    def write_settings(self, **agent: object) -> None:
        fields = {"listen": f"127.0.0.1:{self.port}", "state": f"{self._folder}/agent", **agent}
        told = ", ".join(
            f"{name}: '{value}'" if isinstance(value, str) else f"{name}: {value}" for name, value in fields.items()
        )
        self.settings.write_text(
            f"log: {{url: 'sqlite://{self._folder}/log.db'}}\nviews: {{shop: {{}}}}\nagent: {{{told}}}\n"
        )

    async def __aenter__(self) -> Self:
        log = await self._stack.enter_async_context(open_log(f"sqlite://{self._folder}/log.db"))
        await log.apply(TOPICS)
        self._writer = await log.writer("test")
        await self._writer.append(BUNDLES, [NewRecord(GENESIS_KEY, genesis())])
        await self.route("1")
        return self

    async def __aexit__(self, *_: object) -> None:
        if hasattr(self, "process"):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.wait()
            await self._reading
            for pid in self.started:
                await gone(pid)
        await self._stack.aclose()

    async def route(self, name: str) -> None:
        self._seq += 1
        await self._writer.append(
            BUNDLES, [NewRecord(f"http/{name}", bundle(f"http/{name}", self._seq, {f"/routes/{name}": b"{}"}))]
        )

    async def start(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "pipeline.cli", "agent"),
        fds: Sequence[int] = (),
    ) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            "--settings",
            str(self.settings),
            *arguments,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=fds,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
        self.started: set[int] = set()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.started |= set(self.children())
            async with self._said:
                self.lines.append(line.decode().rstrip())
                self._said.notify_all()

    async def says(self, text: str, count: int = 1) -> str:
        """Wait until a line with the text has come so many times; gives the last of them."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        try:
            async with asyncio.timeout(DEADLINE_S), self._said:
                await self._said.wait_for(lambda: len(found()) >= count)
        except TimeoutError:
            raise AssertionError("\n".join(self.lines)) from None
        return found()[count - 1]

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def proc(self, name: str) -> str:
        """Read a file that the system keeps about the parent."""
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def child(self) -> int:
        (pid,) = self.children()
        return pid

    async def ended(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            code = await self.process.wait()
            await self._reading
        return code

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what only the system knows."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_true():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.005)


async def gone(pid: int) -> None:
    """Wait until a process that is no child of ours has ended, whether or not somebody has asked how."""

    def has_ended() -> bool:
        try:
            return ") Z " in Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    await until(has_ended)
