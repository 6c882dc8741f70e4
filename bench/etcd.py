"""The agent beside etcd in one run: full Range over HTTP/JSON, and watch fan-out to 1,000 HTTP watchers.

The peer is Debian's etcd (package etcd-server); both serve the same keys to the same clients on the same machine.
`python -m bench.etcd [--routes N] [--watchers N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import resource
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import orjson
import uvloop

from bench.process import Server, free_port
from bench.table import Figure, percentile, print_figures
from pipeline.log import NewRecord, TopicSpec, open_log
from schemas.codec import encode
from schemas.keys import GENESIS_KEY
from schemas.records import Bundle, BundleClass, EtcdObject, Genesis

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.log import Log, Writer

RANGE_S = 3.0
RANGE_CONNECTIONS = 2
CHANGE_COUNT = 40
BUNDLES = "meshferry.bench.bundles"
TOPICS = [TopicSpec(f"meshferry.bench.{kind}", {}) for kind in ("units", "bundles", "control", "status")]


def route_value(index: int, turn: int) -> bytes:
    """A route of about 600 bytes, as the translator makes them."""
    route = {
        "desc": f"turn {turn:06d}",
        "hosts": [f"service-{index}.example.com", f"service-{index}.default.svc.cluster.local"],
        "labels": {"xds.rc": "9080", "xds.vh": f"service-{index}.example.com:9080"},
        "name": f"9080/service-{index}#{index:06d}",
        "priority": 1,
        "timeout": {"connect": 10, "read": 86400, "send": 86400},
        "upstream_id": f"service-{index}.t5ezuzod322ck4ue",
        "uris": ["/*"],
        "vars": [["server_port", "==", "9080"], ["http_end_user", "==", "jason"], ["uri", "~~", "\\A/" + "x" * 120]],
    }
    return orjson.dumps(route, option=orjson.OPT_SORT_KEYS)


def bundle(index: int, turn: int) -> NewRecord:
    """The bundle that carries one route."""
    obj = EtcdObject(f"/routes/service-{index}.{index:016d}", route_value(index, turn))
    key = f"http/l/c/r/service-{index}"
    return NewRecord(key, encode(Bundle(key, BundleClass.ROUTING, turn + 1, (obj,), ())))


class Peer(Protocol):
    """A server under test and the way to change a key of it."""

    server: Server

    async def change(self, index: int, turn: int) -> None:
        """Change the value of one key."""
        ...


class Agent:
    """Our agent, following a SQLite log."""

    def __init__(self, folder: Path, route_count: int) -> None:
        self._folder = folder
        self._route_count = route_count
        self.server: Server
        self._log: Log
        self._writer: Writer

    async def start(self) -> None:
        """Fill the log and start the agent on it."""
        url = f"sqlite://{self._folder}/log.db"
        self._log = await open_log(url).__aenter__()
        await self._log.apply(TOPICS)
        self._writer = await self._log.writer("bench")
        genesis = Genesis("bench", time.time_ns() // 1_000_000, "bench")
        records = [NewRecord(GENESIS_KEY, encode(genesis))]
        records += [bundle(index, 0) for index in range(self._route_count)]
        await self._writer.append(BUNDLES, records)
        port = free_port()
        settings = self._folder / "settings.yaml"
        settings.write_text(
            f"log: {{url: '{url}'}}\nviews: {{bench: {{}}}}\n"
            f"agent: {{listen: '127.0.0.1:{port}', state: '{self._folder}/agent'}}\n"
        )
        command = [sys.executable, "-m", "pipeline.cli", "agent", "--settings", str(settings)]
        self.server = Server(command, port, self._folder / "agent.log")
        await wait_for_count(port, self._route_count)

    async def change(self, index: int, turn: int) -> None:
        """Append one bundle."""
        await self._writer.append(BUNDLES, [bundle(index, turn)])

    async def stop(self) -> None:
        """End the agent and close the log."""
        self.server.stop()
        await self._log.__aexit__(None, None, None)


class Etcd:
    """Debian's etcd."""

    def __init__(self, folder: Path, route_count: int) -> None:
        self._folder = folder
        self._route_count = route_count
        self.server: Server

    async def start(self) -> None:
        """Start it and put the same keys."""
        program = shutil.which("etcd")
        if program is None:
            raise RuntimeError("etcd is not installed: `apt-get install etcd-server` brings the peer of this bench")
        port, peer_port = free_port(), free_port()
        url = f"http://127.0.0.1:{port}"
        peer_url = f"http://127.0.0.1:{peer_port}"
        command = [program, "--data-dir", str(self._folder / "etcd"), "--listen-client-urls", url]
        command += ["--advertise-client-urls", url, "--listen-peer-urls", peer_url]
        command += ["--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}"]
        self.server = Server(command, port, self._folder / "etcd.log")
        for index in range(self._route_count):
            await self.change(index, 0)
        await wait_for_count(port, self._route_count)

    async def change(self, index: int, turn: int) -> None:
        """Put one key."""
        key = f"/apisix/routes/service-{index}.{index:016d}".encode()
        await post(self.server.port, "/v3/kv/put", {"key": b64(key), "value": b64(route_value(index, turn))})

    async def stop(self) -> None:
        """End it."""
        self.server.stop()


def b64(data: bytes) -> str:
    """Base64 as the gateway wants it."""
    return base64.b64encode(data).decode()


RANGE_BODY = {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0")}


def request(path: str, body: object) -> bytes:
    """The bytes of a POST."""
    data = orjson.dumps(body)
    return f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


async def read_response(reader: asyncio.StreamReader) -> bytes:
    """Read one unary response."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.split(b":")[1]))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


async def post(port: int, path: str, body: object) -> bytes:
    """One POST on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(request(path, body))
    answer = await read_response(reader)
    writer.close()
    return answer


async def wait_for_count(port: int, count: int) -> None:
    """Wait until the server has all keys."""
    for _ in range(400):
        answer = await post(port, "/v3/kv/range", {**RANGE_BODY, "count_only": True})
        if int(orjson.loads(answer).get("count", 0)) >= count:
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("the server never had all keys")


def range_client(port: int) -> int:
    """Ask for the full Range again and again on one connection and count the answers; cheap on purpose."""
    wire = request("/v3/kv/range", RANGE_BODY)
    buffer = bytearray(1 << 22)
    view = memoryview(buffer)
    done = 0
    deadline = time.perf_counter() + RANGE_S
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while time.perf_counter() < deadline:
            connection.sendall(wire)
            received = connection.recv_into(buffer)
            head = bytes(view[:received]).partition(b"\r\n\r\n")[0].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            if length:
                missing = len(head) + 4 + int(length) - received
                while missing > 0:  # dropped by the kernel in one call: the client is to cost nearly nothing
                    missing -= connection.recv_into(buffer, missing, socket.MSG_TRUNC | socket.MSG_WAITALL)
            else:  # chunked, as etcd answers large Ranges
                while not bytes(view[max(0, received - 5) : received]).endswith(b"0\r\n\r\n"):
                    received = connection.recv_into(buffer)
            done += 1
    return done


async def range_rate(server: Server) -> tuple[float, float]:
    """Full Ranges per second over a few keep-alive connections, and the server's CPU seconds for one.

    The client shares the machine and has to take in as many bytes as the server sends, so the first figure is bounded
    by the loopback; the second is not.
    """
    started, cpu_s = time.perf_counter(), server.cpu_s()
    counts = await asyncio.gather(*(asyncio.to_thread(range_client, server.port) for _ in range(RANGE_CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - started), (server.cpu_s() - cpu_s) / sum(counts)


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


async def watch_fan_out(peer: Peer, watcher_count: int) -> tuple[float, float, float]:
    """CPU seconds per delivery, bytes per watcher, p99 of change -> last watcher in ms."""
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
    await asyncio.wait_for(wanted.wait(), 60)
    watcher_bytes = (peer.server.rss_bytes() - idle_bytes) / watcher_count
    cpu_s = peer.server.cpu_s()
    delays_ms = []
    for turn in range(1, CHANGE_COUNT + 1):
        wanted.clear()
        goal += watcher_count
        started = time.perf_counter()
        await peer.change(turn, turn)
        await asyncio.wait_for(wanted.wait(), 60)
        delays_ms.append((time.perf_counter() - started) * 1000)
    cpu_per_delivery = (peer.server.cpu_s() - cpu_s) / (CHANGE_COUNT * watcher_count)
    for watcher in watchers:
        if watcher.transport is not None:
            watcher.transport.abort()
    return cpu_per_delivery, watcher_bytes, percentile(delays_ms, 0.99)


async def measure(route_count: int, watcher_count: int) -> list[Figure]:
    """Run both servers through the same load, one after the other."""
    with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        ours, theirs = Agent(Path(name), route_count), Etcd(Path(name), route_count)
        results = []
        for peer in (ours, theirs):
            await peer.start()
            try:
                range_figures = await range_rate(peer.server)
                results.append((*range_figures, *await watch_fan_out(peer, watcher_count), peer.server.rss_bytes()))
            finally:
                await peer.stop()
    (rate, range_cpu, cpu, memory, last, rss), etcd = results
    etcd_rate, etcd_range_cpu, etcd_cpu, etcd_memory, etcd_last, etcd_rss = etcd
    return [
        Figure(
            f"full Range, {route_count} routes, JSON",
            f"{rate:,.0f}/s",
            f"{etcd_rate:,.0f}/s",
            f">= 50 x ({rate / etcd_rate:.0f} x)",
            rate >= 50 * etcd_rate,
        ),
        Figure(
            "server CPU for one of them",
            f"{range_cpu * 1e6:.0f} us",
            f"{etcd_range_cpu * 1e6:.0f} us",
            f"(1/{etcd_range_cpu / max(range_cpu, 1e-9):.0f})",
            None,
        ),
        Figure(
            f"CPU per delivery, {watcher_count} HTTP watchers",
            f"{cpu * 1e6:.1f} us",
            f"{etcd_cpu * 1e6:.1f} us",
            f"<= 1/8 (1/{etcd_cpu / max(cpu, 1e-9):.0f})",
            cpu <= etcd_cpu / 8,
        ),
        Figure(
            "memory per watcher",
            f"{memory / 1024:.1f} KiB",
            f"{etcd_memory / 1024:.1f} KiB",
            f"<= 1/20 (1/{etcd_memory / max(memory, 1):.0f})",
            memory <= etcd_memory / 20,
        ),
        Figure("change -> last watcher, p99", f"{last:.1f} ms", f"{etcd_last:.1f} ms", "<= 30 ms", last <= 30),
        Figure("RSS at the end", f"{rss / 2**20:.0f} MiB", f"{etcd_rss / 2**20:.0f} MiB", "", None),
    ]


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=1000)
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(arguments.routes, arguments.watchers))
    print_figures("etcd API beside Debian's etcd", figures)


if __name__ == "__main__":
    main()
