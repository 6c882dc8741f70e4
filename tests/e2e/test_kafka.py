"""Producer, translator and agent as three processes over a real Kafka broker."""

from __future__ import annotations

import asyncio
import shutil
import signal
import uuid
from typing import TYPE_CHECKING

import pytest

from pipeline.log import open_log
from schemas.keys import TopicKind, topic
from tests.e2e.process import PROJECT, EtcdClient, Meshferry, State, changed_keys, directories, eventually, free_port
from tests.e2e.secrecy import Needles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.watch_client import Client

pytestmark = pytest.mark.kafka


class Roles:
    """The three roles on one view of their own."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder = folder
        self.file = folder / "envoy.yaml"
        shutil.copy(PROJECT / "examples" / "quickstart" / "envoy.yaml", self.file)
        self.port = free_port()
        self.etcd = EtcdClient(self.port)
        self.url = f"kafka://{bootstrap}"
        self.view = view = f"v{uuid.uuid4().hex[:10]}"
        (folder / "meshferry.yaml").write_text(
            f"log: {{url: 'kafka://{bootstrap}'}}\n"
            f"views: {{{view}: {{source: {{file: '{self.file}'}}}}}}\n"
            f"translator: {{group: 'translator-{view}'}}\n"
            f"seal: {{directory: '{folder}/keys'}}\n"
            f"agent: {{listen: '127.0.0.1:{self.port}', state: '{folder}/agent'}}\n"
        )
        self.processes: dict[str, Meshferry] = {}

    def run(self, *arguments: str) -> Meshferry:
        return Meshferry(*arguments, "--settings", str(self.folder / "meshferry.yaml"), cwd=self.folder)

    def output(self, *arguments: str) -> str:
        """What a command says, once it has ended."""
        process = self.run(*arguments)
        assert process.stop_when_done() == 0
        return process.text()

    def start(self, *roles: str) -> None:
        for role in roles:
            self.processes[role] = self.run(role)

    def kill(self, role: str) -> None:
        self.processes[role].kill()
        self.start(role)

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()

    def edit(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        replacement = self.folder / "envoy.yaml.new"
        replacement.write_text(text.replace(old, new))
        replacement.rename(self.file)

    def add_view(self, name: str) -> None:
        settings = self.folder / "meshferry.yaml"
        view = f"{name}: {{source: {{file: '{self.file}'}}}}"
        settings.write_text(settings.read_text().replace("views: {", f"views: {{{view}, "))

    def settled(self):
        return eventually(lambda: (state := self.etcd.state()).values("global_rules") and state, "all units")

    def said(self) -> str:
        return "\n".join(f"--- {role}\n{process.text()}" for role, process in self.processes.items())


@pytest.fixture
def roles(tmp_path: Path, kafka):
    running = Roles(tmp_path, kafka.bootstrap)
    assert running.run("topics", "apply").stop_when_done() == 0
    running.start("producer", "translator", "agent")
    yield running
    running.stop()


async def test_a_change_of_the_file_arrives_as_one_watch_line(roles: Roles, client: Client):
    before = roles.settled()
    assert before.values("routes")
    assert before.values("ssls")
    watch = await client.watch(roles.port)
    roles.edit("weight: 90", "weight: 80")
    line = await watch.line()
    assert {event.key.decode() for event in line.events} == changed_keys(before, roles.etcd.state())
    assert directories({event.key.decode() for event in line.events}) == {"plugin_configs"}


def next_state(roles: Roles, before: State, what: str, timeout_s: float = 60.0) -> State:
    def probe() -> State | None:
        state = roles.etcd.state()
        return state if state.keys != before.keys else None

    return eventually(probe, f"{what}\n{roles.said()}", timeout_s)


def test_every_role_may_be_killed(roles: Roles):
    before = roles.settled()
    weight = 90
    for role in ("producer", "translator", "agent"):
        roles.kill(role)
        roles.edit(f"weight: {weight}", f"weight: {weight - 1}")
        weight -= 1
        after = next_state(roles, before, f"weight {weight} after killing the {role}")
        assert directories(changed_keys(before, after)) == {"plugin_configs"}
        assert after.revision > before.revision
        before = after


def test_a_broker_that_goes_away_and_comes_back_loses_nothing(roles: Roles, kafka):
    before = roles.settled()
    kafka.stop()
    try:
        assert roles.etcd.state().keys == before.keys
        roles.edit("weight: 90", "weight: 70")
        roles.kill("agent")
        served = eventually(roles.etcd.state, "last-known-good state without a broker")
        assert served.keys == before.keys
        assert served.revision >= before.revision
    finally:
        kafka.start()
    after = next_state(roles, served, "the change that was made while the broker was away")
    assert directories(changed_keys(before, after)) == {"plugin_configs"}


async def test_no_topic_holds_a_private_key(roles: Roles):
    [key] = [ssl["key"] for ssl in roles.settled().values("ssls")]
    needles = Needles(key)
    roles.edit("weight: 90", "weight: 80")
    roles.kill("producer")
    status = eventually(lambda: '"nodes": []' not in (text := roles.output("status", "-o", "json")) and text, "a node")
    topics = [topic("meshferry.", roles.view, kind) for kind in TopicKind]
    assert await needles.in_topics(roles.url, *topics) == {}
    assert needles.in_folder(roles.folder, roles.file) == {}
    assert needles.in_bytes((roles.said() + status).encode()) == []
    assert needles.in_bytes(roles.file.read_bytes()), "what is looked for is not what the file holds"


async def test_a_view_comes_by_a_reload_and_the_other_goes_on(roles: Roles):
    before = roles.settled()
    late = f"{roles.view}-late"
    roles.add_view(late)
    roles.processes["producer"].wait_for_line(f"started {late}, 1 unchanged")
    roles.processes["translator"].wait_for_line(f"{late}.units: no such topic")
    roles.output("topics", "apply")
    for role in ("producer", "translator"):
        roles.processes[role].send(signal.SIGHUP)
    roles.processes["translator"].wait_for_line(f"settings read again: views {roles.view}, {late}")
    async with open_log(roles.url) as log, asyncio.timeout(60):
        async for batch in log.follow(topic("meshferry.", late, TopicKind.BUNDLES), 0):
            if any(record.key == "view" for record in batch):
                break
    assert roles.etcd.state().keys == before.keys
    roles.edit("weight: 90", "weight: 80")
    assert next_state(roles, before, "a change in the view that went on")
    assert "Traceback" not in roles.said()
