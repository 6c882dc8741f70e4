"""Random edits, kill -9 of any role, the broker stopped and started: nothing is lost, doubled, or goes back.

One seed a run; `make torture SEEDS=20` runs more. A failure names its seed, and the same seed makes the same faults.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.process import PROJECT, EtcdClient, State, eventually
from tests.e2e.test_kafka import Roles
from tests.e2e.test_up import Up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SEEDS = range(1, 1 + int(os.environ.get("MESHFERRY_TORTURE_SEEDS", "1")))
ROUNDS = 12
PAUSE_S = 1.2


class Witness:
    """Looks at every answer: the revision never falls, and an unchanged value keeps its revisions and version."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._last: State | None = None

    def look(self) -> State | None:
        """Read the state, if the agent answers."""
        try:
            state = self._etcd.state()
        except (OSError, http.client.HTTPException):
            return None
        if self._last is not None:
            assert state.revision >= self._last.revision
            for key, (value, *numbers) in state.keys.items():
                before = self._last.keys.get(key)
                if before is not None and before[0] == value:
                    assert list(before[1:]) == numbers, key
        self._last = state
        return state

    def look_for(self, seconds: float) -> None:
        """Look again and again for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            time.sleep(0.02)

    def wait_for_what_the_file_says(self, file: Path, said: Callable[[], str]) -> None:
        """The end: what is served is what an offline translation of the file gives."""
        command = [sys.executable, "-m", "pipeline.cli", "translate", str(file)]
        printed = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout
        wanted = json.loads(printed)["resources"]

        def is_served() -> bool:
            state = self.look()
            values = {key.removeprefix("/apisix"): entry[0] for key, entry in state.keys.items()} if state else {}
            return values == wanted

        eventually(is_served, said(), 60.0)


def weights(faults: random.Random) -> Iterator[tuple[str, str]]:
    """Edits of the file: one weight after another."""
    weight = 90
    while True:
        following = faults.choice([other for other in range(1, 100) if other != weight])
        yield f"weight: {weight}\n", f"weight: {following}\n"
        weight = following


@pytest.mark.parametrize("seed", SEEDS)
def test_one_process_on_the_embedded_log(tmp_path: Path, seed: int):
    faults = random.Random(seed)
    edits = weights(faults)
    up = Up(tmp_path)
    try:
        witness = Witness(up.etcd)
        for _ in range(ROUNDS):
            if faults.random() < 0.4:
                up.process.kill()
                up.process = up.start()
            else:
                up.edit(*next(edits))
            witness.look_for(faults.random() * PAUSE_S)
        witness.wait_for_what_the_file_says(up.file, up.process.text)
    finally:
        up.process.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("seed", SEEDS)
def test_three_processes_on_kafka(tmp_path: Path, kafka, seed: int):
    faults = random.Random(seed)
    edits = weights(faults)
    roles = Roles(tmp_path, kafka.bootstrap)
    assert roles.run("topics", "apply").stop_when_done() == 0
    roles.start("producer", "translator", "agent")
    try:
        roles.settled()
        witness = Witness(roles.etcd)
        for _ in range(ROUNDS):
            event = faults.choice(["producer", "translator", "agent", "edit", "edit", "edit", "broker"])
            if event == "edit":
                roles.edit(*next(edits))
            elif event == "broker":
                kafka.stop()
                try:
                    witness.look_for(faults.random() * PAUSE_S)
                finally:
                    kafka.start()
            else:
                roles.kill(event)
            witness.look_for(faults.random() * PAUSE_S)
        witness.wait_for_what_the_file_says(roles.file, roles.said)
    finally:
        roles.stop()
