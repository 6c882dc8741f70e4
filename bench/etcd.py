"""The agent beside etcd in one run: full Range, watch fan-out to 1,000 HTTP watchers, gRPC, cold starts, memory.

The peers are Debian's etcd (package etcd-server) and, where Go is present, the newest one, built from its module
(bench/etcd_server/go.mod). All serve the same keys to the same clients on the same machine.
`python -m bench.etcd [--routes N] [--watchers N] [--no-start]`.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import uvloop

from bench.etcd_grpc import STREAM_COUNT, StreamFigures, UnaryFigures, stream_fan_out, unary_calls
from bench.etcd_load import RangeFigures, WatchFigures, full_ranges, watch_fan_out
from bench.etcd_peer import Agent, Etcd, Fill, debian_etcd, module_etcd, version_of
from bench.etcd_start import COLD_COUNT, agent_cold_starts, cold_start_s, rss_bytes, running
from bench.table import Figure, print_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.etcd_peer import Peer

    Make = Callable[[Path, Fill], Peer]

MIN_RANGE_RATIO = 50
MAX_DELIVERY_SHARE = 1 / 8
MAX_WATCHER_SHARE = 1 / 20
MAX_LAST_MS = 30.0
MIN_GRPC_SHARE = 1 / 2
MAX_LOG_S, MAX_SNAPSHOT_S = 5.0, 2.0
MAX_RSS_MIB, MAX_IDLE_MIB = 120, 60
MIB = 2**20


def peers() -> dict[str, Make]:
    """Name the etcds there are."""
    programs = [program for program in (debian_etcd(), module_etcd()) if program is not None]
    return {f"etcd {version_of(program)}": partial(Etcd, program=program) for program in programs}


async def measure_loads(etcds: Mapping[str, Make], route_count: int, watcher_count: int) -> list[Figure]:
    """Ranges and watches: all servers at once, loaded one after the other."""
    async with AsyncExitStack() as stack:
        fill = Fill(route_count)
        servers = [await stack.enter_async_context(running(make, fill)) for make in (Agent, *etcds.values())]
        ranges = await full_ranges([peer.server for peer in servers])
        watches = [await watch_fan_out(peer, watcher_count) for peer in servers]
        calls = await unary_calls([peer.server for peer in servers])
        streams = [await stream_fan_out(peer) for peer in servers]
    found = []
    for name, peer in zip(etcds, ranges[1:], strict=True):
        found += range_figures(f"full Range, {route_count} routes, {name}", ranges[0], peer)
    for name, watch in zip(etcds, watches[1:], strict=True):
        found += watch_figures(f"{watcher_count} HTTP watchers, {name}", watches[0], watch)
    for name, call, stream in zip(etcds, calls[1:], streams[1:], strict=True):
        found += grpc_figures(name, (calls[0], streams[0]), (call, stream))
    return found


def grpc_figures(
    name: str, ours: tuple[UnaryFigures, StreamFigures], peer: tuple[UnaryFigures, StreamFigures]
) -> list[Figure]:
    """Three lines, beside one peer; in ours the last one has the poll of the log's file in it, 12 ms at most."""
    (call, stream), (peer_call, peer_stream) = ours, peer
    unary, watch = call.rate / peer_call.rate, peer_stream.cpu_s / stream.cpu_s
    return [
        Figure(
            f"gRPC, {name}: Range of one key",
            f"{call.rate:,.0f}/s",
            f"{peer_call.rate:,.0f}/s",
            f">= 1/2 ({unary:.1f} x)",
            unary >= MIN_GRPC_SHARE,
        ),
        Figure(
            f"  watch, {STREAM_COUNT} connections: CPU per delivery",
            f"{stream.cpu_s * 1e6:.0f} us",
            f"{peer_stream.cpu_s * 1e6:.0f} us",
            f"speed >= 1/2 ({watch:.1f} x)",
            watch >= MIN_GRPC_SHARE,
        ),
        Figure(
            "  change -> last stream, p50 p99",
            f"{stream.last_p50_ms:.1f} {stream.last_p99_ms:.1f} ms",
            f"{peer_stream.last_p50_ms:.1f} {peer_stream.last_p99_ms:.1f} ms",
            "",
            None,
        ),
    ]


def range_figures(what: str, ours: RangeFigures, peer: RangeFigures) -> list[Figure]:
    """Two lines, beside one peer."""
    rate, cpu = ours.rate / peer.rate, peer.cpu_s / ours.cpu_s
    return [
        Figure(
            what,
            f"{ours.rate:,.0f}/s",
            f"{peer.rate:,.0f}/s",
            f">= {MIN_RANGE_RATIO} x ({rate:.0f} x)",
            rate >= MIN_RANGE_RATIO,
        ),
        Figure(
            "  server CPU for one",
            f"{ours.cpu_s * 1e6:,.0f} us",
            f"{peer.cpu_s * 1e6:,.0f} us",
            f">= {MIN_RANGE_RATIO} x ({cpu:.0f} x)",
            cpu >= MIN_RANGE_RATIO,
        ),
    ]


def watch_figures(what: str, ours: WatchFigures, peer: WatchFigures) -> list[Figure]:
    """Three lines, beside one peer."""
    return [
        Figure(
            f"{what}: CPU per delivery",
            f"{ours.cpu_s * 1e6:.1f} us",
            f"{peer.cpu_s * 1e6:.1f} us",
            f"<= 1/8 (1/{peer.cpu_s / ours.cpu_s:.0f})",
            ours.cpu_s <= peer.cpu_s * MAX_DELIVERY_SHARE,
        ),
        Figure(
            "  memory per watcher",
            f"{ours.bytes / 1024:.1f} KiB",
            f"{peer.bytes / 1024:.1f} KiB",
            f"<= 1/20 (1/{peer.bytes / max(ours.bytes, 1):.0f})",
            ours.bytes <= peer.bytes * MAX_WATCHER_SHARE,
        ),
        Figure(
            "  change -> last watcher, p50 p99",
            f"{ours.last_p50_ms:.1f} {ours.last_p99_ms:.1f} ms",
            f"{peer.last_p50_ms:.1f} {peer.last_p99_ms:.1f} ms",
            f"p99 <= {MAX_LAST_MS:g} ms",
            ours.last_p99_ms <= MAX_LAST_MS,
        ),
    ]


async def measure_starts(etcds: Mapping[str, Make]) -> list[Figure]:
    """Cold starts and sizes, one server at a time."""
    ours = await agent_cold_starts()
    theirs = " ".join([f"{await cold_start_s(make):.2f} s" for make in etcds.values()])
    big, small = Fill(10_000, 1024), Fill(1)
    rss = [await rss_bytes(make, big) / MIB for make in (Agent, *etcds.values())]
    idle = [await rss_bytes(make, small) / MIB for make in (Agent, *etcds.values())]
    what = f"cold start, {COLD_COUNT:,} objects, from"
    return [
        Figure(f"{what} the log", f"{ours.log_s:.2f} s", "", f"<= {MAX_LOG_S:g} s", ours.log_s <= MAX_LOG_S),
        Figure(
            f"{what} the snapshot",
            f"{ours.snapshot_s:.2f} s",
            theirs,
            f"<= {MAX_SNAPSHOT_S:g} s",
            ours.snapshot_s <= MAX_SNAPSHOT_S,
        ),
        Figure(f"{what} the journal (killed)", f"{ours.journal_s:.2f} s", "", "", None),
        size_figure("RSS, 10,000 objects of 1 KB, parent included", rss, MAX_RSS_MIB),
        size_figure("RSS, idle, parent included", idle, MAX_IDLE_MIB),
    ]


def size_figure(what: str, sizes_mib: list[float], budget_mib: int) -> Figure:
    """One line: ours first, then all peers in one column."""
    theirs = " ".join(f"{size:.0f} MiB" for size in sizes_mib[1:])
    return Figure(what, f"{sizes_mib[0]:.0f} MiB", theirs, f"<= {budget_mib} MiB", sizes_mib[0] <= budget_mib)


async def measure(route_count: int, watcher_count: int, *, has_starts: bool) -> list[Figure]:
    """Run everything."""
    etcds = peers()
    found = await measure_loads(etcds, route_count, watcher_count)
    return found + (await measure_starts(etcds) if has_starts else [])


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--no-start", action="store_true", help="leave cold starts and sizes out")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measure(arguments.routes, arguments.watchers, has_starts=not arguments.no_start))
    print_figures("etcd API beside etcd", figures)


if __name__ == "__main__":
    main()
