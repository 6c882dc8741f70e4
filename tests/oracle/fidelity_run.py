"""`make fidelity SEEDS=N`: N random configurations, spread evenly over the levels, against the real Envoy.

Prints what accounts for differences, and fails on the others.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.oracle.fidelity import Report, run

if TYPE_CHECKING:
    from collections.abc import Iterator

LEVELS = (1, 2, 3, 4)
DEFAULT_SEED_COUNT = 5000
BATCH = 25
"""Cases that one Envoy serves: its start is paid once for them, and the bar still moves."""
SHOWN = 20


def batches(seed_count: int, levels: tuple[int, ...], first: int = 0) -> Iterator[list[tuple[int, int]]]:
    """Spread seeds evenly over levels; of a remainder the first levels get one more each.

    Args:
        seed_count: of all levels together.
        levels: of difficulty.
        first: seed of each level.

    Yields:
        At most BATCH cases of one level, as (level, seed).
    """
    for index, level in enumerate(levels):
        end = first + seed_count // len(levels) + (index < seed_count % len(levels))
        for start in range(first, end, BATCH):
            yield [(level, seed) for seed in range(start, min(start + BATCH, end))]


def run_batch(cases: list[tuple[int, int]]) -> Report:
    """Compare cases in an Envoy of their own."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(run(cases, Path(directory)))


def run_all(work: list[list[tuple[int, int]]], jobs: int) -> dict[int, Report]:
    """Run batches in processes, with a progress bar on stderr; give what was found by level."""
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    found: dict[int, Report] = defaultdict(Report)
    with (
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool,
    ):
        bar = progress.add_task("", total=sum(map(len, work)))
        running = {pool.submit(run_batch, cases): cases for cases in work}
        for done in as_completed(running):
            cases = running[done]
            found[cases[0][0]].merge(done.result())
            progress.advance(bar, len(cases))
    return found


def print_reports(console: Console, reports: dict[int, Report]) -> None:
    """Print a row per level, what accounts for differences, and the defects."""
    head = ("level", "seeds", "requests", "equal", "without filters", "with filters", "accounted for", "defects")
    table = Table(*head, box=None)
    for level, report in sorted(reports.items()):
        accounted = report.request_count - report.equal_count - len(report.defects)
        shares = [f"{s:.1%}" for s in (report.equal_share, report.plain_equal_share, report.filtered_equal_share)]
        counts = (str(level), str(report.case_count), f"{report.request_count:,}")
        table.add_row(*counts, *shares, f"{accounted:,}", str(len(report.defects)))
    console.print(table)
    for level, report in sorted(reports.items()):
        by_count = sorted(report.accounts.items(), key=lambda item: (-item[1], item[0]))
        line = ", ".join(f"{name} {count}" for name, count in by_count) or "nothing"
        console.print(f"level {level}, accounted for by: {line}", markup=False, highlight=False)
    for _, report in sorted(reports.items()):
        for defect in sorted(report.defects, key=lambda one: one.scene.seed)[:SHOWN]:
            console.print(str(defect), markup=False, highlight=False, soft_wrap=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="fidelity_run", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=DEFAULT_SEED_COUNT, help="of all levels together")
    parser.add_argument("level", type=int, nargs="?", choices=LEVELS, help="only this one")
    parser.add_argument("first", type=int, nargs="?", default=0, help="seed of each level")
    jobs = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=jobs, help="processes; as many as there are cores if not told")
    return parser.parse_args()


def main() -> int:
    """Run and print; give the exit code."""
    told = arguments()
    levels = (told.level,) if told.level else LEVELS
    console = Console(width=140)
    spread = f"{told.seeds:,} seeds in all, spread evenly over level{'s' * (len(levels) > 1)}"
    console.print(spread, ", ".join(map(str, levels)), highlight=False)
    reports = run_all(list(batches(told.seeds, levels, told.first)), told.jobs)
    print_reports(console, reports)
    return 1 if any(report.defects for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
