"""The gRPC loads of bench.etcd: unary Ranges, and changes seen by many watch streams on as many connections."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import grpc.aio

from bench.table import percentile

if TYPE_CHECKING:
    from bench.etcd_peer import Peer
    from bench.process import Server

UNARY_S = 2.0
UNARY_ROUNDS = 2
UNARY_CALLS = 4
"""Calls that are under way at the same time, on one connection."""
STREAM_COUNT = 100
CHANGE_COUNT = 100
WATCH_TIMEOUT_S = 60.0
KEY, RANGE_END = b"/apisix/", b"/apisix0"


class UnaryFigures(NamedTuple):
    """Calls per second by the clock, and seconds of the server's CPU for one."""

    rate: float
    cpu_s: float


class StreamFigures(NamedTuple):
    """Seconds of the server's CPU per delivery, and how soon the last stream is told, half of the times and p99."""

    cpu_s: float
    last_p50_ms: float
    last_p99_ms: float


def bytes_field(number: int, value: bytes) -> bytes:
    """Encode a length-delimited field below 128 bytes (protobuf's wire format)."""
    return bytes((number << 3 | 2, len(value))) + value


ONE_KEY = bytes_field(1, KEY) + bytes_field(2, RANGE_END) + b"\x18\x01"
"""etcdserverpb.RangeRequest: key, range_end, limit 1."""
CREATE = bytes_field(1, bytes_field(1, KEY) + bytes_field(2, RANGE_END))
"""etcdserverpb.WatchRequest: create_request with key and range_end."""


async def unary_calls(servers: list[Server]) -> list[UnaryFigures]:
    """Load one server after the other with Ranges of one key, in rounds."""
    totals = [[0.0, 0.0, 0.0] for _ in servers]
    for _ in range(UNARY_ROUNDS):
        for server, total in zip(servers, totals, strict=True):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                call = channel.unary_unary("/etcdserverpb.KV/Range")
                await call(ONE_KEY)
                started_s, cpu_s = time.perf_counter(), server.cpu_s()
                total[0] += sum(await asyncio.gather(*(_call_on(call) for _ in range(UNARY_CALLS))))
                total[1] += time.perf_counter() - started_s
                total[2] += server.cpu_s() - cpu_s
    return [UnaryFigures(count / elapsed_s, cpu_s / count) for count, elapsed_s, cpu_s in totals]


async def _call_on(call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]) -> int:
    count, deadline_s = 0, time.perf_counter() + UNARY_S
    while time.perf_counter() < deadline_s:
        await call(ONE_KEY)
        count += 1
    return count


class Streams:
    """Watch streams that count together."""

    def __init__(self) -> None:
        self._count = 0
        self._goal = 0
        self._reached = asyncio.Event()
        self._channels: list[grpc.aio.Channel] = []
        self._readers: list[asyncio.Task[None]] = []

    async def open(self, port: int, count: int) -> None:
        """Open them and wait until each is told that it is there."""
        reached = self.expect(count)
        for _ in range(count):
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
            self._channels.append(channel)
            self._readers.append(asyncio.create_task(self._read(channel)))
        await asyncio.wait_for(reached, WATCH_TIMEOUT_S)

    async def _read(self, channel: grpc.aio.Channel) -> None:
        stream = channel.stream_stream("/etcdserverpb.Watch/Watch")()
        await stream.write(CREATE)
        while await stream.read() is not grpc.aio.EOF:
            self._count += 1
            if self._count >= self._goal:
                self._reached.set()

    def expect(self, count: int) -> asyncio.Task[bool]:
        """Give what is done after that many more messages."""
        self._goal += count
        self._reached.clear()
        return asyncio.create_task(self._reached.wait())

    async def close(self) -> None:
        """Close them all."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))


async def stream_fan_out(peer: Peer) -> StreamFigures:
    """Make changes one after the other and wait each time until all streams were told."""
    streams = Streams()
    await streams.open(peer.server.port, STREAM_COUNT)
    cpu_s, delays_ms = peer.server.cpu_s(), []
    for turn in range(1, CHANGE_COUNT + 1):
        reached = streams.expect(STREAM_COUNT)
        started_s = time.perf_counter()
        await peer.change(turn, 1000 + turn)
        await asyncio.wait_for(reached, WATCH_TIMEOUT_S)
        delays_ms.append((time.perf_counter() - started_s) * 1000)
    cpu_per_delivery_s = (peer.server.cpu_s() - cpu_s) / (CHANGE_COUNT * STREAM_COUNT)
    await streams.close()
    return StreamFigures(cpu_per_delivery_s, percentile(delays_ms, 0.5), percentile(delays_ms, 0.99))
