from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

import pytest

from pipeline.key_directory import load_or_create_keys
from pipeline.log import BrokenTopicError, LogUnreachableError, NewRecord, open_log
from pipeline.seal import Sealer
from pipeline.topics import MAX_MESSAGE_BYTES, view_specs
from producers import runner
from producers.hold import GuardLimits
from producers.runner import ProducerOptions
from producers.source import Changes, Note, SourceProblem
from schemas import xds
from schemas.codec import decode, encode
from schemas.records import Approval, Genesis, Held, Unit
from schemas.sealed import spans
from tests.producers.scene import TLS_SOCKET, change, cluster, pair_secret
from tests.translators.certificate_factory import make_pair

if TYPE_CHECKING:
    from pathlib import Path

UNITS = "meshferry.v.units"


class Said:
    """A source that says what it is given and then ends; with `next` it waits and says one thing more.

    It says nothing before its producer leads: what comes before that is taken over as one change.
    """

    def __init__(self, *outputs) -> None:
        self._outputs = outputs
        self.next: asyncio.Event | None = None
        self.late = complete(cluster("late"))
        self.may_begin = asyncio.Event()
        self.has_said = asyncio.Event()

    async def changes(self):
        await self.may_begin.wait()
        for output in self._outputs:
            if isinstance(output, Exception):
                raise output
            yield output
        self.has_said.set()
        if self.next is not None:
            await self.next.wait()
            yield self.late


def complete(*changes, notes=()) -> Changes:
    return Changes(changes, is_complete=True, source="test", notes=notes)


class Telling:
    """A log that lets a source begin once its producer has taken the lead."""

    def __init__(self, url: str) -> None:
        self._inner = open_log(url)
        self.source: Said | None = None

    async def __aenter__(self):
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._inner.__aexit__(*error)

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def lead(self, topic, group):
        lead, source = self._inner.lead(topic, group), self.source

        class Taking:
            async def take(self):
                await lead.take()
                source.may_begin.set()

            def __getattr__(self, name):
                return getattr(lead, name)

        return Taking()


class Home:
    """A log file and a key pair."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite://{folder}/log.db"
        self.keys = load_or_create_keys(folder / "keys")

    def options(self, *outputs, log=None) -> ProducerOptions:
        sealer = Sealer(self.keys.public_key, self.keys.fingerprint_key)
        log = log or Telling(self.url)
        log.source = source = Said(*outputs)
        return ProducerOptions("v", source, log, "meshferry.", sealer, "test")

    async def produce(self, *outputs) -> list:
        """Run a producer over a source and give the records it added."""
        before = len(await self.records())
        await asyncio.wait_for(runner.run(self.options(*outputs)), 10)
        return (await self.records())[before:]

    async def records(self) -> list:
        async with open_log(self.url) as log:
            return [record async for batch in log.read(UNITS, 0) for record in batch]


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(runner, "CATCH_UP_MS", 0)
    home = Home(tmp_path)
    async with open_log(home.url) as log:
        await log.apply(view_specs("meshferry.", "v"))
    return home


async def test_the_first_record_is_the_genesis_and_it_is_written_once(home: Home):
    first, *_ = await home.produce(complete(cluster("a")))
    assert first.key == "@genesis"
    assert decode(first.value, Genesis).view == "v"
    assert await home.produce(complete(cluster("a"))) == []


async def test_a_restart_writes_nothing_although_sealing_is_randomised(home: Home):
    before, after = (pair_secret("s", make_pair(name)) for name in ("one", "two"))
    records = await home.produce(complete(before, cluster("a")))
    assert all(b"PRIVATE KEY" not in record.value for record in records)
    [unit] = [decode(record.value, Unit) for record in records if record.key == "secret/s"]
    assert b"mfseal1." in unit.resources[0].body
    assert await home.produce(complete(before, cluster("a"))) == []
    [rotated] = await home.produce(complete(after, cluster("a")))
    assert rotated.key == "secret/s"


async def test_what_is_gone_at_a_restart_is_removed(home: Home):
    await home.produce(complete(cluster("a"), cluster("b")))
    [gone] = await home.produce(complete(cluster("b")))
    assert (gone.key, gone.value) == ("cluster/a", None)


async def test_a_source_that_cannot_be_read_removes_nothing(home: Home, caplog):
    await home.produce(complete(cluster("a")))
    assert await home.produce(SourceProblem("envoy.yaml:3", "broken", "mend it")) == []
    assert "producer v: envoy.yaml:3: broken (mend it)" in caplog.text


async def test_records_carry_event_and_trace_headers(home: Home):
    records = await home.produce(complete(cluster("a")), complete())
    headers = [dict(record.headers) for record in records if record.key == "cluster/a"]
    assert {header["ce_type"] for header in headers} == {b"meshferry.unit"}
    assert {header["ce_source"] for header in headers} == {b"/views/v/producer"}
    assert len({header["ce_id"] for header in headers}) == len({header["traceparent"] for header in headers}) == 2


async def test_a_unit_that_is_too_large_stays_out_and_the_others_go(home: Home, caplog):
    large = change(xds.CLUSTER, {"name": "large", "alt_stat_name": "x" * MAX_MESSAGE_BYTES})
    records = await home.produce(complete(large, cluster("a")))
    assert [record.key for record in records] == ["@genesis", "cluster/a", "view"]
    assert "OUT-SIZE: unit cluster/large has 83" in caplog.text


async def test_a_topic_that_takes_less_refuses_only_what_is_too_large(home: Home, caplog, monkeypatch):
    monkeypatch.setattr(runner, "MAX_MESSAGE_BYTES", 2 * MAX_MESSAGE_BYTES)
    large = change(xds.CLUSTER, {"name": "large", "alt_stat_name": "x" * (MAX_MESSAGE_BYTES + 1)})
    records = await home.produce(complete(cluster("a"), large))
    assert [record.key for record in records] == ["@genesis", "cluster/a", "view"]
    assert "OUT-SIZE: unit cluster/large" in caplog.text


async def test_very_large_changes_are_several_transactions_in_order(home: Home):
    wide = [change(xds.CLUSTER, {"name": f"c{n}", "alt_stat_name": "x" * (1 << 20)}) for n in range(6)]
    options = home.options(complete(*wide))
    sizes = []
    async with options.log as log:
        writer = await log.writer("w")

        class Counting:
            async def append(self, topic, records):
                sizes.append(len(records))
                return await writer.append(topic, records)

        producer = runner._Producer(options, asyncio.Queue())
        producer._publication.resume([], 0)
        written, _ = producer._publication.apply(complete(*wide), 0)
        await producer._write(Counting(), written)
    assert sizes == [3, 4]
    assert [record.key for record in await home.records()] == [*(f"cluster/c{n}" for n in range(6)), "view"]


async def test_notes_are_logged_once_while_they_last(home: Home, caplog):
    note = Note("CFG-UNKNOWN-FIELD", xds.CLUSTER, "a", "nope", "Cluster has no field nope")
    noted = complete(cluster("a"), notes=(note,))
    await home.produce(noted, noted, complete(cluster("a")), noted)
    line = "CFG-UNKNOWN-FIELD: Cluster a: nope: Cluster has no field nope"
    assert sum(line in record.getMessage() for record in caplog.records) == 2


class Flaky(Telling):
    """A log whose first commits are lost."""

    def __init__(self, url: str, lost_count: int) -> None:
        super().__init__(url)
        self._lost_count = lost_count

    async def writer(self, name):
        writer, flaky = await self._inner.writer(name), self

        class Losing:
            async def append(self, topic, records):
                flaky._lost_count -= 1
                if flaky._lost_count >= 0:
                    raise LogUnreachableError("gone")
                return await writer.append(topic, records)

            async def close(self):
                await writer.close()

        return Losing()


async def test_a_log_that_goes_away_is_waited_for_and_nothing_is_lost(home: Home, monkeypatch, caplog):
    monkeypatch.setattr(runner, "BACKOFF_BASE_S", 0.0)
    first, second = complete(cluster("a"), cluster("b")), complete(cluster("b"))
    options = home.options(first, second, log=Flaky(home.url, 2))
    starts: list[bool] = []
    await asyncio.wait_for(runner.run(dataclasses.replace(options, started=lambda: starts.append(True))), 10)
    assert starts == [True]  # not before the genesis, the first of the commits, had been written
    assert "producer v: gone; trying again in 0.0 s" in caplog.text
    held = {record.key: record.value for record in await home.records()}
    assert {key for key, value in held.items() if value is not None} == {"@genesis", "cluster/b", "view"}


@contextlib.asynccontextmanager
async def running(options: ProducerOptions):
    """Run a producer whose source goes on after its outputs; it is stopped at the end."""
    options.source.next = asyncio.Event()
    producer = asyncio.create_task(runner.run(options))
    yield producer
    producer.cancel()
    await asyncio.gather(producer, return_exceptions=True)


@contextlib.asynccontextmanager
async def following(home: Home, start: int = 0):
    """Give the keys of units as they are written, from an offset on."""
    async with open_log(home.url) as log, contextlib.aclosing(log.follow(UNITS, start)) as batches:
        yield (record.key async for batch in batches for record in batch)


async def keys_of(written, count: int) -> list[str]:
    return [await asyncio.wait_for(anext(written), 10) for _ in range(count)]


def upstream_tls(secret: str) -> dict:
    sds = {"tls_certificate_sds_secret_configs": [{"name": secret, "sds_config": {"ads": {}}}]}
    config = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
    return {"name": TLS_SOCKET, "typed_config": {**config, "common_tls_context": sds}}


def tokens_in(record) -> set[bytes]:
    unit = decode(record.value, Unit)
    return {resource.body[span.start : span.end] for resource in unit.resources for span in spans(resource.body)}


async def test_a_standby_takes_over_and_writes_only_what_differs(home: Home, caplog):
    """Also where it has sealed the same private key for itself."""
    caplog.set_level("INFO")
    state = (pair_secret("s", make_pair("one")), cluster("a"))
    leading, standing = home.options(complete(*state)), home.options(complete(*state))
    standing.source.may_begin.set()
    standing.source.late = complete(*state, cluster("late", transport_socket=upstream_tls("s")))
    async with following(home) as written, contextlib.AsyncExitStack() as stack:
        async with running(leading):
            assert await keys_of(written, 4) == ["@genesis", "secret/s", "cluster/a", "view"]
            await stack.enter_async_context(running(standing))
            await asyncio.wait_for(standing.source.has_said.wait(), 10)
            before = await home.records()
        standing.source.next.set()
        assert await keys_of(written, 2) == ["secret/s", "cluster/late"]
    assert caplog.messages.count("producer v: leads") == 2
    after = await home.records()
    assert after[:-2] == before
    assert tokens_in(after[-2]) == tokens_in(after[1]) != set()


async def test_what_was_written_a_moment_ago_is_not_taken_back_by_who_has_not_heard_of_it(home: Home, monkeypatch):
    monkeypatch.setattr(runner, "CATCH_UP_MS", 500)
    old, new = complete(cluster("a")), complete(cluster("a", alt_stat_name="new"))
    await home.produce(new)
    before = await home.records()
    late = home.options(old)
    late.source.late, late.source.next = new, asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, late.source.next.set)
    await asyncio.wait_for(runner.run(late), 10)
    assert await home.records() == before


async def test_a_leader_that_was_fenced_stands_by_and_leads_again(home: Home, caplog, monkeypatch):
    monkeypatch.setattr(runner, "BACKOFF_BASE_S", 0.0)
    options = home.options(complete(cluster("a")))
    async with following(home) as written, running(options):
        assert await keys_of(written, 3) == ["@genesis", "cluster/a", "view"]
        async with open_log(home.url) as log:
            usurper = await log.writer("meshferry.v.producer")
            await usurper.append(UNITS, [NewRecord("cluster/a", None)])
            assert await keys_of(written, 1) == ["cluster/a"]
        options.source.next.set()
        assert await keys_of(written, 1) == ["cluster/late"]
    assert "producer v: deposed: writer meshferry.v.producer: taken over by process" in caplog.text
    assert [record.key for record in await home.records()][3:] == ["cluster/a", "cluster/late"]


class Losing(Telling):
    """A log whose first lead is lost when the test says so, as on a broker."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_over = asyncio.Event()
        self.taken_count = 0

    def lead(self, topic, group):
        log, lead = self, super().lead(topic, group)

        class Lost:
            async def take(self):
                await lead.take()
                log.taken_count += 1

            async def lost(self):
                await log.is_over.wait()
                log.is_over.clear()

            def __getattr__(self, name):
                return getattr(lead, name)

        return Lost()


async def test_a_lead_that_is_lost_is_taken_again_and_nothing_is_written_for_it(home: Home, caplog):
    caplog.set_level("INFO")
    log = Losing(home.url)
    options = home.options(complete(cluster("a")), log=log)
    async with following(home) as written, running(options):
        assert await keys_of(written, 3) == ["@genesis", "cluster/a", "view"]
        log.is_over.set()
        options.source.next.set()
        assert await keys_of(written, 2) == ["cluster/late", "cluster/a"]
    assert log.taken_count == 2
    roles = ["stands by", "leads", "stands by", "leads"]
    said = [message for message in caplog.messages if message.endswith((": leads", ": stands by"))]
    assert said == [f"producer v: {role}" for role in roles]


async def test_who_learns_that_he_was_replaced_while_he_took_over_writes_nothing(home: Home):
    log, answers = Telling(home.url), [False, True]
    options = home.options(complete(cluster("a")), log=log)
    lead_of = log.lead

    def lead(topic, group):
        candidate = lead_of(topic, group)

        async def is_held() -> bool:
            answer = answers.pop(0)
            if not answer:
                assert await home.records() == []
            return answer

        candidate.is_held = is_held
        return candidate

    log.lead = lead
    await asyncio.wait_for(runner.run(options), 10)
    assert answers == []
    assert [record.key for record in await home.records()] == ["@genesis", "cluster/a", "view"]


async def test_a_defect_in_a_source_ends_the_producer(home: Home):
    with pytest.raises(ZeroDivisionError):
        await home.produce(complete(cluster("a")), ZeroDivisionError())


async def test_records_of_another_build_are_left_alone(home: Home):
    async with open_log(home.url) as log:
        await (await log.writer("w")).append(UNITS, [NewRecord("cluster/a", b"\xc3\x01newer...")])
    with pytest.raises(BrokenTopicError, match=r"meshferry\.v\.units: cluster/a: .*; run the newer build"):
        await home.produce(complete())


async def test_a_missing_topic_says_so(tmp_path: Path):
    with pytest.raises(BrokenTopicError, match=UNITS):
        await asyncio.wait_for(runner.run(Home(tmp_path).options(complete())), 10)


async def control_keys(home: Home) -> set[str]:
    async with open_log(home.url) as log:
        held = {r.key: r.value async for batch in log.read("meshferry.v.control", 0) for r in batch}
    return {key for key, value in held.items() if value is not None}


async def test_what_is_held_is_shown_survives_a_restart_and_goes_once_it_is_approved(home: Home, caplog):
    def guarded(*outputs) -> ProducerOptions:
        return dataclasses.replace(home.options(*outputs), guard=GuardLimits())

    full, empty = complete(*(cluster(f"c{n}") for n in range(12))), complete()
    await runner.run(guarded(full, empty))
    before = await home.records()
    assert await control_keys(home) == {"held/removals"}
    assert "producer v: removals held: 12 of 12; limit 30%, at least 10, within 60 s" in caplog.text
    await runner.run(guarded(empty))
    assert await home.records() == before

    options = guarded(empty)
    options.source.next = asyncio.Event()
    producer = asyncio.create_task(runner.run(options))
    async with open_log(home.url) as log:
        held = [r async for batch in log.read("meshferry.v.control", 0) for r in batch if r.value]
        fingerprint = decode(held[-1].value, Held).fingerprint
        approver = await log.writer("approver")
        for wrong_or_right in ("0" * 12, fingerprint):
            approval = Approval(wrong_or_right, "somebody", 1)
            await approver.append("meshferry.v.control", [NewRecord(f"approval/{wrong_or_right}", encode(approval))])
        written = (r async for batch in log.follow(UNITS, before[-1].offset + 1) for r in batch)
        gone = [await asyncio.wait_for(anext(written), 5) for _ in range(12)]
    assert {(r.key, r.value) for r in gone} == {(f"cluster/c{n}", None) for n in range(12)}
    options.source.next.set()
    await asyncio.wait_for(producer, 5)
    assert await control_keys(home) == set()
    assert "approval 000000000000: nothing such is held" in caplog.text


async def test_a_resource_that_flaps_comes_when_it_is_quiet_though_the_source_is_silent(home: Home, monkeypatch):
    monkeypatch.setattr("producers.hold_down.HoldDownLimits.__new__.__defaults__", (10_000, 200))
    a, b = (complete(cluster("x", alt_stat_name=name)) for name in "ab")
    options = home.options(a, b, a, b)
    options.source.next = asyncio.Event()
    producer = asyncio.create_task(runner.run(options))
    async with open_log(home.url) as log:
        written = (r async for batch in log.follow(UNITS, 0) for r in batch if r.key == "cluster/x")
        bodies = [decode((await asyncio.wait_for(anext(written), 5)).value, Unit).resources[0].body for _ in range(4)]
    assert bodies[0] == bodies[2] != bodies[1] == bodies[3]
    producer.cancel()
    await asyncio.gather(producer, return_exceptions=True)
