"""The translation against the real Envoy: what differs is diagnosed or documented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.oracle.fidelity import LIMITS, translated
from tests.oracle.fidelity import run as run_cases
from tests.oracle.generate import generate

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = {1: 10, 2: 16, 3: 14, 4: 6}
FEWEST_EQUAL = {1: 1.0, 2: 0.8, 3: 0.8, 4: 0.7}
"""Share of requests with the very same outcome: were everything diagnosed, nothing would be compared."""


@pytest.mark.parametrize("level", SEEDS)
async def test_no_difference_is_silent(level: int, tmp_path: Path):
    report = await run_cases([(level, seed) for seed in range(SEEDS[level])], tmp_path)
    assert not report.defects, "\n".join(str(defect) for defect in report.defects[:10])
    assert report.equal_count >= FEWEST_EQUAL[level] * report.request_count


async def test_a_broken_translation_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The comparison sees a route that went to another cluster."""
    scene = generate(1, 0, [1, 2])
    assert translated(scene, []).node
    monkeypatch.setattr("tests.oracle.fidelity.translated", _with_swapped_clusters)
    report = await run_cases([(1, 0)], tmp_path)
    assert report.defects
    assert all("cluster" in defect.aspects for defect in report.defects)


def _with_swapped_clusters(scene, clusters):
    swapped = [{**one, "name": other["name"]} for one, other in zip(clusters, clusters[1:] + clusters[:1], strict=True)]
    for one in swapped:
        one["load_assignment"] = {**one["load_assignment"], "cluster_name": one["name"]}
    return translated(scene, swapped)


@pytest.mark.parametrize("level", SEEDS)
def test_a_seed_is_a_case(level: int):
    assert generate(level, 7, [1, 2]) == generate(level, 7, [1, 2])
    assert generate(level, 7, [1, 2]) != generate(level, 8, [1, 2])


def test_every_limit_names_its_section():
    assert all(limit.section and limit.about for limit in LIMITS)
