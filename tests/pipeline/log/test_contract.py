"""What every log promises; each test runs on both."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import pytest

from pipeline.log import (
    BrokenTopicError,
    Ends,
    NewRecord,
    OffsetBelowStartError,
    TopicSpec,
    WriterFencedError,
    open_log,
)
from tests.pipeline.log.conftest import COMPACTED, candidate_process, said

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.log import Log, Record
    from tests.pipeline.log.conftest import Backend


def numbered(count: int, first: int = 0) -> list[NewRecord]:
    return [NewRecord(f"k{number}", b"%d" % number) for number in range(first, first + count)]


def contents(records: Sequence[Record] | Sequence[NewRecord]) -> list[tuple[str, bytes | None]]:
    return [(record.key, record.value) for record in records]


async def read_all(log: Log, topic: str, start: int = 0) -> list[Record]:
    return [record async for batch in log.read(topic, start) for record in batch]


async def followed(log: Log, topic: str, start: int, count: int) -> list[Record]:
    """Follow until so many records have come."""
    records: list[Record] = []
    async with asyncio.timeout(30), aclosing(log.follow(topic, start)) as batches:
        async for batch in batches:
            records += batch
            if len(records) >= count:
                return records
    raise AssertionError("a follower ended by itself")


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def copy(source: str, records: Sequence[Record]) -> list[NewRecord]:
    """A step that changes nothing."""
    return [NewRecord(record.key, record.value, record.headers) for record in records]


# Append and read


async def test_what_was_appended_is_read_at_the_offsets_returned(log: Log, topic: str):
    writer = await log.writer(topic)
    headers = (("ce_id", b"1"), ("traceparent", b"\x00\xff"))
    offsets = await writer.append(topic, [NewRecord("a", b"1", headers), NewRecord("b/ä", b""), NewRecord("a", None)])
    offsets += await writer.append(topic, [NewRecord("c", b"3")])
    records = await read_all(log, topic)
    assert [record.offset for record in records] == offsets == sorted(set(offsets))
    assert contents(records) == [("a", b"1"), ("b/ä", b""), ("a", None), ("c", b"3")]
    assert [record.headers for record in records] == [headers, (), (), ()]
    assert all(record.time_ms > 1_600_000_000_000 for record in records)


async def test_nothing_appended_is_nothing_written(log: Log, topic: str):
    assert await (await log.writer(topic)).append(topic, []) == []
    assert await read_all(log, topic) == []


async def test_the_ends_embrace_what_can_be_read(log: Log, topic: str):
    assert await log.ends(topic) == Ends(0, 0)
    offsets = await (await log.writer(topic)).append(topic, numbered(3))
    ends = await log.ends(topic)
    assert ends.start == 0
    assert ends.next > offsets[-1]
    assert await read_all(log, topic, ends.next) == []


async def test_a_read_from_any_offset_is_a_suffix(log: Log, topic: str):
    writer = await log.writer(topic)
    for first in range(0, 12, 4):
        await writer.append(topic, numbered(4, first))
    everything = await read_all(log, topic)
    for start in range((await log.ends(topic)).next + 1):
        assert await read_all(log, topic, start) == [record for record in everything if record.offset >= start]


async def test_many_records_arrive_in_order_and_in_batches(log: Log, topic: str):
    records = numbered(3000)
    await (await log.writer(topic)).append(topic, records)
    batches = [batch async for batch in log.read(topic, 0)]
    assert all(batches)
    assert contents([record for batch in batches for record in batch]) == contents(records)


async def test_a_record_beyond_the_limit_is_refused_and_the_writer_goes_on(log: Log, name: Callable[[str], str]):
    topic = name("small")
    await log.apply([TopicSpec(topic, {"max.message.bytes": "2000"})])
    writer = await log.writer(topic)
    noise = random.Random(0).randbytes(5000)
    with pytest.raises(ValueError, match=r"max\.message\.bytes") as refused:
        await writer.append(topic, [NewRecord("a", b"fits"), NewRecord("b", noise)])
    assert topic in str(refused.value)
    await writer.append(topic, [NewRecord("c", b"fits")])
    assert contents(await read_all(log, topic)) == [("c", b"fits")]


# Committed records only


async def test_an_open_or_aborted_transaction_is_never_seen(log: Log, backend: Backend, topic: str):
    writer = await log.writer(topic)
    await writer.append(topic, [NewRecord("before", b"")])
    async with backend.unfinished(topic):
        assert contents(await read_all(log, topic)) == [("before", b"")]
    await writer.append(topic, [NewRecord("after", b"")])
    assert contents(await followed(log, topic, 0, 2)) == [("before", b""), ("after", b"")]
    assert contents(await read_all(log, topic)) == [("before", b""), ("after", b"")]


# Follow


async def test_a_follower_catches_up_and_goes_live(log: Log, other: Log, topic: str):
    writer = await log.writer(topic)
    offsets = await writer.append(topic, numbered(5))
    async with asyncio.timeout(30), aclosing(other.follow(topic, offsets[2])) as batches:
        seen = list(await anext(batches))
        while len(seen) < 3:
            seen += await anext(batches)
        for number in range(5, 10):
            await writer.append(topic, numbered(1, number))
            seen += await anext(batches)
    assert contents(seen) == contents(numbered(8, 2))


async def test_a_follower_from_the_end_sees_only_what_comes(log: Log, topic: str):
    writer = await log.writer(topic)
    await writer.append(topic, numbered(3))
    follower = asyncio.create_task(followed(log, topic, (await log.ends(topic)).next, 2))
    await writer.append(topic, numbered(1, 3))
    await writer.append(topic, numbered(1, 4))
    assert contents(await follower) == contents(numbered(2, 3))


async def test_all_followers_see_the_same_order(log: Log, other: Log, topic: str):
    followers = [asyncio.create_task(followed(which, topic, 0, 60)) for which in (log, other, other)]
    writers = [await log.writer(f"{topic}-1"), await other.writer(f"{topic}-2")]
    for first in range(0, 60, 6):
        await asyncio.gather(*(writer.append(topic, numbered(3, first)) for writer in writers))
    seen = await asyncio.gather(*followers)
    assert seen[0] == seen[1] == seen[2] == await read_all(log, topic)


# Readers that cannot have what they ask for


async def test_a_reader_below_the_start_is_told_where_the_log_starts(log: Log, name: Callable[[str], str]):
    topic = name("short")
    await log.apply([TopicSpec(topic, {"cleanup.policy": "delete"})])
    offsets = await (await log.writer(topic)).append(topic, numbered(10))
    await log.truncate(topic, offsets[4])
    assert (await log.ends(topic)).start == offsets[4]
    for reading in (log.read, log.follow):
        with pytest.raises(OffsetBelowStartError, match=re.escape(topic)) as told:
            await anext(reading(topic, offsets[3]))
        assert told.value.start == offsets[4]
    assert contents(await read_all(log, topic, offsets[4])) == contents(numbered(6, 4))


async def test_the_start_never_moves_back_nor_past_the_end(log: Log, name: Callable[[str], str]):
    topic = name("short")
    await log.apply([TopicSpec(topic, {"cleanup.policy": "delete"})])
    offsets = await (await log.writer(topic)).append(topic, numbered(3))
    ends = await log.ends(topic)
    await log.truncate(topic, ends.next + 100)
    await log.truncate(topic, offsets[0])
    assert await log.ends(topic) == Ends(ends.next, ends.next)


async def test_a_compacted_topic_is_not_truncated(log: Log, topic: str):
    await (await log.writer(topic)).append(topic, numbered(3))
    with pytest.raises(BrokenTopicError, match=r"cleanup\.policy"):
        await log.truncate(topic, 2)
    assert len(await read_all(log, topic)) == 3


async def test_a_reader_past_the_end_is_told(log: Log, topic: str):
    await (await log.writer(topic)).append(topic, numbered(1))
    past = (await log.ends(topic)).next + 1
    for reading in (log.read, log.follow):
        with pytest.raises(BrokenTopicError, match=f"{re.escape(topic)}: offset {past} lies past the end"):
            await anext(reading(topic, past))


async def test_a_missing_topic_is_named_with_the_remedy(log: Log, topic: str, name: Callable[[str], str]):
    missing = name("missing")
    uses = [
        log.ends(missing),
        anext(log.read(missing, 0)),
        anext(log.follow(missing, 0)),
        (await log.writer(missing)).append(missing, numbered(1)),
        log.compact(missing),
        log.truncate(missing, 0),
        log.transform({missing: topic}, missing, copy).run(),
    ]
    for use in uses:
        with pytest.raises(BrokenTopicError, match=re.escape(missing) + ".*meshferry topics apply"):
            await use


# Topics


async def test_topics_are_created_once_and_described(log: Log, other: Log, name: Callable[[str], str]):
    specs = [TopicSpec(name(kind), {"cleanup.policy": "compact", "max.message.bytes": "9000"}) for kind in "ab"]
    await log.apply(specs)
    await other.apply(specs)
    states = await other.describe([specs[1].name, name("missing"), specs[0].name])
    assert [(state.name, state.is_present, state.partition_count) for state in states] == [
        (specs[1].name, True, 1),
        (name("missing"), False, 0),
        (specs[0].name, True, 1),
    ]
    assert states[0].config["max.message.bytes"] == "9000"
    assert states[1].config == {}


async def test_a_configuration_is_changed_and_the_rest_of_it_stays(log: Log, name: Callable[[str], str]):
    topic = name("topic")
    await log.apply([TopicSpec(topic, {"cleanup.policy": "compact", "delete.retention.ms": "5000"})])
    await (await log.writer(topic)).append(topic, numbered(2))
    await log.apply([TopicSpec(topic, {"cleanup.policy": "compact", "min.compaction.lag.ms": "7000"})])
    (state,) = await log.describe([topic])
    assert state.config["min.compaction.lag.ms"] == "7000"
    assert state.config["delete.retention.ms"] == "5000"
    assert len(await read_all(log, topic)) == 2


async def test_another_cleanup_policy_is_refused_and_nothing_is_changed(
    log: Log, topic: str, name: Callable[[str], str]
):
    with pytest.raises(BrokenTopicError, match=rf"{re.escape(topic)}: cleanup\.policy is compact, needs delete"):
        await log.apply(
            [TopicSpec(name("new"), {}), TopicSpec(topic, {"cleanup.policy": "delete", "max.message.bytes": "9000"})]
        )
    new, old = await log.describe([name("new"), topic])
    assert not new.is_present
    assert old.config.get("max.message.bytes") != "9000"


async def test_a_topic_without_a_policy_deletes_and_is_not_made_to_compact(log: Log, name: Callable[[str], str]):
    await log.apply([TopicSpec(name("plain"), {})])
    with pytest.raises(BrokenTopicError, match=r"cleanup\.policy is delete, needs compact"):
        await log.apply([TopicSpec(name("plain"), {"cleanup.policy": "compact"})])


# Fencing


async def test_a_newer_writer_of_a_name_fences_the_older(log: Log, other: Log, topic: str):
    older = await log.writer(topic)
    await older.append(topic, numbered(1))
    newer = await other.writer(topic)
    with pytest.raises(WriterFencedError, match=re.escape(topic)):
        await older.append(topic, numbered(1, 90))
    await newer.append(topic, numbered(1, 1))
    assert contents(await read_all(log, topic)) == contents(numbered(2))


async def test_writers_of_other_names_do_not_disturb_each_other(log: Log, topic: str):
    first, second = await log.writer(f"{topic}-1"), await log.writer(f"{topic}-2")
    await first.append(topic, numbered(1))
    await second.append(topic, numbered(1, 1))
    await first.append(topic, numbered(1, 2))
    assert contents(await read_all(log, topic)) == contents(numbered(3))


# Lead


async def test_one_candidate_leads_and_the_next_waits_until_it_closes(backend: Backend, log: Log, topic: str):
    async with open_log(backend.lead_url) as first_log, open_log(backend.lead_url) as second_log:
        first, second = first_log.lead(topic, topic), second_log.lead(topic, topic)
        await asyncio.wait_for(first.take(), 30)
        await first.take()
        losing, waiting = asyncio.create_task(first.lost()), asyncio.create_task(second.take())
        await asyncio.wait({losing, waiting}, timeout=3)
        assert not losing.done()
        assert not waiting.done()
        await cancelled(losing)
        await first.close()
        await asyncio.wait_for(waiting, 30)


async def test_candidates_of_one_log_exclude_each_other_and_the_log_closes_them(backend: Backend, log: Log, topic: str):
    async with open_log(backend.lead_url) as shared:
        first, second = shared.lead(topic, topic), shared.lead(topic, topic)
        await asyncio.wait_for(first.take(), 30)
        waiting = asyncio.create_task(second.take())
        await asyncio.wait({waiting}, timeout=1)
        assert not waiting.done()
        await cancelled(waiting)
    async with open_log(backend.lead_url) as other:
        await asyncio.wait_for(other.lead(topic, topic).take(), 30)


async def test_topics_and_groups_are_led_independently(backend: Backend, log: Log, topic: str, sink: str):
    async with open_log(backend.lead_url) as shared:
        leads = [shared.lead(topic, "a" + topic), shared.lead(topic, "b" + topic), shared.lead(sink, sink)]
        await asyncio.wait_for(asyncio.gather(*(lead.take() for lead in leads)), 30)
        await asyncio.gather(*(lead.close() for lead in leads))


async def test_a_killed_leader_is_replaced(backend: Backend, log: Log, topic: str):
    async with candidate_process(backend.lead_url, topic) as process, open_log(backend.lead_url) as standby:
        assert await said(process) == "leads"
        lead = standby.lead(topic, topic)
        waiting = asyncio.create_task(lead.take())
        await asyncio.wait({waiting}, timeout=2)
        assert not waiting.done()
        process.kill()
        await asyncio.wait_for(waiting, 30)
        writer = await standby.writer(topic)
        await writer.append(topic, [NewRecord("leader", b"standby")])
        assert [record.value for record in await read_all(standby, topic)] == [b"candidate", b"standby"]
        await lead.close()


async def test_a_lead_of_a_missing_topic_is_refused(log: Log, name: Callable[[str], str]):
    with pytest.raises(BrokenTopicError, match=re.escape(name("missing")) + ".*meshferry topics apply"):
        await log.lead(name("missing"), name("missing")).take()


# Sharing


async def test_a_log_stays_open_until_its_last_user_leaves(log: Log, topic: str):
    async with log as user:
        writer = await user.writer(topic)
    await writer.append(topic, numbered(1))
    assert contents(await read_all(log, topic)) == contents(numbered(1))


# Transform


async def test_a_transform_gives_each_record_once_and_in_order(log: Log, topic: str, sink: str):
    writer = await log.writer(topic)
    await writer.append(topic, [*numbered(5), NewRecord("k1", None, (("h", b"x"),))])
    worker = asyncio.create_task(log.transform({topic: sink}, topic, copy).run())
    await followed(log, sink, 0, 6)
    await writer.append(topic, numbered(3, 5))
    results = await followed(log, sink, 0, 9)
    await cancelled(worker)
    assert contents(results) == [*contents(numbered(5)), ("k1", None), *contents(numbered(3, 5))]
    assert results[5].headers == (("h", b"x"),)
    assert await read_all(log, sink) == results


async def test_a_step_may_give_fewer_or_more_records(log: Log, topic: str, sink: str):
    def step(source: str, records: Sequence[Record]) -> list[NewRecord]:
        return [NewRecord(source, b"%d" % part) for record in records for part in range(int(record.value or b""))]

    await (await log.writer(topic)).append(topic, [NewRecord("k", b"0"), NewRecord("k", b"2"), NewRecord("k", b"1")])
    worker = asyncio.create_task(log.transform({topic: sink}, topic, step).run())
    assert contents(await followed(log, sink, 0, 3)) == [(topic, b"0"), (topic, b"1"), (topic, b"0")]
    await cancelled(worker)


async def test_a_transform_of_several_topics_keeps_them_apart(log: Log, name: Callable[[str], str]):
    sinks = {name(f"in{number}"): name(f"out{number}") for number in range(3)}
    await log.apply([TopicSpec(each, {}) for pair in sinks.items() for each in pair])
    worker = asyncio.create_task(log.transform(sinks, name("group"), copy).run())
    writer = await log.writer(name("writer"))
    for number, source in enumerate(sinks):
        await writer.append(source, numbered(4, 10 * number))
    for number, target in enumerate(sinks.values()):
        assert contents(await followed(log, target, 0, 4)) == contents(numbered(4, 10 * number))
    await cancelled(worker)


async def test_the_next_worker_goes_on_at_the_committed_offset(log: Log, other: Log, topic: str, sink: str):
    writer = await log.writer(topic)
    await writer.append(topic, numbered(4))
    transform = log.transform({topic: sink}, topic, copy)
    worker = asyncio.create_task(transform.run())
    await followed(log, sink, 0, 4)
    await cancelled(worker)
    await transform.close()
    await writer.append(topic, numbered(4, 4))
    worker = asyncio.create_task(other.transform({topic: sink}, topic, copy).run())
    assert contents(await followed(log, sink, 0, 8)) == contents(numbered(8))
    await cancelled(worker)
    assert len(await read_all(log, sink)) == 8


async def test_a_batch_whose_step_raised_is_not_committed_and_comes_again(log: Log, topic: str, sink: str):
    def broken(source: str, records: Sequence[Record]) -> list[NewRecord]:
        raise ZeroDivisionError(f"{len(records)} records of {source}")

    await (await log.writer(topic)).append(topic, numbered(3))
    with pytest.raises(ZeroDivisionError, match=f"3 records of {re.escape(topic)}"):
        await log.transform({topic: sink}, topic, broken).run()
    assert await read_all(log, sink) == []
    worker = asyncio.create_task(log.transform({topic: sink}, topic, copy).run())
    assert contents(await followed(log, sink, 0, 3)) == contents(numbered(3))
    await cancelled(worker)


async def test_a_worker_that_lost_its_topic_writes_nothing_more(
    backend: Backend, log: Log, topic: str, sink: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipeline.log.kafka_transform.HAND_OVER_TIMEOUT_S", 0.1)
    may_go_on, has_started = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stuck(source: str, records: Sequence[Record]) -> list[NewRecord]:
        loop.call_soon_threadsafe(has_started.set)
        may_go_on.wait()
        return [NewRecord("zombie", b"")]

    # A consumer group shares its topics out by the members' names, so the second worker is named to come first.
    async with open_log(backend.named("b")) as first, open_log(backend.named("a")) as second:
        await (await log.writer(topic)).append(topic, numbered(3))
        zombie = asyncio.create_task(first.transform({topic: sink}, topic, stuck).run())
        await has_started.wait()
        successor = asyncio.create_task(second.transform({topic: sink}, topic, copy).run())
        assert contents(await followed(log, sink, 0, 3)) == contents(numbered(3))
        may_go_on.set()
        await (await log.writer(topic)).append(topic, numbered(1, 3))
        assert contents(await followed(log, sink, 0, 4)) == contents(numbered(4))
        await asyncio.wait([zombie], timeout=0.5)
        await cancelled(successor)
        if backend.tells_zombies:
            with pytest.raises(WriterFencedError, match=re.escape(topic)):
                await zombie
        else:
            await cancelled(zombie)
    assert contents(await read_all(log, sink)) == contents(numbered(4))


# Compaction


async def test_compaction_keeps_the_last_record_of_each_key_where_it_was(
    log: Log, backend: Backend, name: Callable[[str], str]
):
    topic = name("compacted")
    await log.apply([TopicSpec(topic, COMPACTED)])
    writer = await log.writer(topic)
    random_keys = random.Random(1)
    written: dict[int, tuple[str, bytes | None]] = {}
    for number in range(8):
        records = [NewRecord(f"k{random_keys.randrange(4)}", b"%d" % number) for _ in range(5)]
        written |= zip(await writer.append(topic, records), contents(records), strict=True)
    tombstone = [NewRecord("k0", None)]
    written |= zip(await writer.append(topic, tombstone), contents(tombstone), strict=True)

    await backend.compacted(log, topic, len(written))
    end = max(written) + 1
    kept = {record.offset: record for record in await read_all(log, topic) if record.offset < end}

    assert len(kept) < len(written)
    assert list(kept) == sorted(kept)
    assert all(written[offset] == (record.key, record.value) for offset, record in kept.items())
    assert dict(contents(list(kept.values()))) == dict(written.values())
    last = {key: (offset, value) for offset, (key, value) in written.items()}
    for start in (0, 17, end - 1):
        tail = [record for record in await read_all(log, topic, start) if record.offset < end]
        assert all(record.offset >= start for record in tail)
        assert dict(contents(tail)) == {key: value for key, (offset, value) in last.items() if offset >= start}


async def test_offsets_are_not_used_again_after_compaction(log: Log, backend: Backend, name: Callable[[str], str]):
    topic = name("compacted")
    await log.apply([TopicSpec(topic, COMPACTED)])
    writer = await log.writer(topic)
    offsets = [(await writer.append(topic, [NewRecord("k", b"")]))[0] for _ in range(3)]
    await backend.compacted(log, topic, len(offsets))
    assert (await log.ends(topic)).start == 0
    assert (await writer.append(topic, [NewRecord("k", b"")]))[0] > offsets[-1]
