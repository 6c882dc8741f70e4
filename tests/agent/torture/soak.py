"""Hold many idle watches: `python -m tests.agent.torture.soak [--watchers N] [--seconds N]`.

None is closed, each gets its heartbeats and, at the end, one change; memory, descriptors and threads stay as they are,
and the agent idles.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson
import uvloop
from rich.console import Console

from tests.agent.torture.lone_agent import VALUE, lone_agent
from tests.agent.torture.proc import cpu_s
from tests.conformance.watch_client import b64, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.agent.torture.proc import Usage

HEARTBEAT = b"1\r\n \r\n"
HEARTBEAT_S = 15.0
OPENING_AT_ONCE = 200
DEADLINE_S = 60.0
MAX_CPU_SHARE = 0.03
MAX_WATCHER_BYTES = 16 << 10
MAX_RSS_GROWTH_BYTES = 4 << 20
CREATE = orjson.dumps({"create_request": {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0")}})


class IdleWatch(asyncio.Protocol):
    """A watch that counts what it gets; small, for there are many."""

    __slots__ = ("created", "heartbeats", "is_lost", "told", "transport")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.created, self.told = loop.create_future(), loop.create_future()
        self.heartbeats = 0
        self.is_lost = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are of no asyncio class
        self.transport.write(request("POST", "/v3/watch", CREATE))

    def data_received(self, data: bytes) -> None:
        self.heartbeats += data.count(HEARTBEAT)
        if b'"created":true' in data and not self.created.done():
            self.created.set_result(None)
        if b'"events"' in data and not self.told.done():
            self.told.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        self.is_lost = True


class Report(NamedTuple):
    """What a run has shown; `cpu_share` is of one core, while nothing happened."""

    watcher_count: int
    seconds: float
    alone: Usage
    before: Usage
    after: Usage
    cpu_share: float
    lost: int
    fewest_heartbeats: int
    due_heartbeats: int
    told: int

    @property
    def watcher_bytes(self) -> float:
        return (self.before.rss_bytes - self.alone.rss_bytes) / self.watcher_count

    def verdict(self) -> list[str]:
        """Name what is not as it must be."""
        grown = self.after.rss_bytes - self.before.rss_bytes
        wrong = {
            f"{self.lost} watches were closed": self.lost > 0,
            f"a watch got {self.fewest_heartbeats} heartbeats, {self.due_heartbeats} were due": (
                self.fewest_heartbeats < self.due_heartbeats
            ),
            f"only {self.told} of {self.watcher_count} watches were told of a change": self.told < self.watcher_count,
            f"memory grew by {grown} bytes": grown > MAX_RSS_GROWTH_BYTES,
            f"a watcher takes {self.watcher_bytes:.0f} bytes": self.watcher_bytes > MAX_WATCHER_BYTES,
            f"descriptors: {self.before.fd_count}, then {self.after.fd_count}": (
                self.after.fd_count > self.before.fd_count
            ),
            f"threads: {self.before.thread_count}, then {self.after.thread_count}": (
                self.after.thread_count > self.before.thread_count
            ),
            f"idle CPU {self.cpu_share:.1%} of a core": self.cpu_share > MAX_CPU_SHARE,
        }
        return [reason for reason, is_wrong in wrong.items() if is_wrong]


async def open_watches(port: int, count: int) -> Sequence[IdleWatch]:
    """Open watches, a number at a time."""
    opening = asyncio.Semaphore(OPENING_AT_ONCE)

    async def opened() -> IdleWatch:
        async with opening:
            _, watch = await asyncio.get_running_loop().create_connection(IdleWatch, "127.0.0.1", port)
            await watch.created
            return watch

    async with asyncio.timeout(DEADLINE_S):
        return await asyncio.gather(*(opened() for _ in range(count)))


async def run(folder: Path, watcher_count: int, seconds: float, heartbeat_s: float = HEARTBEAT_S) -> Report:
    """Hold watches on an agent of its own for a while."""
    async with lone_agent(folder, heartbeat_s=heartbeat_s) as agent:
        loop = asyncio.get_running_loop()
        for watch in await open_watches(agent.port, 10):  # what the first watches load is no watcher's share
            watch.transport.abort()
        alone = agent.usage()
        watches = await open_watches(agent.port, watcher_count)
        started_s, cpu_before_s, before = loop.time(), cpu_s(agent.pid), agent.usage()
        counts = [watch.heartbeats for watch in watches]
        await asyncio.sleep(seconds)
        cpu_share = (cpu_s(agent.pid) - cpu_before_s) / (loop.time() - started_s)
        fewest = min(watch.heartbeats - count for watch, count in zip(watches, counts, strict=True))
        lost, after = sum(watch.is_lost for watch in watches), agent.usage()
        await agent.put("http/late", {"/routes/late": VALUE % b"late"})
        told, _ = await asyncio.wait([watch.told for watch in watches], timeout=DEADLINE_S)
        for watch in watches:
            watch.transport.abort()
        due = max(1, int(seconds / heartbeat_s) - 1)
        return Report(watcher_count, seconds, alone, before, after, cpu_share, lost, fewest, due, len(told))


say = partial(Console().print, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=300)
    chosen = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        report = uvloop.run(run(Path(folder), chosen.watchers, chosen.seconds))
    say(f"{report.watcher_count} idle watches for {report.seconds:.0f} s, {report.lost} closed")
    say(f"alone:  {report.alone}\nbefore: {report.before}\nafter:  {report.after}")
    say(f"memory per watcher {report.watcher_bytes / 1024:.1f} KiB, idle CPU {report.cpu_share:.2%} of a core")
    say(f"heartbeats per watch: at least {report.fewest_heartbeats}, {report.due_heartbeats} due")
    wrong = report.verdict()
    say("\n".join(wrong) if wrong else "nothing was closed and nothing has grown")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
