"""How soon a watcher sees a new change after its server was killed or handed over, beside an etcd that is restarted.

The server is killed with SIGKILL (ours is restarted by its parent, etcd by this bench, at once), a change is made, and
the client connects again and again until it is told. `python -m bench.handover [--routes N] [--rounds N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import tempfile
import time
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson
import uvloop

from bench.etcd_peer import RANGE_BODY, Agent, Etcd, Fill, first_answer, post, request
from bench.table import Figure, print_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

BUDGET_S = 0.5
RETRY_S = 0.002


class Outage(NamedTuple):
    """What a client went through."""

    delay_s: float
    refused: int
    cut_off: int


class Client:
    """A watcher that comes back at once, from the revision after the last one it was told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._revision = 0
        self.refused = self.cut_off = 0

    async def open(self) -> asyncio.StreamReader:
        """Open a watch, however often that takes."""
        create = {**RANGE_BODY, "start_revision": self._revision + 1 if self._revision else 0}
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                self._writer = writer
                writer.write(request("/v3/watch", {"create_request": create}))
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"HTTP/1.1 200"):
                    self._take(await self._line(reader))
                    return reader
            except ConnectionRefusedError:
                self.refused += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                self.cut_off += 1
            await asyncio.sleep(RETRY_S)

    async def _line(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        while True:
            size = int(await reader.readline() or b"", 16)
            data = (await reader.readexactly(size + 2)).strip()
            if data:
                return orjson.loads(data)["result"]

    def _take(self, result: dict[str, Any]) -> None:
        self._revision = max(self._revision, int(result["header"].get("revision", 0)))

    async def until(self, reader: asyncio.StreamReader, mark: bytes) -> None:
        """Read until a value with the mark was told, over as many connections as that takes."""
        while True:
            try:
                result = await self._line(reader)
            except (ValueError, asyncio.IncompleteReadError, ConnectionError):
                self.close()
                reader = await self.open()
                continue
            self._take(result)
            if any(mark in b64decode(event["kv"].get("value", "")) for event in result.get("events", ())):
                return

    async def until_closed(self, reader: asyncio.StreamReader) -> None:
        """Read until the server closes the watch."""
        with suppress(ValueError, asyncio.IncompleteReadError, ConnectionError):
            while True:
                self._take(await self._line(reader))

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def outage(peer: Agent | Etcd, turn: int, strike: Callable[[], None], *, is_handover: bool = False) -> Outage:
    """Strike the server under a watch, make a change, and wait until the watcher has it.

    In a handover the old server works until the new one is prepared: the change is made when it closes the watch.
    """
    client = Client(peer.server.port)
    reader = await client.open()
    started_s = time.perf_counter()
    strike()
    if is_handover:
        await client.until_closed(reader)
        started_s = time.perf_counter()
    changing = asyncio.create_task(persist(lambda: peer.change(turn, turn)))
    await client.until(reader, b"turn %06d" % turn)
    delay_s = time.perf_counter() - started_s
    await changing
    client.close()
    return Outage(delay_s, client.refused, client.cut_off)


async def persist(change: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Change a key, however often that takes: etcd has to be back for it."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            await change()
            return
        await asyncio.sleep(RETRY_S)


async def longest_answer(port: int, strike: Callable[[], None], seconds: float) -> tuple[float, int]:
    """Ask for one key on new connections again and again around a strike; the longest wait, and failures."""
    longest_s, failed = 0.0, 0
    deadline_s = time.perf_counter() + seconds
    strike()
    while (started_s := time.perf_counter()) < deadline_s:
        try:
            await post(port, "/v3/kv/range", {**RANGE_BODY, "count_only": True})
        except (OSError, asyncio.IncompleteReadError):
            failed += 1
        longest_s = max(longest_s, time.perf_counter() - started_s)
    return longest_s, failed


async def measure(route_count: int, round_count: int) -> list[Figure]:
    """Run all rounds against both."""
    with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        ours, theirs = Agent(Path(name), Fill(route_count)), Etcd(Path(name), Fill(route_count))
        await ours.start()
        try:
            killed = [
                await outage(ours, turn, lambda: os.kill(ours.server.child(), signal.SIGKILL))
                for turn in range(1, round_count + 1)
            ]
            handed = [
                await outage(ours, turn, lambda: os.kill(ours.server.pid, signal.SIGHUP), is_handover=True)
                for turn in range(round_count + 1, 2 * round_count + 1)
            ]
            await first_answer(ours.server.port, route_count)
            gap_s, failed = await longest_answer(
                ours.server.port, lambda: os.kill(ours.server.pid, signal.SIGHUP), seconds=2.0
            )
        finally:
            await ours.stop()
        await theirs.start()
        try:
            etcd = [await outage(theirs, turn, theirs.server.restart) for turn in range(1, round_count + 1)]
        finally:
            await theirs.stop()
    return [
        _delay("kill -9 -> a new change seen, median (worst)", killed, etcd),
        _delay("watch closed by a handover -> a new change seen", handed, None),
        _refused("connects refused, kill -9", killed, etcd),
        _refused("connects refused, handover", handed, None),
        Figure("longest answer during a handover", f"{gap_s * 1000:.0f} ms", "", "<= 300 ms", gap_s <= 0.3),
        Figure("requests that failed during it", f"{failed}", "", "0", failed == 0),
    ]


def _delay(what: str, ours: list[Outage], peer: list[Outage] | None) -> Figure:
    worst_s = max(one.delay_s for one in ours)
    return Figure(what, _span(ours), _span(peer) if peer else "", f"<= {BUDGET_S:g} s", worst_s <= BUDGET_S)


def _span(outages: list[Outage]) -> str:
    delays_s = [one.delay_s for one in outages]
    return f"{statistics.median(delays_s):.2f} s ({max(delays_s):.2f} s)"


def _refused(what: str, ours: list[Outage], peer: list[Outage] | None) -> Figure:
    count = sum(one.refused for one in ours)
    return Figure(what, str(count), str(sum(one.refused for one in peer)) if peer else "", "0", count == 0)


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(arguments.routes, arguments.rounds))
    print_figures("The socket outlives the process", figures)


if __name__ == "__main__":
    main()
