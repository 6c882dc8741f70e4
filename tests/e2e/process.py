"""Run `meshferry` as the processes users run, and talk to its etcd API."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]
START_TIMEOUT_S = 30.0


def free_port() -> int:
    """Give a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(probe: Callable[[], Any], what: str, timeout_s: float = START_TIMEOUT_S) -> Any:
    """Wait until a probe gives something; connection errors count as nothing yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if found := probe():
                return found
        if time.monotonic() > deadline:
            pytest.fail(f"never happened within {timeout_s} s: {what}")
        threading.Event().wait(0.02)


class Meshferry:
    """One `meshferry` process; its output is kept for assertions."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        self.lines: deque[str] = deque(maxlen=2000)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**environment, "PYTHONPATH": str(PROJECT)},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for_line(self, text: str, timeout_s: float = START_TIMEOUT_S) -> str:
        """Wait until the process has said something."""
        found = eventually(
            lambda: next((line for line in list(self.lines) if text in line), None),
            f"{text!r} in {self.text()}",
            timeout_s,
        )
        return str(found)

    def text(self) -> str:
        """Give everything said so far."""
        return "\n".join(self.lines)

    def kill(self) -> None:
        """Kill -9, children included only if they watch their parent."""
        self._process.kill()
        self._wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """End it as systemd would."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._wait()
            raise

    def stop_when_done(self) -> int:
        """Wait until it ends by itself."""
        return self._wait()

    def _wait(self) -> int:
        code = self._process.wait(START_TIMEOUT_S)
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


class EtcdClient:
    """The etcd v3 HTTP/JSON API of a port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One unary call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
            data = response.read()
            if response.status != 200:
                raise http.client.HTTPException(f"{response.status} {data!r}")
            return json.loads(data)
        finally:
            connection.close()

    def get(self, path: str) -> bytes:
        """One GET, whatever its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def state(self) -> State:
        """Give all keys below /apisix/ except placeholders, with the header revision."""
        answer = self.post("/v3/kv/range", {"key": b64("/apisix/"), "range_end": b64("/apisix0")})
        keys = {}
        for kv in answer.get("kvs", []):
            key, value = base64.b64decode(kv["key"]).decode(), base64.b64decode(kv["value"])
            if value != b"init_dir":
                keys[key] = (json.loads(value), int(kv["mod_revision"]), int(kv["create_revision"]), int(kv["version"]))
        return State(int(answer["header"]["revision"]), keys)


class State:
    """Keys and revision at one moment."""

    def __init__(self, revision: int, keys: dict[str, tuple[dict[str, Any], int, int, int]]) -> None:
        self.revision = revision
        self.keys = keys

    def values(self, directory: str) -> list[dict[str, Any]]:
        """Give the values of one directory."""
        return [entry[0] for key, entry in self.keys.items() if key.startswith(f"/apisix/{directory}/")]


def b64(text: str) -> str:
    """Base64 as the gateway wants it."""
    return base64.b64encode(text.encode()).decode()


def changed_keys(before: State, after: State) -> set[str]:
    """Keys that were added, removed or have another value or mod_revision."""
    keys = before.keys.keys() | after.keys.keys()
    return {key for key in keys if before.keys.get(key) != after.keys.get(key)}


def directories(keys: set[str]) -> set[str]:
    """The etcd directories of keys."""
    return {key.split("/")[2] for key in keys}
