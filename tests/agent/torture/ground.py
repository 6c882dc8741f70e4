"""What faults are done to: a view on a log, its agent under the parent, a writer that never gives up."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import uuid
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.log.contract import LogUnreachableError, NewRecord, TopicSpec, WriterFencedError
from pipeline.log.url import open_log
from schemas.codec import decode, encode
from schemas.keys import GENESIS_KEY, TopicKind, topic
from schemas.records import Bundle, Genesis
from tests.agent.memory_log import CREATED_MS, bundle
from tests.kafka.broker import free_port
from tests.pipeline.parent.supervised_agent import gone

if TYPE_CHECKING:
    from random import Random

    from pipeline.log.contract import Log, Writer
    from tests.kafka.broker import Broker

ROOT = Path(__file__).parents[3]
UNIT_COUNT = 200
RETRY_S = 0.1
PREFIX = b"/apisix"


class Ground:
    """Use it as an async context manager.

    Args:
        folder: for the agent's state and an embedded log.
        broker: the Kafka broker; without one the log is SQLite.

    Attributes:
        said: what the agent, its parent and their successors have written.
        written: how many changes are in the log.
    """

    def __init__(self, folder: Path, broker: Broker | None = None) -> None:
        self.broker = broker
        self.port = free_port()
        self.said: list[str] = []
        self.written = 0
        self._view = f"chaos{uuid.uuid4().hex[:8]}"
        self._url = f"kafka://{broker.bootstrap}" if broker else f"sqlite://{folder}/log.db"
        self._bundles = topic("meshferry.", self._view, TopicKind.BUNDLES)
        self._settings = folder / "meshferry.yaml"
        self._settings.write_text(
            f"log: {{url: '{self._url}'}}\nviews: {{{self._view}: {{}}}}\n"
            f"agent: {{listen: '127.0.0.1:{self.port}', state: '{folder}/agent'}}\n"
        )
        self._stack = AsyncExitStack()
        self._log: Log
        self._writer: Writer | None = None
        self._parent: asyncio.subprocess.Process | None = None
        self._reading: list[asyncio.Task[None]] = []
        self._seq = 0

    async def __aenter__(self) -> Self:
        self._log = await self._stack.enter_async_context(open_log(self._url))
        names = [topic("meshferry.", self._view, kind) for kind in TopicKind]
        await self._log.apply([TopicSpec(name, {"cleanup.policy": "compact"}) for name in names])
        await self._append([NewRecord(GENESIS_KEY, encode(Genesis(self._view, CREATED_MS, uuid.uuid4().hex)))])
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill_parent()
        await asyncio.gather(*self._reading)
        if self._writer is not None:
            await self._writer.close()
        await self._stack.aclose()

    # The log

    async def change(self, rng: Random, count: int) -> None:
        """Write changes in one transaction: routes come, change, move and go."""
        records = []
        for _ in range(count):
            self._seq += 1
            unit = f"http/{rng.randrange(UNIT_COUNT)}"
            names = [unit.replace("http/", "r"), *(f"s{rng.randrange(20)}" for _ in range(rng.randrange(3)))]
            objects = {f"/routes/{name}": b'{"uri":"/","desc":"%d"}' % self._seq for name in names}
            value = None if rng.random() < 0.1 else bundle(unit, self._seq, objects)
            records.append(NewRecord(unit, value))
        await self._append(records)
        self.written += count

    async def _append(self, records: list[NewRecord]) -> None:
        """Append, again if the log was away: the same records twice say the same."""
        while True:
            try:
                self._writer = self._writer or await self._log.writer(f"chaos-{self._view}")
                await self._writer.append(self._bundles, records)
            except (LogUnreachableError, WriterFencedError):
                self._writer = None
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def units(self) -> dict[str, dict[bytes, bytes]]:
        """Read the objects of each unit from the log."""
        found: dict[str, dict[bytes, bytes]] = {}
        ends = await self._log.ends(self._bundles)
        async for batch in self._log.read(self._bundles, ends.start):
            for record in batch:
                if record.value is None:
                    found.pop(record.key, None)
                elif record.key != GENESIS_KEY:
                    objects = decode(record.value, Bundle).objects
                    found[record.key] = {PREFIX + item.key.encode(): item.value for item in objects}
        return found

    # The processes

    async def _start(self) -> None:
        self._parent = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "pipeline.cli", "agent", "--settings", str(self._settings)),
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._reading.append(asyncio.create_task(self._read(self._parent)))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())

    def complaints(self) -> list[str]:
        """Give what only a defect would make them say."""
        return [line for line in self.said if re.search(r"Traceback|Fatal|never retrieved|exception", line)]

    def children(self) -> list[int]:
        """Give the processes that serve, or are about to."""
        if self._parent is None:
            return []
        path = Path(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children")
        with suppress(OSError):
            return [int(pid) for pid in path.read_text().split()]
        return []

    def kill_child(self, rng: Random) -> None:
        """Kill one that serves."""
        self._signal(rng, signal.SIGKILL)

    def _signal(self, rng: Random, number: signal.Signals) -> int:
        children = self.children()
        if not children:
            return 0
        pid = rng.choice(children)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    async def hang_child(self, rng: Random, seconds: float) -> None:
        """Stop one that serves for a while."""
        if pid := self._signal(rng, signal.SIGSTOP):
            await asyncio.sleep(seconds)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def kill_parent(self) -> None:
        """Kill the parent; who serves under it notices and ends."""
        if self._parent is None:
            return
        children, parent, self._parent = self.children(), self._parent, None
        with suppress(ProcessLookupError):
            parent.kill()
        await parent.wait()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            await gone(pid)

    async def restart(self) -> None:
        """Kill the parent and start another one."""
        await self.kill_parent()
        await self._start()

    def hand_over(self) -> None:
        """Have the parent start a new one beside the old one."""
        if self._parent is not None and self._parent.returncode is None:
            self._parent.send_signal(signal.SIGHUP)
