"""Two producers of one view: one leads, the other takes over, and no reader of the units topic can tell."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.key_directory import load_or_create_keys
from pipeline.log import open_log
from pipeline.seal import Sealer
from producers.files.watch import FileSource
from producers.publication import Publication
from producers.units import content_digest
from schemas.codec import decode
from schemas.keys import GENESIS_KEY, TopicKind, topic
from schemas.records import Unit
from tests.e2e.process import PROJECT, Meshferry, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.log import Record

SEEDS = range(1, 1 + int(os.environ.get("MESHFERRY_TORTURE_SEEDS", "1")))
FAULT_COUNT = 10
TAKE_OVER_S = 30.0
"""Generous; the sessions of these tests last two seconds."""


class Replicas:
    """Producers that share settings, file, keys and log."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.file = folder / "envoy.yaml"
        shutil.copy(PROJECT / "examples" / "quickstart" / "envoy.yaml", self.file)
        self.url = url
        self.view = f"v{uuid.uuid4().hex[:10]}"
        self._weight = 90
        (folder / "meshferry.yaml").write_text(
            f"log: {{url: '{url}'}}\n"
            f"views: {{{self.view}: {{source: {{file: '{self.file}'}}}}}}\n"
            f"seal: {{directory: '{folder}/keys'}}\n"
        )
        assert self.run("topics", "apply").stop_when_done() == 0
        self.processes: list[Meshferry] = []

    def run(self, *arguments: str) -> Meshferry:
        return Meshferry(*arguments, "--settings", str(self.folder / "meshferry.yaml"), cwd=self.folder)

    def start(self) -> Meshferry:
        """Start one more producer, and wait until it stands by or leads."""
        process = self.run("producer")
        self.processes.append(process)
        process.wait_for_line("stands by")
        return process

    def leads(self, process: Meshferry, count: int = 1) -> None:
        """Wait until a producer has taken the lead for the nth time."""
        self.has_said(process, "leads", count)

    def has_said(self, process: Meshferry, role: str, count: int) -> None:
        line = f"producer {self.view}: {role}"
        self.wait_until(lambda: process.text().count(line) >= count, line)

    def wait_until(self, probe: Callable[[], Any], what: str) -> Any:
        """Wait until a probe gives something; if it never does, show what the producers have said."""
        try:
            return eventually(probe, what, TAKE_OVER_S)
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}\n{self.said()}")

    def said(self) -> str:
        return "\n".join(f"--- {number}\n{process.text()}" for number, process in enumerate(self.processes))

    def edit(self) -> None:
        """Change a weight, in one step."""
        text = self.file.read_text()
        assert f"weight: {self._weight}\n" in text
        replacement = self.folder / "envoy.yaml.new"
        replacement.write_text(text.replace(f"weight: {self._weight}\n", f"weight: {self._weight - 1}\n"))
        replacement.rename(self.file)
        self._weight -= 1

    def records(self) -> list[Record]:
        """Give all that was ever written to the units topic."""

        async def read() -> list[Record]:
            async with open_log(self.url) as log:
                name = topic("meshferry.", self.view, TopicKind.UNITS)
                return [record async for batch in log.read(name, 0) for record in batch]

        return asyncio.run(read())

    def wanted(self) -> dict[str, bytes]:
        """Give the units that a producer without any history cuts from the file as it is now."""
        keys = load_or_create_keys(self.folder / "keys")
        publication = Publication(self.view, Sealer(keys.public_key, keys.fingerprint_key).seal, "test")
        publication.resume([], 0)

        async def first():
            return await anext(aiter(FileSource(self.file).changes()))

        units, problems = publication.apply(asyncio.run(first()), time.time_ns() // 1_000_000)
        assert not problems
        return {unit.key: content_of(unit) for unit in units if isinstance(unit, Unit)}

    def settled(self) -> list[Record]:
        """Wait until the topic holds what the file says, and check everything that was ever written to it."""
        wanted = self.wanted()

        def is_there() -> list[Record] | None:
            records = self.records()
            return records if state_of(records) == wanted else None

        records = self.wait_until(is_there, "the units of the file")
        check_history(records)
        return records

    def replace(self, process: Meshferry) -> None:
        """Start another producer in place of one that has ended; not waiting for it, there may be no broker."""
        self.processes[self.processes.index(process)] = self.run("producer")

    def stop(self) -> None:
        for process in self.processes:
            process.send(signal.SIGCONT)
            assert process.stop() == 0


def content_of(unit: Unit) -> bytes:
    return content_digest(unit.params, unit.resources)


def state_of(records: list[Record]) -> dict[str, bytes]:
    last = {record.key: record.value for record in records if record.key != GENESIS_KEY}
    return {key: content_of(decode(value, Unit)) for key, value in last.items() if value is not None}


def check_history(records: list[Record]) -> None:
    """One genesis, at the beginning; and no key is ever again as it was, since no edit goes back."""
    assert [record.offset for record in records if record.key == GENESIS_KEY] == [records[0].offset]
    seen: set[tuple[str, bytes | None]] = set()
    for record in records[1:]:
        content = record.key, None if record.value is None else content_of(decode(record.value, Unit))
        assert content not in seen, f"{record.key} at {record.offset} is as it was before"
        seen.add(content)


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replicas]:
    if request.param == "kafka":
        broker = request.getfixturevalue("kafka")
        url = f"kafka://{broker.bootstrap}?session_timeout_ms=2000"
    else:
        url = f"sqlite://{tmp_path}/log.db"
    running = Replicas(tmp_path, url)
    yield running
    running.stop()


def test_a_standby_takes_over_from_a_leader_that_was_killed_while_the_source_changes(replicas: Replicas):
    pauses = random.Random(4)
    leader = replicas.start()
    replicas.leads(leader)
    replicas.settled()
    standby = replicas.start()
    for _ in range(3):
        for _ in range(5):
            replicas.edit()
            time.sleep(pauses.random() * 0.2)  # edits fall anywhere into what the leader does
        leader.kill()
        replicas.processes.remove(leader)
        replicas.edit()
        replicas.leads(standby)
        leader, standby = standby, replicas.start()
        replicas.settled()
    assert "leads" not in standby.text()


def test_a_standby_takes_over_from_a_leader_that_ends(replicas: Replicas):
    leader = replicas.start()
    replicas.leads(leader)
    standby = replicas.start()
    before = replicas.settled()
    assert leader.stop() == 0
    replicas.processes.remove(leader)
    replicas.leads(standby)
    replicas.edit()
    assert len(replicas.settled()) == len(before) + 1


@pytest.mark.kafka
def test_a_leader_that_was_stopped_writes_nothing_when_it_wakes_and_stands_by(tmp_path: Path, kafka):
    """On a broker, that is; the next test is about the embedded log."""
    replicas = Replicas(tmp_path, f"kafka://{kafka.bootstrap}?session_timeout_ms=2000")
    try:
        stopped = replicas.start()
        replicas.leads(stopped)
        replicas.settled()
        standby = replicas.start()
        stopped.send(signal.SIGSTOP)
        replicas.edit()
        replicas.leads(standby)
        replicas.settled()
        replicas.edit()
        before = replicas.settled()
        stopped.send(signal.SIGCONT)
        replicas.has_said(stopped, "stands by", 2)
        assert replicas.records() == before
        replicas.edit()
        replicas.settled()
        standby.kill()
        replicas.processes.remove(standby)
        replicas.leads(stopped, 2)
        replicas.edit()
        replicas.settled()
    finally:
        replicas.stop()


def test_a_leader_on_the_embedded_log_that_was_stopped_goes_on_where_it_was(tmp_path: Path):
    replicas = Replicas(tmp_path, f"sqlite://{tmp_path}/log.db")
    try:
        stopped = replicas.start()
        replicas.leads(stopped)
        before = replicas.settled()
        standby = replicas.start()
        stopped.send(signal.SIGSTOP)
        replicas.edit()
        time.sleep(1)  # nothing tells that something does not happen
        assert replicas.records() == before
        stopped.send(signal.SIGCONT)
        replicas.settled()
        assert "leads" not in standby.text()
    finally:
        replicas.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_befalls_producers_and_broker_no_record_is_one_too_many(tmp_path: Path, kafka, seed: int):
    faults = random.Random(seed)
    replicas = Replicas(tmp_path, f"kafka://{kafka.bootstrap}?session_timeout_ms=2000&timeout_ms=3000")
    try:
        replicas.start()
        replicas.start()
        for _ in range(FAULT_COUNT):
            process = faults.choice(replicas.processes)
            fault = faults.choice(["edit", "edit", "kill", "end", "stop", "stop", "broker"])
            if fault == "kill":
                process.kill()
                replicas.replace(process)
            elif fault == "end":
                assert process.stop() == 0
                replicas.replace(process)
            elif fault == "stop":
                process.send(signal.SIGSTOP)
                replicas.edit()
                time.sleep(faults.random() * 5)
                process.send(signal.SIGCONT)
            elif fault == "broker":
                kafka.stop()
                time.sleep(faults.random() * 5)
                kafka.start()
            replicas.edit()
            time.sleep(faults.random())
        replicas.settled()
    finally:
        replicas.stop()
