"""The guard as an operator meets it: a source that comes up empty, what is held, and its approval."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.process import PROJECT, EtcdClient, Meshferry, eventually, free_port

if TYPE_CHECKING:
    from pathlib import Path

QUICKSTART = PROJECT / "examples" / "quickstart" / "envoy.yaml"
EMPTY = "static_resources: {}\n"


class Up:
    """A running `meshferry up` on a file that has been replaced by an empty one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(QUICKSTART, folder / "envoy.yaml")
        port = free_port()
        self.etcd = EtcdClient(port)
        self._arguments = ("up", "envoy.yaml", "--etcd-listen", f"127.0.0.1:{port}", "--state", "state")
        self.start()
        self.before = eventually(lambda: (s := self.etcd.state()).values("global_rules") and s, self.process.text())
        self.write(EMPTY)
        self.process.wait_for_line("removals held")

    def start(self) -> None:
        self.process = Meshferry(*self._arguments, cwd=self.folder)

    def write(self, text: str) -> None:
        new = self.folder / "envoy.yaml.new"
        new.write_text(text)
        new.rename(self.folder / "envoy.yaml")

    def call(self, *arguments: str) -> str:
        """Run another command to its end and give what it said."""
        command = Meshferry(*arguments, "--state", "state", cwd=self.folder)
        code = command.stop_when_done()
        assert code == 0, command.text()
        return command.text()

    def held(self) -> list[dict[str, Any]]:
        [view] = json.loads(self.call("status"))
        return view["held"]


@pytest.fixture
def up(tmp_path: Path):
    running = Up(tmp_path)
    yield running
    running.process.stop()


def test_an_emptied_source_is_held_across_a_restart_until_it_is_approved(up: Up):
    assert up.etcd.state().keys == up.before.keys
    up.process.kill()
    up.start()
    [held] = eventually(up.held, "the hold after a restart")
    assert held["kind"] == "removals"
    listed = up.call("approve", "--list")
    assert held["fingerprint"] in listed
    assert "  - cluster/" in listed
    eventually(lambda: up.etcd.state().keys == up.before.keys, "the agent serves again")

    assert "approved" in up.call("approve", held["fingerprint"])
    eventually(lambda: not up.etcd.state().values("routes"), "routes go")
    eventually(lambda: not up.held(), "nothing is held")


def test_a_source_that_comes_back_is_not_held_and_costs_no_record(up: Up):
    up.write(QUICKSTART.read_text())
    eventually(lambda: not up.held(), "nothing is held")
    assert up.etcd.state().keys == up.before.keys
    assert up.etcd.state().revision == up.before.revision
