"""`meshferry up` on the quickstart: what a user does first, and what must survive."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from schemas.keys import TopicKind, topic
from tests.e2e.process import PROJECT, EtcdClient, Meshferry, State, changed_keys, directories, eventually, free_port
from tests.e2e.secrecy import Needles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.watch_client import Client, Watch

QUICKSTART = PROJECT / "examples" / "quickstart" / "envoy.yaml"
LAST_ROUTE = "                        - name: search\n"
NEW_ROUTE = """\
                        - name: version
                          match: { path: /version }
                          direct_response: { status: 200, body: { inline_string: "1" } }
"""
FIRST_LINE_OF_API = "                    - name: api\n"
FIRST_LINE_AFTER_API = "\n    - name: https\n"


class Up:
    """A running `meshferry up` on a copy of the quickstart file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "envoy.yaml"
        shutil.copy(QUICKSTART, self.file)
        self.port = free_port()
        self.etcd = EtcdClient(self.port)
        self.process = self.start()

    def start(self) -> Meshferry:
        listen = f"127.0.0.1:{self.port}"
        arguments = ("up", str(self.file), "--view", "quickstart", "--etcd-listen", listen)
        return Meshferry(*arguments, "--state", str(self.folder / "state"), cwd=self.folder)

    def settled(self) -> State:
        """The state once every unit of the file has arrived (the last one written is the unit `view`)."""
        return eventually(lambda: (state := self.etcd.state()).values("global_rules") and state, self.process.text())

    def edit(self, old: str, new: str) -> None:
        """Replace text in the file, atomically."""
        text = self.file.read_text()
        assert old in text
        replacement = self.folder / "envoy.yaml.new"
        replacement.write_text(text.replace(old, new))
        replacement.rename(self.file)


@pytest.fixture
def up(tmp_path: Path):
    running = Up(tmp_path)
    yield running
    running.process.stop()


async def one_line(watch: Watch, up: Up, before: State) -> State:
    """The next line brings exactly what differs from before."""
    line = await watch.line()
    after = up.etcd.state()
    assert {event.key.decode() for event in line.events} == changed_keys(before, after)
    return after


async def test_the_first_start_prints_the_snippet_and_serves_the_file(up: Up):
    state = up.settled()
    assert len(state.values("routes")) >= 6
    assert len(state.values("upstreams")) >= 3
    assert state.values("ssls")
    assert up.process.wait_for_line("config_provider: etcd")
    assert f"127.0.0.1:{up.port}/v3/kv/range" in up.process.wait_for_line("curl ")


async def test_each_change_is_one_watch_line_with_only_what_changed(up: Up, client: Client):
    before = up.settled()
    watch = await client.watch(up.port)
    up.edit("weight: 90", "weight: 80")
    weighted = await one_line(watch, up, before)
    assert directories(changed_keys(before, weighted)) == {"plugin_configs"}

    up.edit(LAST_ROUTE, NEW_ROUTE + LAST_ROUTE)
    added = await one_line(watch, up, weighted)
    assert len(added.values("routes")) == len(weighted.values("routes")) + 1
    assert directories(changed_keys(weighted, added)) == {"routes"}

    text = up.file.read_text()
    up.edit(text[text.index(FIRST_LINE_OF_API) : text.index(FIRST_LINE_AFTER_API)], "")
    deleted = await one_line(watch, up, added)
    gone = added.keys.keys() - deleted.keys.keys()
    assert gone
    assert directories(gone) == {"routes", "upstreams"}  # orders and search are used by nobody any more
    assert not [route for route in deleted.values("routes") if route.get("hosts") == ["*.api.example.com"]]


async def test_a_touch_writes_nothing(up: Up, client: Client):
    before = up.settled()
    watch = await client.watch(up.port)
    up.file.touch()
    up.edit("weight: 90", "weight: 90 ")
    up.edit("weight: 90 ", "weight: 85")
    after = await one_line(watch, up, before)
    assert len(watch.recording.lines) == 2  # created, and the one real change
    assert after.revision == before.revision + 1


async def test_a_broken_file_keeps_the_last_good_state_and_says_where(up: Up):
    before = up.settled()
    text = up.file.read_text()
    number = 1 + text[: text.index("prefix_rewrite:")].count("\n")
    up.edit("prefix_rewrite:", "prefix_rewrite: [1] #")
    said = up.process.wait_for_line("prefix_rewrite")
    assert f"envoy.yaml:{number}" in said
    up.edit("static_resources:", "static_resources: [")
    up.process.wait_for_line("not YAML")
    after = up.etcd.state()
    assert after.keys == before.keys
    assert after.revision == before.revision


async def test_kill_9_at_any_moment_changes_nothing(up: Up, client: Client):
    before = up.settled()
    for attempt in range(4):
        if attempt % 2:
            watch = await client.watch(up.port)
            up.edit("weight: 9", "weight: 8") if attempt == 1 else up.edit("weight: 8", "weight: 9")
            await watch.line()
            before = up.etcd.state()
        up.process.kill()
        up.process = up.start()
        state = eventually(up.etcd.state, f"an answer after kill {attempt}")
        assert state.keys == before.keys
        assert state.revision >= before.revision


async def test_no_private_key_is_written_or_said(up: Up):
    [key] = [ssl["key"] for ssl in up.settled().values("ssls")]
    needles = Needles(key)
    up.edit("weight: 90", "weight: 80")
    url = f"sqlite://{up.folder}/state/log.db"
    up.process.wait_for_line("1 units written")
    settings = up.folder / "meshferry.yaml"
    settings.write_text(f"log: {{url: '{url}'}}\nviews: {{quickstart: {{source: {{file: '{up.file}'}}}}}}\n")

    def status() -> str:
        process = Meshferry("status", "-o", "json", "--settings", str(settings), cwd=up.folder)
        assert process.stop_when_done() == 0, process.text()
        return process.text()

    shown = eventually(lambda: '"nodes": []' not in (text := status()) and text, "a node")
    assert await needles.in_topics(url, *(topic("meshferry.", "quickstart", kind) for kind in TopicKind)) == {}
    up.edit("MIGHAgEAMBMG", "MIGHAgEAMBMH")
    up.process.wait_for_line("SEC-KEYPAIR", 10)
    assert needles.in_folder(up.folder / "state") == {}
    assert needles.in_bytes((up.process.text() + shown).encode()) == []
    up.process.stop()
    assert needles.in_folder(up.folder / "state") == {}  # the agent's last-known-good state included
    assert needles.in_bytes(QUICKSTART.read_bytes()), "what is looked for is not what the file holds"


async def test_a_second_agent_on_the_same_state_is_refused(up: Up):
    up.settled()
    arguments = ("up", str(up.file), "--view", "quickstart", "--etcd-listen", f"127.0.0.1:{free_port()}")
    second = Meshferry(*arguments, "--state", str(up.folder / "state"), cwd=up.folder)
    assert second.stop_when_done() == 1
    assert "another" in second.text()
    assert "Traceback" not in second.text()
