from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pipeline.log import NewRecord, TopicSpec, open_log
from pipeline.log.upkeep import keep_compact

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_superseded_records_go_by_themselves(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    log = open_log(f"sqlite://{tmp_path}/log.db")
    async with log:
        await log.apply([TopicSpec("t", {"cleanup.policy": "compact"})])
        writer = await log.writer("w")
        await writer.append("t", [NewRecord("a", b"1"), NewRecord("b", b"1"), NewRecord("a", b"2")])
        with caplog.at_level(logging.WARNING):
            upkeep = asyncio.create_task(keep_compact(log, ["missing", "t"], interval_s=0.01))
            async with asyncio.timeout(10):
                while [record.key async for batch in log.read("t", 0) for record in batch] != ["b", "a"]:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0)
        upkeep.cancel()
        await asyncio.wait([upkeep])
    assert "missing: not compacted" in caplog.text
