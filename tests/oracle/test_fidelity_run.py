"""How the seeds of `make fidelity` are spread."""

from __future__ import annotations

import pytest

from tests.oracle.fidelity_run import BATCH, LEVELS, batches


@pytest.mark.parametrize("seed_count", [0, 1, 7, 200, 5000])
def test_seeds_are_the_total_of_all_levels(seed_count: int):
    cases = [case for batch in batches(seed_count, LEVELS) for case in batch]
    assert len(cases) == len(set(cases)) == seed_count
    counts = [sum(level == one for one, _ in cases) for level in LEVELS]
    assert max(counts) - min(counts) <= 1


def test_a_batch_is_of_one_level_and_no_larger_than_an_envoy_serves():
    for batch in batches(5000, LEVELS):
        assert len(batch) <= BATCH
        assert len({level for level, _ in batch}) == 1


def test_seeds_begin_where_they_are_told_to():
    assert list(batches(2, (4,), 91)) == [[(4, 91), (4, 92)]]
