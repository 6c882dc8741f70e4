"""What users break while meshferry runs: it says so in one line, ends as it should, and serves on what it served."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.process import PROJECT, EtcdClient, Meshferry, State, eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICKSTART = PROJECT / "examples" / "quickstart" / "envoy.yaml"
QUICKLY_S = 5.0


class Up:
    """`meshferry up` on a copy of the quickstart file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "envoy.yaml"
        shutil.copy(QUICKSTART, self.file)
        self.port = free_port()
        self.etcd = EtcdClient(self.port)
        self.process = self.start()

    def start(self, *source: str) -> Meshferry:
        listen = ("--etcd-listen", f"127.0.0.1:{self.port}", "--state", str(self.folder / "state"))
        return Meshferry("up", *(source or (str(self.file),)), *listen, cwd=self.folder)

    def settled(self) -> State:
        return eventually(lambda: (state := self.etcd.state()).values("global_rules") and state, self.process.text())


@pytest.fixture
def up(tmp_path: Path):
    running = Up(tmp_path)
    yield running
    running.process.stop()


def replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.rename(path)


def enlarge(path: Path) -> None:
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.truncate(100 << 20)
    new.rename(path)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_route(text: str) -> Callable[[Path], None]:
    """Put a route in front of the search route."""
    marker = "                        - name: search\n"

    def change(path: Path) -> None:
        found = path.read_text()
        assert marker in found
        replace(path, found.replace(marker, f"                        - {text}\n{marker}", 1).encode())

    return change


BREAKAGES: list[tuple[Callable[[Path], None], str]] = [
    (lambda path: replace(path, b""), "envoy.yaml: the file is empty"),
    (lambda path: replace(path, b"static_resources: {\n"), "envoy.yaml:2: not YAML"),
    (lambda path: replace(path, b"static_resources:\n- \xff\xfe"), "envoy.yaml:2: not UTF-8"),
    (lambda path: replace(path, b"[1]"), "envoy.yaml: 0: a resource with @type is expected"),
    (lambda path: replace(path, b'{"dynamic_resources": {}}'), "use an xds source"),
    (enlarge, "envoy.yaml: larger than 64 MiB (split the view"),
    (with_route("{match: {prefix: [1]}}"), "match.prefix"),
    (with_route("{match: {prefix: /x}, wobble: 1}"), "wobble: Route has no field wobble"),
    (with_route("{direct_response: {status: 200}}"), "no path to match"),
    (lambda path: path.unlink(), "envoy.yaml: No such file or directory (check the path"),
    (make_directory, "envoy.yaml: no .yaml, .yml or .json file in it (put the resources there)"),
]


def test_whatever_becomes_of_the_file_what_was_served_is_served(up: Up):
    before = up.settled()
    for breakage, message in BREAKAGES:
        if up.file.is_dir():
            up.file.rmdir()
        shutil.copy(QUICKSTART, up.file.with_suffix(".good"))
        up.file.with_suffix(".good").rename(up.file)
        breakage(up.file)
        line = up.process.wait_for_line(message)
        assert line.endswith("; the last good state stays")
        assert up.etcd.state().keys == before.keys
    assert "Traceback" not in up.process.text()
    up.file.rmdir()
    replace(up.file, QUICKSTART.read_bytes().replace(b"weight: 90", b"weight: 80"))
    eventually(lambda: up.etcd.state().keys != before.keys, "the next good file")


def test_a_start_with_a_broken_file_serves_the_last_good_state(up: Up):
    before = up.settled()
    assert up.process.stop() == 0
    replace(up.file, b"static_resources: [")
    up.process = up.start()
    up.process.wait_for_line("not YAML")
    after = eventually(up.etcd.state, "the last good state")
    assert after.keys == before.keys
    assert after.revision >= before.revision


def test_a_control_plane_that_is_not_there_is_said_and_the_state_stays(up: Up):
    before = up.settled()
    up.process.stop()
    up.process = up.start("--xds", f"127.0.0.1:{free_port()}", "--node-id", "n")
    line = up.process.wait_for_line("cannot connect")
    assert "check address, port" in line
    assert line.endswith("; the last good state stays")
    assert up.etcd.state().keys == before.keys


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quickly_with_0_and_without_noise(up: Up, number: signal.Signals):
    up.settled()
    up.process.wait_for_line("curl ")
    before = up.process.text()
    started_s = time.monotonic()
    up.process.send(number)
    assert up.process.stop_when_done() == 0
    assert time.monotonic() - started_s < QUICKLY_S
    assert "Traceback" not in up.process.text()
    assert up.process.text() == before


def test_a_port_in_use_is_1_and_names_the_address(up: Up):
    up.settled()
    second = Meshferry(
        "up", str(up.file), "--etcd-listen", f"127.0.0.1:{up.port}", "--state", str(up.folder / "s2"), cwd=up.folder
    )
    assert second.stop_when_done() == 1
    wanted = f"meshferry: cannot listen on 127.0.0.1:{up.port}: Address already in use: choose another address"
    assert second.text().splitlines()[-1] == wanted
    assert "Traceback" not in second.text()


def test_a_log_of_another_version_stops_the_start_and_not_the_state(up: Up):
    before = up.settled()
    up.process.stop()

    def set_version(number: int) -> None:
        connection = sqlite3.connect(up.folder / "state" / "log.db")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.close()

    set_version(99)
    up.process = up.start()
    assert up.process.stop_when_done() == 78
    [line] = up.process.text().splitlines()
    assert "log.db: a log of version 99, this meshferry reads version 1; use the release that wrote it" in line
    set_version(1)
    up.process = up.start()
    assert up.settled().keys == before.keys


def test_an_agent_with_a_state_serves_it_though_its_log_cannot_be_opened(up: Up):
    before = up.settled()
    up.process.stop()
    state = up.folder / "state"
    (up.folder / "agent.yaml").write_text(
        f"log: {{url: 'sqlite://{state}/log.db'}}\n"
        "views: {default: {}}\n"
        f"seal: {{directory: '{state}/keys'}}\n"
        f"agent: {{listen: '127.0.0.1:{up.port}', state: '{state}/agent'}}\n"
    )
    aside = up.folder / "aside"
    aside.mkdir()
    for file in state.glob("log.db*"):
        file.rename(aside / file.name)
    (state / "log.db").write_bytes(b"not a database" * 1000)
    up.process = Meshferry("agent", "--settings", str(up.folder / "agent.yaml"), cwd=up.folder)
    assert "serving the last good state" in up.process.wait_for_line("log.db")
    assert up.settled().keys == before.keys
    for file in aside.iterdir():
        file.replace(state / file.name)
    assert eventually(lambda: up.etcd.get("/readyz").startswith(b"live"), up.process.text())
    assert up.etcd.state().keys == before.keys


class Roles:
    """Roles as processes on a log that may not be there."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.etcd = EtcdClient(self.port)
        shutil.copy(QUICKSTART, folder / "envoy.yaml")
        (folder / "meshferry.yaml").write_text(
            f"log: {{url: '{url}'}}\n"
            f"views: {{edge: {{source: {{file: '{folder}/envoy.yaml'}}}}}}\n"
            f"seal: {{directory: '{folder}/keys'}}\n"
            f"agent: {{listen: '127.0.0.1:{self.port}', state: '{folder}/agent'}}\n"
        )

    def run(self, *arguments: str) -> Meshferry:
        return Meshferry(*arguments, "--settings", str(self.folder / "meshferry.yaml"), cwd=self.folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_broker_roles_wait_say_so_in_one_line_and_end_with_0(tmp_path: Path, number: signal.Signals):
    roles = Roles(tmp_path, "kafka://127.0.0.1:1")
    running = {role: roles.run(role) for role in ("producer", "translator", "agent")}
    for role, process in running.items():
        line = process.wait_for_line("no broker answers; check its address")
        assert "Kafka at 127.0.0.1:1: " in line, role
        assert "trying again" in line
    started_s = time.monotonic()
    for process in running.values():
        process.send(number)
    for role, process in running.items():
        assert process.stop_when_done() == 0, role
        assert "Traceback" not in process.text()
        assert all(line[0].isdigit() for line in process.text().splitlines()), process.text()  # log lines only
    assert time.monotonic() - started_s < QUICKLY_S


def test_an_agent_waits_for_a_missing_topic_and_serves_what_it_has(tmp_path: Path):
    roles = Roles(tmp_path, f"sqlite://{tmp_path}/log.db")
    agent = roles.run("agent")
    line = agent.wait_for_line("no such topic; create it with `meshferry topics apply`")
    assert line.endswith("no state to serve yet, trying again")
    for role in ("producer", "translator"):
        process = roles.run(role)
        assert process.stop_when_done() == 78
        assert "create it with `meshferry topics apply`" in process.text()
    assert roles.run("topics", "apply").stop_when_done() == 0
    others = [roles.run(role) for role in ("producer", "translator")]
    before = eventually(lambda: (state := roles.etcd.state()).values("global_rules") and state, agent.text())
    for process in (*others, agent):
        assert process.stop() == 0
    for path in tmp_path.glob("log.db*"):
        path.unlink()
    agent = roles.run("agent")
    line = agent.wait_for_line("no such topic")
    assert line.endswith("serving the last good state, trying again")
    assert roles.etcd.state().keys == before.keys
    assert agent.stop() == 0
    assert agent.text().count("no such topic") == 1  # the same reason is said once


def test_json_logs_are_one_object_a_line(tmp_path: Path):
    roles = Roles(tmp_path, "kafka://127.0.0.1:1")
    (tmp_path / "meshferry.yaml").write_text((tmp_path / "meshferry.yaml").read_text() + "logging: {format: json}\n")
    process = roles.run("translator")
    process.wait_for_line("no broker answers")
    assert process.stop() == 0
    assert {json.loads(line)["level"] for line in process.text().splitlines()} == {"INFO", "WARNING"}
