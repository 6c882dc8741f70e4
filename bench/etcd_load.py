"""The loads of bench.etcd: full Ranges from clients that cost nearly nothing, and changes seen by many watchers."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from bench.etcd_peer import RANGE_BODY, request
from bench.table import percentile

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.etcd_peer import Peer
    from bench.process import Server

RANGE_S = 2.0
RANGE_CONNECTIONS = 2
RANGE_ROUNDS = 2
WAKE_BYTES = 256 << 10
CHANGE_COUNT = 300
WATCH_TIMEOUT_S = 60.0


class RangeFigures(NamedTuple):
    """Requests per second by the clock, and seconds of the server's CPU for one."""

    rate: float
    cpu_s: float


class WatchFigures(NamedTuple):
    """What many watchers cost, and how soon the last of them is told, half of the times and p99."""

    cpu_s: float
    bytes: float
    last_p50_ms: float
    last_p99_ms: float


def range_client(port: int) -> int:
    """Ask for the full Range again and again on one connection and count the answers; cheap on purpose."""
    wire = request("/v3/kv/range", RANGE_BODY)
    buffer = bytearray(1 << 22)
    view = memoryview(buffer)
    done = 0
    deadline_s = time.perf_counter() + RANGE_S
    with socket.create_connection(("127.0.0.1", port)) as connection:
        readable = select.poll()
        readable.register(connection, select.POLLIN)
        while time.perf_counter() < deadline_s:
            connection.sendall(wire)
            received = connection.recv_into(buffer)
            head = bytes(view[: min(received, 1024)]).partition(b"\r\n\r\n")[0].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            if length:
                missing = len(head) + 4 + int(length) - received
                while missing > 0:  # woken seldom, and dropped by the kernel
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(missing, WAKE_BYTES))
                    readable.poll()
                    missing -= connection.recv_into(buffer, missing, socket.MSG_TRUNC)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            else:  # chunked, as etcd answers large Ranges
                while not bytes(view[max(0, received - 5) : received]).endswith(b"0\r\n\r\n"):
                    received = connection.recv_into(buffer)
            done += 1
    return done


async def full_ranges(servers: list[Server]) -> list[RangeFigures]:
    """Load one server after the other with full Ranges over a few keep-alive connections, in a few rounds.

    By the clock a fast server is bounded by the loopback and by the client, which shares its cores and takes in as many
    bytes; by its own CPU it is not. In rounds, so that what else the machine does meets all of them.
    """
    totals = [[0.0, 0.0, 0.0] for _ in servers]
    for _ in range(RANGE_ROUNDS):
        for server, total in zip(servers, totals, strict=True):
            started_s, cpu_s = time.perf_counter(), server.cpu_s()
            clients = (asyncio.to_thread(range_client, server.port) for _ in range(RANGE_CONNECTIONS))
            total[0] += sum(await asyncio.gather(*clients))
            total[1] += time.perf_counter() - started_s
            total[2] += server.cpu_s() - cpu_s
    return [RangeFigures(count / elapsed_s, cpu_s / count) for count, elapsed_s, cpu_s in totals]


class Watcher(asyncio.Protocol):
    """Counts the lines of a watch."""

    def __init__(self, on_line: Callable[[int], None]) -> None:
        self._on_line = on_line
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for everything below the prefix."""
        self.transport = transport  # type: ignore[assignment]  # TCP transports are Transports
        assert self.transport is not None  # noqa: S101 - just set
        self.transport.write(request("/v3/watch", {"create_request": RANGE_BODY}))

    def data_received(self, data: bytes) -> None:
        """Every line ends in }} and a newline."""
        count = data.count(b"}\n")
        if count:
            self._on_line(count)


async def watch_fan_out(peer: Peer, watcher_count: int) -> WatchFigures:
    """Open watches, make changes one after the other and wait each time until all watchers were told."""
    lines = 0
    wanted = asyncio.Event()
    goal = watcher_count

    def on_line(count: int) -> None:
        nonlocal lines
        lines += count
        if lines >= goal:
            wanted.set()

    idle_bytes = peer.server.rss_bytes()
    loop = asyncio.get_running_loop()
    watchers = []
    for _ in range(watcher_count):
        _, watcher = await loop.create_connection(lambda: Watcher(on_line), "127.0.0.1", peer.server.port)
        watchers.append(watcher)
    await asyncio.wait_for(wanted.wait(), WATCH_TIMEOUT_S)
    watcher_bytes = (peer.server.rss_bytes() - idle_bytes) / watcher_count
    cpu_s = peer.server.cpu_s()
    delays_ms = []
    for turn in range(1, CHANGE_COUNT + 1):
        wanted.clear()
        goal += watcher_count
        started_s = time.perf_counter()
        await peer.change(turn, turn)
        await asyncio.wait_for(wanted.wait(), WATCH_TIMEOUT_S)
        delays_ms.append((time.perf_counter() - started_s) * 1000)
    cpu_per_delivery_s = (peer.server.cpu_s() - cpu_s) / (CHANGE_COUNT * watcher_count)
    for watcher in watchers:
        if watcher.transport is not None:
            watcher.transport.abort()
    last_ms = (percentile(delays_ms, share) for share in (0.5, 0.99))
    return WatchFigures(cpu_per_delivery_s, watcher_bytes, *last_ms)
