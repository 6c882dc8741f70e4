"""`make fidelity SEEDS=N`: compare N seeds of every level, print what accounts for differences, fail on the others."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.oracle.fidelity import Report, run

LEVELS = (1, 2, 3, 4)
BATCH = 25
SHOWN = 20


def main(seeds: int, levels: tuple[int, ...] = LEVELS, first: int = 0) -> int:
    """Run and print; give the exit code."""
    is_good = True
    for level in levels:
        total = Report()
        for start in range(first, first + seeds, BATCH):
            cases = [(level, seed) for seed in range(start, min(start + BATCH, first + seeds))]
            with tempfile.TemporaryDirectory() as directory:
                found = asyncio.run(run(cases, Path(directory)))
            total.request_count += found.request_count
            total.equal_count += found.equal_count
            total.defects += found.defects
            for account, count in found.accounts.items():
                total.accounts[account] = total.accounts.get(account, 0) + count
        accounts = ", ".join(f"{name} {count}" for name, count in sorted(total.accounts.items()))
        sys.stdout.write(
            f"level {level}: {seeds} seeds, {total.request_count} requests, {total.equal_count} equal, "
            f"{len(total.defects)} defects; accounted for: {accounts or 'nothing'}\n"
        )
        for defect in total.defects[:SHOWN]:
            sys.stdout.write(f"{defect}\n")
        is_good = is_good and not total.defects
    return 0 if is_good else 1


if __name__ == "__main__":
    _seeds, *_rest = (int(argument) for argument in sys.argv[1:])
    sys.exit(main(_seeds, (_rest[0],) if _rest else LEVELS, _rest[1] if len(_rest) > 1 else 0))
