"""The worker on a real log: every unit record becomes one bundle record, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipeline.headers import record_headers
from pipeline.log import NewRecord, open_log
from pipeline.topics import view_specs
from schemas import xds
from schemas.codec import decode, encode
from schemas.keys import GENESIS_KEY
from schemas.records import Bundle, Genesis, Resource, Role, Severity, Unit, UnitKind
from translators import runner
from translators.policy import Policy
from translators.runner import TranslatorOptions, UnknownGenesisError, Worker, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.log import Log, Record

UNITS, BUNDLES = "meshferry.v.units", "meshferry.v.bundles"
GENESIS = NewRecord(GENESIS_KEY, encode(Genesis("v", 1_700_000_000_000, "g")))


def unit(name: str) -> NewRecord:
    cluster = xds.from_json({"name": name}, xds.message_class(xds.CLUSTER)())
    use = Resource(Role.USE, xds.ROUTE_ACTION, "", b"")
    subject = Resource(Role.SUBJECT, xds.CLUSTER, name, xds.canonical_bytes(cluster))
    value = encode(Unit(UnitKind.CLUSTER, f"cluster/{name}", {"cluster": name}, (subject, use)))
    headers = record_headers("unit", "/views/v/producer", "id", 0, "00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    return NewRecord(f"cluster/{name}", value, headers)


def options(log: Log) -> TranslatorOptions:
    return TranslatorOptions(log, {"v": Policy()}, "meshferry.", "group", "1.0")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    async with open_log(f"sqlite://{tmp_path}/log.db") as opened:
        await opened.apply(view_specs("meshferry.", "v"))
        yield opened


async def bundles(log: Log, count: int) -> list[Record]:
    """The bundles topic once it has that many records."""
    found: list[Record] = []
    async with asyncio.timeout(10):
        async for batch in log.follow(BUNDLES, 0):
            found += batch
            if len(found) >= count:
                return found
    raise AssertionError


async def append(log: Log, *records: NewRecord) -> None:
    writer = await log.writer("test")
    await writer.append(UNITS, records)
    await writer.close()


async def test_units_become_bundles_and_tombstones_stay_tombstones(log: Log):
    await append(log, GENESIS, unit("a"), unit("b"), NewRecord("cluster/a", None))
    worker = asyncio.create_task(run(options(log)))
    genesis, a, b, gone = await bundles(log, 4)
    worker.cancel()
    assert genesis.key == GENESIS_KEY
    assert [record.key for record in (a, b, gone)] == ["cluster/a", "cluster/b", "cluster/a"]
    assert gone.value is None
    bundle = decode(a.value, Bundle)
    assert bundle.seq == 1_700_000_000_001
    assert [found.key.split("/")[1] for found in bundle.objects] == ["upstreams"]
    assert bundle.provenance.build == f"1.0/{Policy().digest()}"


async def test_a_bundle_keeps_the_trace_of_its_unit_and_says_who_made_it(log: Log):
    await append(log, GENESIS, unit("a"))
    worker = asyncio.create_task(run(options(log)))
    headers = dict((await bundles(log, 2))[1].headers)
    worker.cancel()
    assert headers["ce_type"] == b"meshferry.bundle"
    assert headers["ce_source"] == b"/views/v/translator"
    assert headers["traceparent"].startswith(b"00-1111")


async def test_a_restarted_worker_goes_on_where_the_last_one_committed(log: Log):
    await append(log, GENESIS, unit("a"))
    first = asyncio.create_task(run(options(log)))
    await bundles(log, 2)
    first.cancel()
    await asyncio.wait([first])
    await append(log, unit("b"))
    second = asyncio.create_task(run(options(log)))
    records = await bundles(log, 3)
    second.cancel()
    assert [record.key for record in records] == [GENESIS_KEY, "cluster/a", "cluster/b"]
    assert decode(records[2].value, Bundle).seq == 1_700_000_000_002


async def test_what_cannot_be_read_becomes_a_failed_bundle_and_the_rest_goes_on(log: Log):
    await append(log, GENESIS, NewRecord("cluster/bad", b"garbage"), unit("a"))
    worker = asyncio.create_task(run(options(log)))
    _, bad, good = await bundles(log, 3)
    worker.cancel()
    failed = decode(bad.value, Bundle)
    assert failed.objects == ()
    assert [(found.code, found.severity) for found in failed.diagnostics] == [("CFG-INVALID", Severity.FATAL)]
    assert decode(good.value, Bundle).objects


def test_a_bundle_that_no_record_can_hold_becomes_a_failed_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "MAX_BUNDLE_BYTES", 10)
    worker = Worker(options(open_log("sqlite:///nowhere/log.db")))
    records = [_as_read(0, GENESIS), _as_read(1, unit("a"))]
    (result,) = worker.step(UNITS, records)
    (finding,) = decode(result.value, Bundle).diagnostics
    assert (finding.code, finding.severity) == ("OUT-SIZE", Severity.FATAL)


def test_a_worker_that_never_saw_the_genesis_says_so():
    worker = Worker(options(open_log("sqlite:///nowhere/log.db")))
    with pytest.raises(UnknownGenesisError):
        worker.step(UNITS, [_as_read(5, unit("a"))])


def _as_read(offset: int, record: NewRecord) -> Record:
    from pipeline.log import Record

    return Record(offset, record.key, record.value, 0, record.headers)
