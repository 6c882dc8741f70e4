from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from pipeline.log import BrokenTopicError, Log, TopicSpec, open_log
from tests.pipeline.log.conftest import candidate_process, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    async with open_log(f"sqlite://{tmp_path}/log.db") as opened:
        await opened.apply([TopicSpec("a/b", {})])
        yield opened


async def test_a_leader_that_is_merely_stopped_keeps_the_lead(log: Log, tmp_path: Path):
    async with candidate_process(f"sqlite://{tmp_path}/log.db", "a/b") as process:
        assert await said(process) == "leads"
        process.send_signal(signal.SIGSTOP)
        waiting = asyncio.create_task(log.lead("a/b", "a/b").take())
        await asyncio.wait({waiting}, timeout=1)
        assert not waiting.done()
        process.kill()
        await asyncio.wait_for(waiting, 10)


async def test_the_file_names_who_leads(log: Log, tmp_path: Path):
    lead = log.lead("a/b", "group")
    await lead.take()
    file = tmp_path / "log.db-lead-group-a%2Fb"
    assert file.read_text().split()[0] == str(os.getpid())
    await lead.close()
    assert file.exists()


async def test_a_file_that_was_removed_is_no_lead(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between opening and locking; whoever comes next would make another file and lock that."""
    first, second = log.lead("a/b", "group"), log.lead("a/b", "group")
    stat, removed = os.stat, []

    def removing_once(path: Path) -> os.stat_result:
        if not removed:
            removed.append(path.unlink())
        return stat(path)

    monkeypatch.setattr("pipeline.log.sqlite_lead.os.stat", removing_once)
    await asyncio.wait_for(first.take(), 10)
    assert removed
    waiting = asyncio.create_task(second.take())
    await asyncio.wait({waiting}, timeout=0.5)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_a_file_that_cannot_be_locked_is_named(log: Log, tmp_path: Path):
    (tmp_path / "log.db-lead-group-a%2Fb").mkdir()
    with pytest.raises(BrokenTopicError, match=r"log\.db-lead-group-a%2Fb: cannot be locked: Is a directory; check"):
        await log.lead("a/b", "group").take()
