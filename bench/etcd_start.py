"""The starts and sizes of bench.etcd: how soon a server answers with everything, and what it weighs."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from bench.etcd_peer import RANGE_BODY, Agent, Fill, first_answer, post, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bench.etcd_peer import Peer

COLD_COUNT = 50_000
SETTLE_S = 3.0
"""After a start and a full answer: what was only needed for them is given back."""


class ColdStarts(NamedTuple):
    """Seconds from the start of the process to its first answer with everything."""

    log_s: float
    snapshot_s: float
    journal_s: float


@asynccontextmanager
async def running(make: Callable[[Path, Fill], Peer], fill: Fill) -> AsyncIterator[Peer]:
    """Start a peer in a directory of its own."""
    with TemporaryDirectory(prefix="meshferry-bench-") as name:
        peer = make(Path(name), fill)
        await peer.start()
        try:
            yield peer
        finally:
            await peer.stop()


async def launch_s(peer: Peer, count: int) -> float:
    """Start it again and give the seconds to its first answer."""
    started_s = time.perf_counter()
    peer.launch()
    await first_answer(peer.server.port, count)
    return time.perf_counter() - started_s


async def agent_cold_starts() -> ColdStarts:
    """Start the agent on a log only, on its snapshot, and on what it leaves when it is killed before it has one."""
    async with running(Agent, Fill(COLD_COUNT)) as agent:
        assert isinstance(agent, Agent)  # noqa: S101 - it was just made
        agent.server.stop()
        shutil.rmtree(agent.state)
        log_s = await launch_s(agent, COLD_COUNT)
        agent.server.kill()
        for base in agent.state.glob("base-*"):  # where it was quicker than the kill
            base.unlink()
        journal_s = await launch_s(agent, COLD_COUNT)
        await until(lambda: any(agent.state.glob("base-*.snapshot")))
        agent.server.stop()
        return ColdStarts(log_s, await launch_s(agent, COLD_COUNT), journal_s)


async def cold_start_s(make: Callable[[Path, Fill], Peer]) -> float:
    """Start a peer again that has everything on its disk."""
    async with running(make, Fill(COLD_COUNT)) as peer:
        peer.server.stop()
        return await launch_s(peer, COLD_COUNT)


async def rss_bytes(make: Callable[[Path, Fill], Peer], fill: Fill) -> int:
    """Weigh a server that has answered with everything once; an agent with its parent."""
    async with running(make, fill) as peer:
        await post(peer.server.port, "/v3/kv/range", RANGE_BODY)
        await asyncio.sleep(SETTLE_S)
        return peer.server.rss_bytes()
