"""An agent on a free port and a log in memory, for tests over sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agent.follower import Patience
from agent.server import AgentOptions, serve
from pipeline.log.contract import NewRecord
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, MemoryLog, bundle, genesis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.log.contract import Log

BUNDLES, STATUS = "meshferry.shop.bundles", "meshferry.shop.status"
DEADLINE_S = 10.0


@asynccontextmanager
async def running_agent(log: Log | MemoryLog, directory: Path, **options: object) -> AsyncIterator[int]:
    """Run an agent; gives its port."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    made = AgentOptions(
        **{
            "view": "shop",
            "node": "node-1",
            "log": log,
            "bundles_topic": BUNDLES,
            "status_topic": STATUS,
            "state_directory": directory,
            "listen_port": 0,
            "patience": Patience(quiet_s=0.02, max_s=0.5),
            **options,
        }
    )
    task = asyncio.create_task(serve(made, started=lambda _, chosen: port.set_result(chosen)))
    await asyncio.wait({task, port}, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield port.result()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=DEADLINE_S)


class Shop:
    """The view the tests fill: genesis first, then routes."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self._seq = 0

    async def open(self, created_ms: int = CREATED_MS, life: str = "life-1") -> None:
        await self.log.put(BUNDLES, GENESIS_KEY, genesis(created_ms, life))

    async def put(self, unit: str, objects: dict[str, bytes]) -> int:
        """Append a bundle; returns its offset."""
        return (await self.batch({unit: objects}))[0]

    async def batch(self, *parts: dict[str, dict[str, bytes] | None]) -> list[int]:
        """Append bundles, None for a tombstone, in one batch of the log; returns their offsets."""
        records = []
        for unit, objects in (item for part in parts for item in part.items()):
            self._seq += 1
            records.append(NewRecord(unit, None if objects is None else bundle(unit, self._seq, objects)))
        return await self.log.append(BUNDLES, records)

    async def route(self, name: str, uri: str = "/") -> int:
        return await self.put(f"http/{name}", {f"/routes/{name}": b'{"uri":"%b"}' % uri.encode()})

    async def remove(self, unit: str) -> int:
        return (await self.batch({unit: None}))[0]
