"""`meshferry up` on the quickstart: what a user does first, and what must survive."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conformance.recorder import WatchRecorder
from tests.e2e.process import PROJECT, EtcdClient, Meshferry, eventually, free_port

QUICKSTART = PROJECT / "examples" / "quickstart" / "envoy.yaml"


class Up:
    """A running `meshferry up` on a copy of the quickstart file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "envoy.yaml"
        shutil.copy(QUICKSTART, self.file)
        self.port = free_port()
        self.client = EtcdClient(self.port)
        self.process = self.start()

    def start(self) -> Meshferry:
        listen = f"127.0.0.1:{self.port}"
        arguments = ("up", str(self.file), "--view", "quickstart", "--etcd-listen", listen)
        return Meshferry(*arguments, "--state", str(self.folder / "state"), cwd=self.folder)

    def settled(self):
        """The state once every unit of the file has arrived (the last one written is the unit `view`)."""
        return eventually(lambda: (state := self.client.state()).values("global_rules") and state, "all units")

    def edit(self, old: str, new: str) -> None:
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


def test_the_first_start_prints_the_snippet_and_serves_the_file(up: Up):
    state = up.settled()
    assert len(state.values("routes")) >= 6
    assert len(state.values("upstreams")) >= 3
    assert state.values("ssls")
    assert up.process.wait_for_line("provider: etcd")
    assert up.process.wait_for_line("curl ")


def test_each_change_is_one_watch_line_with_only_what_changed(up: Up):
    up.settled()
    with WatchRecorder(up.port, "/apisix/") as watch:
        before = up.client.state()
        up.edit("weight: 90", "weight: 80")
        line = watch.next_line()
        after = up.client.state()
        changed = {key for key in before.keys | after.keys if before.keys.get(key) != after.keys.get(key)}
        assert {event.key for event in line.events} == changed
        assert {key.split("/")[2] for key in changed} == {"plugin_configs"}
        assert watch.is_idle()


def test_a_touch_writes_nothing(up: Up):
    before = up.settled()
    with WatchRecorder(up.port, "/apisix/") as watch:
        up.file.touch()
        up.edit("weight: 90", "weight: 90 ")
        assert watch.is_idle(seconds=1.0)
    assert up.client.state().revision == before.revision


def test_a_broken_file_keeps_the_last_good_state_and_says_where(up: Up):
    before = up.settled()
    text = up.file.read_text()
    line = 1 + text[: text.index("prefix_rewrite")].count("\n")
    up.edit("prefix_rewrite:", "prefix_rewrit:")
    said = up.process.wait_for_line("prefix_rewrit")
    assert f"envoy.yaml:{line}" in said
    after = up.client.state()
    assert after.keys == before.keys


def test_kill_9_at_any_moment_changes_nothing(up: Up):
    before = up.settled()
    for attempt in range(5):
        up.process.kill()
        up.process = up.start()
        state = eventually(lambda: up.client.state(), f"answer after kill {attempt}")
        assert state.keys == before.keys
        assert state.revision >= before.revision
