"""`meshferry approve` on the embedded log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipeline.cli.exit_code import ExitCode
from pipeline.log import NewRecord, open_log
from pipeline.topics import view_specs
from schemas.codec import decode, encode
from schemas.keys import held_key
from schemas.records import Approval, Held, HeldKind

if TYPE_CHECKING:
    from pathlib import Path

CONTROL = "meshferry.edge.control"
HELD = Held("abcdef012345", HeldKind.REMOVALS, ("cluster/a", "http/l/c/r/h"), 3, 4, 0, 1, "3 of 4; limit 30%")


@pytest.fixture
def url(settings: Path) -> str:
    url = f"sqlite://{settings.parent}/log.db"

    async def prepare() -> None:
        async with open_log(url) as log:
            await log.apply(view_specs("meshferry.", "edge"))
            writer = await log.writer("producer")
            await writer.append(CONTROL, [NewRecord(held_key(HELD.kind), encode(HELD))])

    asyncio.run(prepare())
    return url


def approvals(url: str) -> list[Approval]:
    async def read() -> list[Approval]:
        async with open_log(url) as log:
            records = [record async for batch in log.read(CONTROL, 0) for record in batch]
        return [decode(record.value, Approval) for record in records if record.key.startswith("approval/")]

    return asyncio.run(read())


def test_the_list_shows_each_hold_with_its_diff(meshferry, settings, url):
    found = meshferry("approve", "--list", "--settings", settings)
    assert found.code == ExitCode.OK
    assert found.out.splitlines() == [
        "abcdef012345 edge removals: 3 of 4; limit 30%",
        "  - cluster/a",
        "  - http/l/c/r/h",
        "  … and 1 more",
    ]
    assert approvals(url) == []


def test_status_shows_what_is_held(meshferry, settings, url):
    [view] = meshferry("status", "--settings", settings).data()
    [held] = view["held"]
    assert (held["fingerprint"], held["kind"], held["count"]) == ("abcdef012345", "removals", 3)


@pytest.mark.parametrize("what", ["abcdef012345", "--all"])
def test_an_approval_is_written(meshferry, settings, url, what):
    found = meshferry("approve", what, "--yes", "--settings", settings)
    assert (found.code, found.out) == (ExitCode.OK, "abcdef012345 edge removals: 3 approved\n")
    [approval] = approvals(url)
    assert approval.fingerprint == "abcdef012345"
    assert approval.approved_by
    assert approval.time_ms > 0


def test_another_fingerprint_is_refused(meshferry, settings, url):
    found = meshferry("approve", "000000000000", "--yes", "--settings", settings)
    assert found.code == ExitCode.REFUSED
    assert found.line() == "000000000000 is not held, or not any more; see `meshferry approve --list`"
    assert approvals(url) == []


@pytest.mark.parametrize("arguments", [(), ("--list", "--all"), ("abcdef012345", "--all")])
def test_one_thing_is_asked_for(meshferry, settings, url, arguments):
    assert meshferry("approve", *arguments, "--settings", settings).code == ExitCode.USAGE


def test_an_unconfirmed_approval_is_refused(meshferry, settings, url, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    found = meshferry("approve", "--all", "--settings", settings)
    assert found.code == ExitCode.REFUSED
    assert "  - cluster/a" in found.err
    assert approvals(url) == []


class Terminal:
    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self._answer
