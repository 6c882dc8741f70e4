from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent.torture.chaos import WEIGHTS, Size, run

if TYPE_CHECKING:
    from pathlib import Path

SEED = 1


async def test_watchers_lose_nothing_while_the_agent_is_killed_again_and_again(tmp_path: Path):
    """`make chaos` does this with 50 watchers, 5,000 changes and 50 faults."""
    report = await run(tmp_path, SEED, Size(watchers=8, changes=1000, faults=6))
    assert report.faults.total() == 6
    assert report.watches > 8


@pytest.mark.kafka
async def test_watchers_lose_nothing_while_the_broker_goes_away_too(tmp_path: Path, kafka):
    report = await run(tmp_path, SEED, Size(watchers=8, changes=500, faults=len(WEIGHTS)), kafka)
    assert report.faults == dict.fromkeys(WEIGHTS, 1)
