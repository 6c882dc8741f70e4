"""The same unit gives the same bytes, whatever the process, its hash seed and the order of maps (law 2)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from schemas.records import UnitKind
from tests.golden.case import ROOT, case_paths

SEEDS = ("0", "1", "42")


@pytest.fixture(scope="module")
def printed() -> list[list[str]]:
    """What processes with different hash seeds and orders of maps say of all golden inputs, in lines."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.translators.golden_digest", seed],
            cwd=ROOT.parents[1],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in SEEDS
    ]
    outputs = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(SEEDS)
    return [output.splitlines() for output in outputs]


def test_processes_give_the_same_bytes_whatever_their_hash_seed_and_the_order_of_maps(printed: list[list[str]]):
    first, *others = printed
    for other in others:
        assert [line for line in first if line not in set(other)] == []
        assert len(other) == len(first)


def test_units_of_every_kind_and_of_every_case_are_compared(printed: list[list[str]]):
    fields = [line.split(" ", 1) for line in printed[0]]
    assert {key.partition("/")[0].partition(" ")[0] for _, key in fields} == set(UnitKind)
    assert {path for path, _ in fields} == {str(path.relative_to(ROOT)) for path in case_paths()}
