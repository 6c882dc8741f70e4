from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agent.torture.soak import run

if TYPE_CHECKING:
    from pathlib import Path


async def test_idle_watches_are_kept_and_cost_next_to_nothing(tmp_path: Path):
    """`make soak` is this with 10,000 watches for five minutes."""
    report = await run(tmp_path, watcher_count=500, seconds=5.0, heartbeat_s=1.5)
    assert report.verdict() == []
