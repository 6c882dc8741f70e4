"""Start a server for a bench, and read what it costs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 20.0


class Server:
    """A server process that is ended with the bench."""

    def __init__(self, command: Sequence[str], port: int | None, log: Path) -> None:
        """Start it and, where it has a port, wait until that answers."""
        self.port = port or 0
        self._command = command
        self._log = log
        self._process = self._started()
        deadline = time.monotonic() + START_TIMEOUT_S
        while port and not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start; see {log}")
            time.sleep(0.05)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(self._command, stdout=output, stderr=output)

    def restart(self) -> None:
        """Kill it and start it again at once."""
        self.kill()
        self._process = self._started()

    def kill(self) -> None:
        """Kill it and what it has started."""
        for pid in tuple(self._pids()):
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def child(self) -> int:
        """Give the process that serves under a parent, the oldest where there are two."""
        return next(pid for pid in self._pids() if pid != self.pid)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    def _pids(self) -> Iterator[int]:
        """The process and its children: an agent may have a parent that holds the socket."""
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting.extend(int(child) for child in children.read_text().split())

    def cpu_s(self) -> float:
        """Give the CPU time used so far, user and system."""
        total = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS_PER_S

    def rss_bytes(self) -> int:
        """Give the resident memory."""
        total = 0
        for pid in self._pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total

    def stop(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """Give a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
