"""A real etcd to compare with: the one of the system, and the one that tests/peers/etcd has inside."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.peers.go_control_plane import BUILD_TIMEOUT_S, find_go

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".cache" / "etcd-peer"
DEADLINE_S = 30.0


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on, all at once so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def find_etcd() -> str:
    """Give the system's etcd; a machine without it is a failure, for it is what the answers are compared with."""
    program = shutil.which("etcd")
    if program is None:
        pytest.fail(
            "etcd is not on the PATH: the agent's answers are compared with a real etcd 3.4; install the package "
            "etcd-server, or unpack a release of https://github.com/etcd-io/etcd into the PATH"
        )
    return program


def build_program() -> None:
    """Build tests/peers/etcd; what stands in the way is a failure that says it."""
    PROGRAM.parent.mkdir(exist_ok=True)
    command = [find_go(), "build", "-mod=readonly", "-o", str(PROGRAM), "."]
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false"}
    folder = ROOT / "tests/peers/etcd"
    built = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if built.returncode:
        pytest.fail(f"{' '.join(command)}: {built.stderr.decode(errors='replace')[-2000:]}")


def run_program(*arguments: str) -> Any:
    """Run the client; gives the answers by operation, or None where it prints none."""
    done = subprocess.run([str(PROGRAM), *arguments], capture_output=True, timeout=4 * DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return json.loads(done.stdout) if done.stdout else None


class RealEtcd:
    """A running etcd of one member, with a data directory of its own.

    Args:
        directory: made by the caller.
        command: the program up to its options, or up to directory and URLs where it is ours.
    """

    def __init__(self, directory: Path, command: Sequence[str]) -> None:
        self.port, peer_port = free_ports(2)
        self.url, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peer_port}"
        self._log = (directory / "etcd.log").open("wb")
        self._process = subprocess.Popen(
            [*command, *self._arguments(directory / "data", peer)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            cwd=directory,
        )
        self._wait(directory)

    def _arguments(self, data: Path, peer: str) -> list[str]:
        return [
            f"--data-dir={data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def _wait(self, directory: Path) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                pytest.fail(f"etcd did not start: {(directory / 'etcd.log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def _is_healthy(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """End it by its process id, and wait."""
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class EmbeddedEtcd(RealEtcd):
    """The server inside tests/peers/etcd."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, [str(PROGRAM), "serve"])

    def _arguments(self, data: Path, peer: str) -> list[str]:
        return [str(data), self.url, peer]
