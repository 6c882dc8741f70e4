from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from agent import follower as follower_module
from agent.follower import Follower, Patience
from agent.pace import RouterPace
from agent.replica import Replica
from agent.store.bundle import identity
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, genesis
from tests.agent.test_state_directory import opened
from tests.conformance.running_agent import BUNDLES, DEADLINE_S, Shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from agent.state_directory import StateDirectory
    from agent.store.delta import Change


class Bed:
    """A follower of the shop; `until` waits for what its replica must come to."""

    def __init__(self, directory: StateDirectory, shop: Shop, max_rebuilds_per_s: float = 0) -> None:
        self.shop = shop
        self.publications: list[int] = []
        self._moved = asyncio.Event()
        self.replica = Replica(directory.load(identity), directory, self._publish)
        self.replica.open_journal()
        self.store = self.replica.store
        pace = RouterPace(max_rebuilds_per_s, "/apisix")
        patience = Patience(quiet_s=0.02, max_s=0.3)
        self.follower = Follower(shop.log, BUNDLES, self.replica, self._moved.set, patience, pace=pace)

    def _publish(self, changes: Sequence[Change]) -> None:
        if changes:
            self.publications.append(len(changes))
        self._moved.set()

    def routes(self) -> dict[str, int]:
        """The routes and the offsets of their mod_revisions."""
        return {
            key.decode().rpartition("/")[2]: kv.mod_revision - CREATED_MS
            for key, kv in self.store.image.objects.items()
        }

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_true():
                self._moved.clear()
                await self._moved.wait()


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "BACKOFF_BASE_S", 0.01)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[StateDirectory]:
    with opened(tmp_path) as found:
        yield found


@pytest.fixture
async def follow(directory: StateDirectory) -> AsyncIterator[Callable[[Shop], Bed]]:
    tasks: list[asyncio.Task[None]] = []

    def start(shop: Shop, max_rebuilds_per_s: float = 0) -> Bed:
        bed = Bed(directory, shop, max_rebuilds_per_s)
        tasks.append(asyncio.create_task(bed.follower.run()))
        return bed

    yield start
    await stop(*tasks)


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_reads_all_there_is_and_then_follows(follow, shop: Shop):
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    assert bed.routes() == {"1": 1}
    await shop.route("2")
    await bed.until(lambda: "2" in bed.routes())
    assert bed.follower.target_offset == 2


async def test_a_missing_topic_is_waited_for(follow):
    shop = Shop()
    bed = follow(shop)
    await shop.open()
    await shop.route("1")
    await bed.until(lambda: bed.routes() == {"1": 1})


async def test_an_empty_topic_is_no_state_until_its_first_unit(follow):
    shop = Shop()
    await shop.open()
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    assert not bed.store.image.is_ready
    await shop.route("1")
    await bed.until(lambda: bed.store.image.is_ready)


async def test_a_topic_without_any_record_is_waited_for_without_alarm(follow, caplog: pytest.LogCaptureFixture):
    shop = Shop()
    shop.log.create_again(BUNDLES)
    with caplog.at_level(logging.INFO):
        bed = follow(shop)
        while "empty so far" not in caplog.text:  # noqa: ASYNC110 - a log line has no event
            await asyncio.sleep(0)
        await shop.open()
        await shop.route("1")
        await bed.until(lambda: bed.follower.is_live and bed.routes() == {"1": 1})
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_topic_without_genesis_is_waited_for(follow, caplog: pytest.LogCaptureFixture):
    shop = Shop()
    await shop.put("a", {"/routes/1": b"{}"})
    bed = follow(shop)
    await bed.until(lambda: "saw no readable @genesis" in caplog.text)
    assert not bed.store.is_reading
    shop.log.create_again(BUNDLES)
    await shop.log.put(BUNDLES, GENESIS_KEY, b"unreadable")
    await shop.open()
    await shop.route("1")
    await bed.until(lambda: bed.store.image.is_ready)


async def test_it_serves_on_while_the_log_is_away_and_goes_on_after(follow, shop: Shop):
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    await shop.log.cut_off()
    await bed.until(lambda: not bed.follower.is_live)
    assert bed.routes() == {"1": 1}
    shop.log.is_reachable = True
    await shop.route("2")
    await bed.until(lambda: bed.routes() == {"1": 1, "2": 2})


async def test_it_goes_on_after_a_restart_without_reading_again(directory: StateDirectory, shop: Shop):
    bed = Bed(directory, shop)
    task = asyncio.create_task(bed.follower.run())
    await bed.until(lambda: bed.follower.is_live)
    await stop(task)
    await shop.route("2")
    again = Bed(directory, shop)
    began: list[int] = []
    again.replica.begin_snapshot = lambda: began.append(1)  # type: ignore[method-assign]  # must not be called
    task = asyncio.create_task(again.follower.run())
    await again.until(lambda: "2" in again.routes())
    await stop(task)
    assert began == []
    assert again.routes() == {"1": 1, "2": 2}


async def test_records_the_log_no_longer_has_mean_a_full_read(follow, shop: Shop):
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    await shop.log.cut_off()
    await bed.until(lambda: not bed.follower.is_live)
    shop.log.is_reachable = True
    await shop.route("gone")
    await shop.remove("http/gone")
    await shop.route("2")
    shop.log.topics[BUNDLES] = [shop.log.topics[BUNDLES][0]._replace(offset=3), shop.log.topics[BUNDLES][-1]]
    await bed.until(lambda: bed.follower.is_live and "2" in bed.routes())
    assert bed.routes() == {"2": 4}


async def test_a_topic_created_again_is_read_in_full_once_it_is_quiet(follow, shop: Shop):
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    await shop.log.cut_off()
    await bed.until(lambda: not bed.follower.is_live)
    shop.log.create_again(BUNDLES)
    shop.log.is_reachable = True
    await shop.open(CREATED_MS + 1000, life="life-2")
    await bed.until(lambda: bed.store.is_reading)
    assert bed.routes() == {"1": 1}
    await shop.route("2")
    await bed.until(lambda: bed.follower.is_live)
    assert bed.routes() == {"2": 1001}


async def test_a_topic_created_again_that_never_rests_is_taken_after_a_while(follow, shop: Shop):
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    await shop.log.cut_off()
    await bed.until(lambda: not bed.follower.is_live)
    shop.log.create_again(BUNDLES)
    shop.log.is_reachable = True
    await shop.open(life="life-2")

    async def never_rest() -> None:
        while True:
            await shop.route("2")
            await asyncio.sleep(0.005)

    task = asyncio.create_task(never_rest())
    await bed.until(lambda: bed.routes().keys() == {"2"})
    await stop(task)


async def test_a_genesis_in_the_middle_means_a_full_read(follow, shop: Shop):
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    shop.log.create_again(BUNDLES)
    shop.log._next[BUNDLES] = 2
    await shop.log.put(BUNDLES, GENESIS_KEY, genesis(CREATED_MS + 50, "life-2"))
    await shop.route("2")
    await bed.until(lambda: bed.follower.is_live and "2" in bed.routes())
    assert bed.routes() == {"2": 53}


async def test_what_was_rejected_is_read_again_at_the_next_start(directory: StateDirectory, shop: Shop):
    await shop.log.put(BUNDLES, "http/2", b"of a newer build")
    bed = Bed(directory, shop)
    task = asyncio.create_task(bed.follower.run())
    await bed.until(lambda: bed.follower.is_live)
    assert bed.store.image.rejected.keys() == {"http/2"}
    await stop(task)
    records = shop.log.topics[BUNDLES]
    good = Shop()
    await good.route("2")
    records[-1] = records[-1]._replace(value=good.log.topics[BUNDLES][0].value.replace(b"http/1", b"http/2"))
    again = Bed(directory, shop)
    task = asyncio.create_task(again.follower.run())
    await again.until(lambda: again.follower.is_live)
    assert again.routes() == {"1": 1, "2": 3}
    assert again.store.image.rejected == {}
    await stop(task)


async def test_a_large_batch_is_replayed_over_several_turns(follow):
    shop = Shop()
    await shop.open()
    for number in range(600):
        await shop.route(f"{number}")
    bed = follow(shop)
    await bed.until(lambda: bed.follower.is_live)
    assert len(bed.routes()) == 600
    for number in range(600, 1200):
        await shop.route(f"{number}")
    await bed.until(lambda: len(bed.routes()) == 1200)


async def test_changes_of_routes_are_joined_to_the_pace_of_the_router(follow, shop: Shop):
    bed = follow(shop, 5)
    await bed.until(lambda: bed.follower.is_live)
    before = len(bed.publications)
    wanted = {f"r{number}" for number in range(20)}
    for name in sorted(wanted):
        await shop.route(name)
        await asyncio.sleep(0)
    await bed.until(lambda: wanted <= bed.routes().keys())
    assert sum(bed.publications[before:]) == 20
    assert len(bed.publications[before:]) <= 3


async def test_endpoints_do_not_wait_for_the_router(follow, shop: Shop):
    bed = follow(shop, 0.001)
    await bed.until(lambda: bed.follower.is_live)
    before = len(bed.publications)
    for number in range(1, 4):
        await shop.put("c", {"/upstreams/c": b'{"n":%d}' % number})
        await bed.until(lambda number=number: len(bed.publications) == before + number)


async def test_records_that_waited_for_the_router_are_read_again_when_the_log_fails(follow, shop: Shop):
    bed = follow(shop, 20)
    await bed.until(lambda: bed.follower.is_live)
    await shop.route("second")
    await bed.until(lambda: "second" in bed.routes())
    await shop.route("third")
    await asyncio.sleep(0)
    await shop.log.cut_off()
    await bed.until(lambda: not bed.follower.is_live)
    shop.log.is_reachable = True
    await bed.until(lambda: "third" in bed.routes())
