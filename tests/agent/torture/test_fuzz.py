from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agent.torture.fuzz import run

if TYPE_CHECKING:
    from pathlib import Path


async def test_hostile_requests_are_answered_as_documented(tmp_path: Path):
    """Every field of every message, and more other cases; `make fuzz` sends 100,000."""
    report = await run(tmp_path, seed=1, count=8000)
    assert report.verdict() == []
