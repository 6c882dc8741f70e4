"""What a process uses, as the system tells it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What must not grow."""

    rss_bytes: int
    fd_count: int
    thread_count: int

    def __str__(self) -> str:
        return f"{self.rss_bytes / 2**20:.1f} MiB, {self.fd_count} descriptors, {self.thread_count} threads"


def usage(pid: int) -> Usage:
    """Read what a process uses now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Usage(int(fields["VmRSS"].split()[0]) << 10, descriptors, int(fields["Threads"]))


def cpu_s(pid: int) -> float:
    """Give the CPU time a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
