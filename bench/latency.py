"""Source change -> watch line, through producer, translator and agent, on SQLite and on Kafka.

On SQLite as `meshferry up` runs it, on Kafka with one process per role. The source is an ADS server in this process,
which pushes one changed ClusterLoadAssignment after the other. The clock runs from the push to the arrival of
the line at an HTTP watcher. `python -m bench.latency [--changes N] [--only sqlite|kafka]`. The peer column is the same
change put into Debian's etcd and watched through its own HTTP gateway: the floor of any design with etcd in it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import uvloop

from bench.etcd_peer import RANGE_BODY, Etcd, Fill, first_answer, request
from bench.process import Server, free_port
from bench.table import Figure, percentile, print_figures
from schemas import xds
from tests.kafka.broker import find_broker
from tests.peers.ads import ADSPeer, build

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_P50_MS = 15.0
BUDGET_P99_MS = 60.0
SETTLE_COUNT = 20
"""Changes before the clock counts: connections, caches and group membership settle."""
CLUSTER_COUNT = 20
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": xds.TYPE_URL_PREFIX + "envoy.extensions.filters.http.router.v3.Router"},
}


def clusters() -> list[xds.Message]:
    """EDS clusters."""
    eds = {"eds_config": {"ads": {}}}
    return [
        build(xds.CLUSTER, {"name": f"c{n}", "type": "EDS", "eds_cluster_config": eds}) for n in range(CLUSTER_COUNT)
    ]


def endpoints(port: int) -> list[xds.Message]:
    """Their endpoints; only those of c0 depend on the port."""
    return [
        build(
            xds.CLUSTER_LOAD_ASSIGNMENT,
            {
                "cluster_name": f"c{n}",
                "endpoints": [
                    {
                        "lb_endpoints": [
                            {
                                "endpoint": {
                                    "address": {
                                        "socket_address": {"address": "10.0.0.1", "port_value": port if n == 0 else 80}
                                    }
                                }
                            }
                        ]
                    }
                ],
            },
        )
        for n in range(CLUSTER_COUNT)
    ]


def listener() -> xds.Message:
    """A listener whose routes use every cluster."""
    hosts = [
        {
            "name": f"h{n}",
            "domains": [f"h{n}.example.com"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": f"c{n}"}}],
        }
        for n in range(CLUSTER_COUNT)
    ]
    hcm = {"@type": xds.TYPE_URL_PREFIX + HCM, "stat_prefix": "x", "http_filters": [ROUTER]}
    hcm["route_config"] = {"name": "r", "virtual_hosts": hosts}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 9080}}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]}
    return build(xds.LISTENER, {"name": "l", "address": address, "filter_chains": [chain]})


class Lines:
    """The lines of a watch on everything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer  # keeps the connection open

    @classmethod
    async def open(cls, port: int) -> Lines:
        """Open the watch and read its `created` line."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        writer.write(request("/v3/watch", {"create_request": RANGE_BODY}))
        lines = cls(reader, writer)
        await lines.containing(b'"created"')
        return lines

    async def containing(self, text: bytes) -> None:
        """Wait for a line with this text."""
        async with asyncio.timeout(30):
            while text not in await self._reader.readuntil(b"\n"):
                pass

    async def event(self, port: int) -> None:
        """Wait for an event whose value has an endpoint on this port."""
        wanted = b'"port":%d,' % port
        async with asyncio.timeout(30):
            while True:
                line = (await self._reader.readuntil(b"\n")).lstrip()
                if not line.startswith(b'{"result"'):
                    continue
                for event in orjson.loads(line)["result"].get("events", ()):
                    if wanted in base64.b64decode(event["kv"].get("value", "")):
                        return


COMMAND = [sys.executable, "-m", "pipeline.cli"]


def start_up(folder: Path, peer: ADSPeer, port: int) -> list[Server]:
    """Everything in one process on the embedded log, as `meshferry up` runs it."""
    flags = ["--xds", peer.address, "--node-id", "bench", "--view", "bench", "--state", str(folder / "state")]
    return [Server([*COMMAND, "up", *flags, "--etcd-listen", f"127.0.0.1:{port}"], port, folder / "up.log")]


def start_roles(folder: Path, peer: ADSPeer, port: int, url: str) -> list[Server]:
    """Producer, translator and agent as processes of their own on Kafka."""
    settings = folder / "settings.yaml"
    settings.write_text(
        f"log: {{url: '{url}'}}\n"
        f"views: {{bench: {{source: {{xds: {{server: '{peer.address}', node_id: bench}}}}}}}}\n"
        f"seal: {{directory: '{folder}/keys'}}\n"
        f"agent: {{listen: '127.0.0.1:{port}', state: '{folder}/agent'}}\n"
    )
    arguments = ["--settings", str(settings)]
    subprocess.run([*COMMAND, "topics", "apply", *arguments], check=True, stdout=subprocess.DEVNULL)
    servers = [
        Server([*COMMAND, role, *arguments], None, folder / f"{role}.log") for role in ("producer", "translator")
    ]
    return [*servers, Server([*COMMAND, "agent", *arguments], port, folder / "agent.log")]


async def measure(start: Callable[[Path, ADSPeer, int], list[Server]], change_count: int) -> list[float]:
    """Delays in ms of that many endpoint changes, one after the other."""
    peer = ADSPeer()
    await peer.start()
    await peer.set(xds.CLUSTER, *clusters())
    await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, *endpoints(1000))
    await peer.set(xds.LISTENER, listener())
    servers: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        try:
            port = free_port()
            servers = await asyncio.to_thread(start, Path(name), peer, port)
            await first_answer(port, CLUSTER_COUNT * 2)
            return await delays_ms(peer, port, change_count)
        finally:
            for server in servers:
                server.stop()
            await peer.stop()


async def delays_ms(peer: ADSPeer, port: int, change_count: int) -> list[float]:
    """Push one change after the other and wait for each at a watcher."""
    lines = await Lines.open(port)
    delays = []
    for turn in range(change_count + SETTLE_COUNT):
        changed = endpoints(2000 + turn)
        started = time.perf_counter()
        await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, *changed)
        await lines.event(2000 + turn)
        if turn >= SETTLE_COUNT:
            delays.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.02)
    return delays


async def measure_etcd(change_count: int) -> list[float]:
    """Put -> watch line on Debian's etcd, in ms."""
    with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        etcd = Etcd(Path(name), Fill(1))
        await etcd.start()
        try:
            lines = await Lines.open(etcd.server.port)
            delays = []
            for turn in range(change_count):
                started = time.perf_counter()
                await etcd.change(0, turn + 1)
                await lines.containing(b'"events"')
                delays.append((time.perf_counter() - started) * 1000)
            return delays
        finally:
            await etcd.stop()


def figures(log: str, delays_ms: list[float], peer_ms: list[float]) -> list[Figure]:
    """Two lines for one log."""
    return [
        Figure(
            f"{log}: source change -> watch line, {name}",
            f"{percentile(delays_ms, share):.1f} ms",
            f"{percentile(peer_ms, share):.1f} ms",
            f"<= {budget:.0f} ms",
            percentile(delays_ms, share) <= budget,
        )
        for name, share, budget in (("p50", 0.5, BUDGET_P50_MS), ("p99", 0.99, BUDGET_P99_MS))
    ]


async def run(change_count: int, only: str) -> list[Figure]:
    """Measure the logs that were asked for."""
    peer_ms = await measure_etcd(change_count)
    found: list[Figure] = []
    if only != "kafka":
        found += figures("SQLite, one process", await measure(start_up, change_count), peer_ms)
    if only != "sqlite":
        with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
            broker = await asyncio.to_thread(find_broker, Path(name))
            try:
                start = partial(start_roles, url=f"kafka://{broker.bootstrap}")
                found += figures("Kafka, three processes", await measure(start, change_count), peer_ms)
            finally:
                await asyncio.to_thread(broker.close)
    return found


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--only", choices=("sqlite", "kafka"), default="")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print_figures("Latency beside a put into Debian's etcd", runner.run(run(arguments.changes, arguments.only)))


if __name__ == "__main__":
    main()
