"""The embedded log across processes, and what it says when its file is in trouble."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import sys
import threading
import time
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.log import BrokenTopicError, Ends, LogUnreachableError, NewRecord, TopicSpec, open_log
from pipeline.log.sqlite import SQLiteLog
from tests.pipeline.log.appender import TRANSACTION_SIZE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOPIC = "t"
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SQLiteLog]:
    async with SQLiteLog(tmp_path / "log.db") as opened:
        await opened.apply([TopicSpec(TOPIC, {"cleanup.policy": "compact"}), TopicSpec(f"{TOPIC}.out", {})])
        yield opened


@asynccontextmanager
async def appender(log: SQLiteLog, how: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run tests/pipeline/log/appender.py; killed at the end if it still runs."""
    arguments = ["-m", "tests.pipeline.log.appender", f"sqlite://{log.path}", TOPIC, how]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def values(log: SQLiteLog, topic: str = TOPIC) -> list[bytes | None]:
    return [record.value async for batch in log.read(topic, 0) for record in batch]


# Several processes


async def test_a_follower_sees_an_append_of_another_process_within_50_ms(log: SQLiteLog):
    medians_ms = []
    async with appender(log, "paced") as process, aclosing(log.follow(TOPIC, 0)) as batches:
        for _try in range(5):
            delays_ms = []
            for _append in range(15):
                process.stdin.write(b"\n")
                (record,) = await anext(batches)
                delays_ms.append((time.monotonic_ns() - int(record.value)) / 1e6)
            medians_ms.append(statistics.median(delays_ms))
            if medians_ms[-1] < 50:
                return
    pytest.fail(f"median delays in ms of all tries: {medians_ms}")


async def test_a_writer_that_is_killed_leaves_whole_transactions_only(log: SQLiteLog):
    moments = random.Random(7)
    for _kill in range(5):
        start = (await log.ends(TOPIC)).next
        async with appender(log, "storm") as process:
            async with aclosing(log.follow(TOPIC, start)) as batches:
                seen_count, wanted_count = 0, moments.randrange(1, 300)
                while seen_count < wanted_count:
                    seen_count += len(await anext(batches))
            process.kill()
            await process.wait()
        written = [record async for batch in log.read(TOPIC, start) for record in batch]
        assert len(written) % TRANSACTION_SIZE == 0
        for index, record in enumerate(written):
            assert record.offset == start + index
            assert (record.key, record.value) == (f"k{index % TRANSACTION_SIZE}", b"%d" % (index // TRANSACTION_SIZE))


async def test_a_worker_that_dies_in_its_step_has_committed_nothing(log: SQLiteLog):
    writer = await log.writer(TOPIC)
    await writer.append(TOPIC, [NewRecord("a", b"1"), NewRecord("b", b"2")])
    async with appender(log, "die") as process:
        assert await process.wait() == 9
    assert await values(log, f"{TOPIC}.out") == []
    worker = asyncio.create_task(
        log.transform(
            {TOPIC: f"{TOPIC}.out"}, TOPIC, lambda _, records: [NewRecord(r.key, r.value) for r in records]
        ).run()
    )
    async with aclosing(log.follow(f"{TOPIC}.out", 0)) as batches:
        assert [record.value for record in await anext(batches)] == [b"1", b"2"]
    worker.cancel()
    await asyncio.wait([worker])


async def test_an_open_of_many_at_once_makes_one_log(tmp_path: Path):
    logs = [SQLiteLog(tmp_path / "log.db") for _ in range(6)]
    await asyncio.gather(*(log.__aenter__() for log in logs))
    await logs[0].apply([TopicSpec(TOPIC, {})])
    for number, log in enumerate(logs):
        await (await log.writer(f"w{number}")).append(TOPIC, [NewRecord("k", b"%d" % number)])
    assert await values(logs[0]) == [b"%d" % number for number in range(6)]
    for log in logs:
        await log.__aexit__(None, None, None)


async def test_a_waiting_follower_ends_when_the_log_is_closed(tmp_path: Path):
    async with SQLiteLog(tmp_path / "log.db") as log:
        await log.apply([TopicSpec(TOPIC, {})])
        waiting = asyncio.ensure_future(anext(log.follow(TOPIC, 0)))
        await log.ends(TOPIC)  # one turn through the reading thread: the follower waits by now
    with pytest.raises(LogUnreachableError, match="closed"):
        await waiting


async def test_what_was_committed_is_there_after_opening_again(tmp_path: Path):
    path = tmp_path / "log.db"
    async with SQLiteLog(path) as log:
        await log.apply([TopicSpec(TOPIC, {"cleanup.policy": "compact"})])
        await (await log.writer("w")).append(TOPIC, [NewRecord("k", b"1"), NewRecord("k", b"2")])
        await log.compact(TOPIC)
    async with SQLiteLog(path) as log:
        assert await values(log) == [b"2"]
        assert await log.ends(TOPIC) == Ends(0, 2)


# Trouble with the file


async def test_a_full_disk_writes_nothing_and_says_so(log: SQLiteLog):
    writer = await log.writer(TOPIC)
    await writer.append(TOPIC, [NewRecord("a", b"1")])
    await log._writes.call(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone())
    with pytest.raises(LogUnreachableError, match=rf"{log.path}: the disk is full, nothing was written"):
        await writer.append(TOPIC, [NewRecord("b", b"2" * 100_000)])
    await log._writes.call(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    assert await writer.append(TOPIC, [NewRecord("c", b"3")]) == [1]
    assert await values(log) == [b"1", b"3"]


async def test_a_file_locked_for_too_long_is_unreachable(log: SQLiteLog, monkeypatch: pytest.MonkeyPatch):
    holder = sqlite3.connect(log.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await log._writes.call(lambda connection: connection.execute("PRAGMA busy_timeout = 10"))
    with pytest.raises(LogUnreachableError, match="locked by another process"):
        await log.writer(TOPIC)
    holder.execute("ROLLBACK")
    holder.close()
    await log.writer(TOPIC)


async def opening(path: Path) -> str:
    """Open what cannot be opened and give the error, which has to be one line that names the file."""
    with pytest.raises(BrokenTopicError, match=str(path)) as told:
        async with SQLiteLog(path):
            pass
    assert "\n" not in str(told.value)
    return str(told.value)


async def test_a_log_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "log.db"
    async with SQLiteLog(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    assert "a log of version 99, this meshferry reads version 1; use the release that wrote it" in await opening(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "log.db"
    path.write_text("routes:\n" * 1000)
    assert "not a meshferry log file" in await opening(path)
    assert path.read_text() == "routes:\n" * 1000


async def test_a_database_of_another_program_is_refused(tmp_path: Path):
    path = tmp_path / "log.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE topic (id INTEGER)")
    connection.close()
    assert "another program" in await opening(path)


async def test_a_damaged_log_is_refused(tmp_path: Path):
    path = tmp_path / "log.db"
    async with SQLiteLog(path) as log:
        await log.apply([TopicSpec(TOPIC, {})])
        await (await log.writer("w")).append(TOPIC, [NewRecord("k", b"1" * 9000)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xee" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(BrokenTopicError, match="the log file is damaged"):
        async with SQLiteLog(path) as log:
            await values(log)


async def test_a_missing_directory_is_named(tmp_path: Path):
    assert "does not exist; create it" in await opening(tmp_path / "missing" / "log.db")


async def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path):
    (tmp_path / "log.db").mkdir()
    assert "check owner and permissions" in await opening(tmp_path / "log.db")


# URLs


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/meshferry/log.db", "/var/lib/meshferry/log.db"),
        ("sqlite:////var/log.db", "//var/log.db"),
        ("sqlite:///a%20b/log%3F.db", "/a b/log?.db"),
    ],
)
def test_a_url_names_an_absolute_path(url: str, path: str):
    assert str(SQLiteLog.from_url(url).path) == path


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://log.db",
        "sqlite:log.db",
        "sqlite:///dir/",
        "sqlite:///a?b=c",
        "sqlite:///a#b",
    ],
)
def test_a_url_without_an_absolute_path_is_refused(url: str):
    with pytest.raises(ValueError, match=r"three slashes|takes no options"):
        open_log(url)


async def test_a_log_may_be_opened_again_and_shared_by_roles(tmp_path: Path):
    log = open_log(f"sqlite://{tmp_path}/log.db")
    for _ in range(2):
        async with log:
            async with log:
                await log.apply([TopicSpec(TOPIC, {})])
            assert await log.ends(TOPIC) == Ends(0, 0)


async def test_users_who_enter_and_leave_at_the_same_time_share_one_open_file(tmp_path: Path):
    log = SQLiteLog(tmp_path / "log.db")
    await log.__aenter__()
    await log.apply([TopicSpec(TOPIC, {})])

    async def use() -> int:
        async with log:
            return (await log.ends(TOPIC)).next

    for _ in range(20):
        left, *nexts = await asyncio.gather(log.__aexit__(None, None, None), *(use() for _ in range(5)))
        assert (left, nexts) == (None, [0] * 5)
        await asyncio.gather(log.__aenter__(), use())
    await log.__aexit__(None, None, None)
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("meshferry-log")]:
        thread.join(5)
        assert not thread.is_alive()  # one that was opened twice would never end
