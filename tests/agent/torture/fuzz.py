"""Throw hostile requests at an agent process: `python -m tests.agent.torture.fuzz [--count N] [--seed N] [--only N]`.

Each case has its own random generator, made of the seed and its number, so one that fails is repeated alone with
`--only`. All the while sane requests on other connections are answered and connections stay open that send a head byte
by byte; afterwards the agent uses what it used before and has said nothing about errors.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import socket
import struct
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvloop
from rich.console import Console

from tests.agent.torture.hostile import FIELD_CASES, Case, case_of
from tests.agent.torture.lone_agent import LoneAgent, lone_agent
from tests.conformance.watch_client import Client, range_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.agent.torture.proc import Usage

DEADLINE_S = 20.0
AT_ONCE = 24
SLOW_COUNT = 50
SLOW_EVERY_S = 0.1
PROBE_EVERY_S = 0.02
MAX_PROBE_S = 5.0
MAX_RSS_GROWTH_BYTES = 12 << 20
NO_LINGER = struct.pack("ii", 1, 0)


class Failure(NamedTuple):
    """A case that was not answered as documented."""

    number: int
    case: Case
    reason: str

    def __str__(self) -> str:
        sent = b"".join(self.case.pieces)
        return f"case {self.number}, {self.case.name}: {self.reason[:600]}\n  sent {len(sent)} bytes: {sent[:300]!r}"


async def converse(port: int, case: Case) -> bytes:
    """Send a case and give all that comes back until the server closes.

    Raises:
        TimeoutError: it did not close.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)  # noqa: FBT003 - takes no name
        async with asyncio.timeout(DEADLINE_S):
            await loop.sock_connect(connection, ("127.0.0.1", port))
            sending = asyncio.create_task(_send(loop, connection, case))
            try:
                return b"" if case.is_aborted else await _hear(loop, connection)
            finally:
                await sending


async def _send(loop: asyncio.AbstractEventLoop, connection: socket.socket, case: Case) -> None:
    with suppress(OSError):  # the server may have closed already
        for piece in case.pieces:
            await loop.sock_sendall(connection, piece)
            if len(case.pieces) > 1:
                await asyncio.sleep(0)
        if not case.is_aborted:
            connection.shutdown(socket.SHUT_WR)
            return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


async def _hear(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    heard = bytearray()
    with suppress(ConnectionError):
        while data := await loop.sock_recv(connection, 1 << 18):
            heard += data
    return bytes(heard)


class Witness:
    """Asks sane questions on connections of its own, while others misbehave."""

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.longest_s = 0.0
        self._port = port

    async def watch(self) -> None:
        """Ask again and again until cancelled; each answer must be right and in time."""
        client = Client()
        while True:
            started_s = time.monotonic()
            answer = await client.ask(self._port, "/v3/kv/range", range_body(b"/apisix/routes/r1", b""))
            self.longest_s = max(self.longest_s, time.monotonic() - started_s)
            assert answer.json["count"] == "1"
            self.answered += 1
            await asyncio.sleep(PROBE_EVERY_S)


async def dawdle(port: int) -> None:
    """Send a head that never ends, byte by byte; when the server has had enough of it, begin again."""
    while True:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            with suppress(ConnectionError):
                for byte in itertools.chain(b"GET /version HTTP/1.1\r\n", itertools.cycle(b"A: b\r\n")):
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(SLOW_EVERY_S)
        finally:
            writer.transport.abort()


class Report(NamedTuple):
    """What a run has shown."""

    failures: Sequence[Failure]
    before: Usage
    after: Usage
    connections: int
    watchers: int
    witness: Witness
    complaints: Sequence[str]

    def verdict(self) -> list[str]:
        """Name what is not as it must be."""
        grown = self.after.rss_bytes - self.before.rss_bytes
        found = [str(failure) for failure in self.failures]
        if grown > MAX_RSS_GROWTH_BYTES:
            found.append(f"memory grew by {grown} bytes")
        if self.after.fd_count > self.before.fd_count or self.after.thread_count > self.before.thread_count:
            found.append(f"descriptors or threads grew: {self.before}, then {self.after}")
        if self.connections or self.watchers:
            found.append(f"{self.connections} connections and {self.watchers} watchers are left")
        if not self.witness.answered or self.witness.longest_s > MAX_PROBE_S:
            found.append(f"sane requests: {self.witness.answered} answered, one took {self.witness.longest_s:.1f} s")
        return [*found, *self.complaints[:20]]


def numbered(seed: int, count: int, only: int | None = None) -> Iterator[tuple[int, Case]]:
    """Give the cases of a seed: first every field once, then at random."""
    for number in range(count) if only is None else (only,):
        if number < len(FIELD_CASES):
            yield number, FIELD_CASES[number]
        else:
            yield number, case_of(random.Random(f"{seed} {number}"))


async def throw(port: int, cases: Iterator[tuple[int, Case]]) -> list[Failure]:
    """Send all cases, several at once."""
    failures: list[Failure] = []

    async def work() -> None:
        for number, case in cases:
            try:
                case.judge(await converse(port, case))
            except (AssertionError, ValueError, KeyError, IndexError, OSError) as error:
                failures.append(Failure(number, case, f"{type(error).__name__}: {error}"))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())
    return failures


async def storm(agent: LoneAgent, witness: Witness, cases: Iterator[tuple[int, Case]]) -> list[Failure]:
    """Send cases while others ask and dawdle, then wait until the agent has closed what its clients have left."""
    beside = [asyncio.create_task(witness.watch())]
    beside += [asyncio.create_task(dawdle(agent.port)) for _ in range(SLOW_COUNT)]
    try:
        failures = await throw(agent.port, cases)
        for task in beside:
            if task.done():
                task.result()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
    deadline_s = time.monotonic() + DEADLINE_S
    while sum(await left_behind(agent)) and time.monotonic() < deadline_s:  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.05)
    return failures


async def quiet_usage(agent: LoneAgent) -> Usage:
    """Read the usage a few times, for a file may be open just now."""
    readings = [agent.usage()]
    for _ in range(10):
        await asyncio.sleep(0.05)
        readings.append(agent.usage())
    return readings[-1]._replace(
        fd_count=min(reading.fd_count for reading in readings),
        thread_count=min(reading.thread_count for reading in readings),
    )


async def left_behind(agent: LoneAgent) -> tuple[int, int]:
    """Give the agent's connections, but for the one that asks, and its watchers."""
    figures = await agent.figures(Client())
    return int(figures["connections"]) - 1, int(figures["watchers"])


async def run(folder: Path, seed: int, count: int, only: int | None = None) -> Report:
    """Run the cases of a seed against an agent of its own; the first half is what it must not grow after."""
    async with lone_agent(folder, routes=100) as agent:
        cases, witness = numbered(seed, count, only), Witness(agent.port)
        failures = await storm(agent, witness, itertools.islice(cases, count // 2))
        before = await quiet_usage(agent)
        failures += await storm(agent, witness, cases)
        after = await quiet_usage(agent)
        return Report(failures, before, after, *await left_behind(agent), witness, agent.complaints())


say = partial(Console().print, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    chosen = parser.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = uvloop.run(run(Path(folder), chosen.seed, chosen.count, chosen.only))
    say(f"seed {chosen.seed}: {chosen.count} cases in {time.monotonic() - started_s:.0f} s")
    say(f"before: {report.before}\nafter:  {report.after}")
    witness = report.witness
    say(f"sane requests meanwhile: {witness.answered} answered, the longest took {witness.longest_s * 1000:.0f} ms")
    wrong = report.verdict()
    say("\n".join(wrong[:40]) if wrong else "each was answered as documented")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
