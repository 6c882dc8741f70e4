"""Law 5 and rules 10 and 11: what happens to revisions when something is lost, made again or moved."""

from __future__ import annotations

import base64
import shutil
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pipeline.log.contract import NewRecord, TopicSpec
from pipeline.log.url import open_log
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis
from tests.agent.test_server import process
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import BUNDLES, STATUS, Shop, running_agent
from tests.conformance.validators import Position

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.watch_client import Client


class Kept(NamedTuple):
    """What a key's revisions are."""

    create_revision: int
    mod_revision: int
    version: int


def kept(found: dict[str, Any]) -> dict[str, Kept]:
    return {
        base64.b64decode(kv["key"]).decode(): Kept(
            int(kv["create_revision"]), int(kv["mod_revision"]), int(kv["version"])
        )
        for kv in found["kvs"]
        if kv["mod_revision"] != "1"
    }


def values(found: dict[str, Any]) -> dict[str, str]:
    return {kv["key"]: kv["value"] for kv in found["kvs"]}


async def ranged(client: Client, shop: Shop, directory: Path) -> dict[str, Any]:
    """What an agent on a directory serves once it has read the log."""
    async with running_agent(shop.log, directory) as port:
        await until_ready(client, port)
        return await client.range(port)


async def lived(client: Client, shop: Shop, directory: Path) -> dict[str, Any]:
    """What an agent serves that has followed a life: unchanged rewrites, shared objects, deletes, comings again."""
    async with running_agent(shop.log, directory) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        await shop.put("a", {"/routes/a": b"{}", "/upstreams/s": b'{"v":1}'})
        await shop.put("b", {"/upstreams/s": b'{"v":1}'})
        await shop.put("a", {"/routes/a": b"{}", "/upstreams/s": b'{"v":1}', "/routes/x": b"{}"})
        await shop.put("c", {"/routes/c": b"{}"})
        await shop.remove("c")
        await shop.put("c", {"/routes/c": b"{}"})
        await shop.route("1", uri="/changed")
        await shop.route("1", uri="/changed")
        await shop.put("b", {})
        await shop.put("last", {"/routes/last": b"{}"})
        while not any(event.key == b"/apisix/routes/last" for event in (await watch.line()).events):
            pass
        return await client.range(port)


async def test_must_10_and_11_a_wiped_state_directory_gives_every_key_its_revisions_again(
    client: Client, shop: Shop, tmp_path: Path
):
    before = await lived(client, shop, tmp_path / "state")
    shutil.rmtree(tmp_path / "state")
    after = await ranged(client, shop, tmp_path / "state")
    assert after["kvs"] == before["kvs"]
    assert after["header"]["revision"] == before["header"]["revision"]


async def test_must_10_a_wiped_state_directory_and_a_compacted_topic_never_take_a_revision_back(
    client: Client, shop: Shop, tmp_path: Path
):
    """What compaction took away nobody can know: such a key has the revision of the oldest record that is left."""
    before = await lived(client, shop, tmp_path / "state")
    shop.log.compact(BUNDLES)
    shutil.rmtree(tmp_path / "state")
    after = await ranged(client, shop, tmp_path / "state")
    assert values(after) == values(before)
    assert after["header"]["revision"] == before["header"]["revision"]
    old, new = kept(before), kept(after)
    later = {key for key in old if new[key] != old[key]}
    assert later == {"/apisix/routes/1", "/apisix/routes/a", "/apisix/upstreams/s"}
    for key in old:
        assert old[key].mod_revision <= new[key].mod_revision <= int(after["header"]["revision"])
    assert old["/apisix/routes/x"] == new["/apisix/routes/x"]


async def test_must_11_an_agent_with_its_state_keeps_every_revision_through_compaction(
    client: Client, shop: Shop, tmp_path: Path
):
    before = await lived(client, shop, tmp_path / "state")
    shop.log.compact(BUNDLES)
    assert await ranged(client, shop, tmp_path / "state") == before


async def test_must_10_and_11_killed_agents_go_on_where_they_were(client: Client, tmp_path: Path):
    url, seen = f"sqlite://{tmp_path}/log.db", dict[str, Kept]()
    async with open_log(url) as log:
        await log.apply([TopicSpec(name, {"cleanup.policy": "compact"}) for name in (BUNDLES, STATUS)])
        writer = await log.writer("test")
        await writer.append(BUNDLES, [NewRecord(GENESIS_KEY, genesis())])
        await writer.append(BUNDLES, [NewRecord("fixed", bundle("fixed", 1, {"/routes/fixed": b"{}"}))])
        start = 0
        for turn in range(3):
            async with process(tmp_path / "state", url) as (agent, port):
                await until_ready(client, port)
                watch = await client.watch(port, start_revision=start)
                for number in range(3):
                    value = b'{"v":%d}' % (3 * turn + number)
                    objects = {"/routes/moving": value, f"/routes/{turn}": b"{}"}
                    await writer.append(
                        BUNDLES, [NewRecord("moving", bundle("moving", 3 * turn + number + 2, objects))]
                    )
                    line = await watch.line()
                now = kept(await client.range(port))
                assert {key: now[key] for key in seen if key in now and not key.endswith("moving")} == {
                    key: held for key, held in seen.items() if key in now and not key.endswith("moving")
                }
                seen, start = now, line.header_revision + 1
                agent.send_signal(signal.SIGKILL)
                assert await watch.is_closed()
    assert seen["/apisix/routes/moving"] == Kept(CREATED_MS + 2, CREATED_MS + 10, 9)
    assert seen["/apisix/routes/fixed"] == Kept(CREATED_MS + 1, CREATED_MS + 1, 1)


@pytest.mark.parametrize("created_ms", [CREATED_MS - 10**9, CREATED_MS, CREATED_MS + 10**9])
async def test_must_10_two_agents_agree_after_the_topic_was_created_again_whatever_its_clock_said(
    client: Client, shop: Shop, tmp_path: Path, created_ms: int
):
    before = [await ranged(client, shop, tmp_path / node) for node in "ab"]
    shop.log.create_again(BUNDLES)
    await shop.open(created_ms, life="life-2")
    await shop.route("1")
    first = await ranged(client, shop, tmp_path / "a")
    await shop.route("2")
    await shop.route("3")
    async with running_agent(shop.log, tmp_path / "b") as port:
        await until_ready(client, port)
        watch = await client.watch(port, node="b")
        offset = await shop.route("4")
        line = await watch.line()
        client.positions.append(Position("b", offset, line.header_revision))
        last = await client.range(port)
    again = await ranged(client, shop, tmp_path / "a")
    client.positions.append(Position("a", offset, int(again["header"]["revision"])))
    assert int(before[0]["header"]["revision"]) <= int(first["header"]["revision"])
    assert kept(first)["/apisix/routes/1"] == kept(before[0])["/apisix/routes/1"]  # rule 11: its value is the same
    assert kept(last)["/apisix/routes/1"] == kept(before[1])["/apisix/routes/1"]
    assert kept(again) == kept(last)


async def test_must_10_a_mirror_with_other_offsets_never_takes_a_revision_back(
    client: Client, shop: Shop, tmp_path: Path
):
    for number in range(20):
        await shop.route("moving", uri=f"/{number}")
    before = await ranged(client, shop, tmp_path / "state")
    mirrored = shop.log.topics[BUNDLES]
    shop.log.create_again(BUNDLES)
    latest = {record.key: record for record in mirrored}
    await shop.log.append(BUNDLES, [NewRecord(record.key, record.value) for record in latest.values()])
    async with running_agent(shop.log, tmp_path / "state") as port:
        await until_ready(client, port)
        after = await client.range(port)
        assert after["kvs"] == before["kvs"]
        watch = await client.watch(port, start_revision=int(before["header"]["revision"]) + 1)
        await shop.route("moving", uri="/next")
        line = await watch.line()
        assert line.header_revision == int(before["header"]["revision"]) + 1
        await client.range(port)


@pytest.mark.parametrize("created_ms", [10**14, 0, -5])
async def test_must_10_a_clock_that_is_out_of_all_range_changes_nothing_that_is_served(
    client: Client, shop: Shop, tmp_path: Path, created_ms: int
):
    before = await ranged(client, shop, tmp_path / "state")
    shop.log.create_again(BUNDLES)
    await shop.open(created_ms, life="life-2")
    await shop.route("2")
    async with running_agent(shop.log, tmp_path / "state") as port:
        await until_ready(client, port, "last-known-good")
        assert await client.range(port) == before


async def test_must_10_a_client_that_goes_from_one_agent_to_the_other_and_back_misses_nothing(
    client: Client, shop: Shop, tmp_path: Path
):
    async with (
        running_agent(shop.log, tmp_path / "a", node="a") as first,
        running_agent(shop.log, tmp_path / "b", node="b") as second,
    ):
        for port in (first, second):
            await until_ready(client, port)
        start, told = int((await client.range(first))["header"]["revision"]) + 1, list[int]()
        for number in range(8):
            port, node = ((first, "a"), (second, "b"))[number % 2]
            offsets = [await shop.route(f"r{number % 3}", uri=f"/{number}{part}") for part in "xyz"]
            watch = await client.watch(port, start_revision=start, node=node)
            events = await watch.events(3)
            told += [event.mod_revision for event in events]
            start = watch.recording.lines[-1].header_revision + 1
            client.positions += [
                Position(node, offset, event.mod_revision) for offset, event in zip(offsets, events, strict=True)
            ]
            await client.range(port)
        assert told == list(range(CREATED_MS + 2, CREATED_MS + 26))
        ranges = [(await client.range(port))["kvs"] for port in (first, second)]
        assert ranges[0] == ranges[1]


async def test_must_10_and_11_a_wiped_agent_beside_one_that_was_not_serves_the_same(
    client: Client, shop: Shop, tmp_path: Path
):
    await lived(client, shop, tmp_path / "a")
    async with (
        running_agent(shop.log, tmp_path / "a", node="a") as first,
        running_agent(shop.log, tmp_path / "wiped", node="b") as second,
    ):
        for port in (first, second):
            await until_ready(client, port)
        start = int((await client.range(first))["header"]["revision"]) + 1
        assert (await client.range(second))["kvs"] == (await client.range(first))["kvs"]
        await shop.route("1", uri="/once more")
        for port, node in ((first, "a"), (second, "b")):
            await (await client.watch(port, start_revision=start, node=node)).line()
        assert (await client.range(second))["kvs"] == (await client.range(first))["kvs"]
