"""Kill everything while clients watch: `python -m tests.agent.torture.chaos [--log kafka|sqlite] [--seed N] …`.

Changes are written without a break while the serving process, its parent and the broker are killed, hung, handed over
and taken away, as the seed says. In the end each client's copy is what the log says, whatever it went through, and all
that all of them were ever told keeps the nine guarantees.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvloop
from rich.console import Console

from tests.agent.torture.follower_client import HTTPFollower
from tests.agent.torture.ground import Ground
from tests.agent.torture.grpc_follower import GRPCFollower
from tests.conformance.validators import check_monotone, validate
from tests.kafka.broker import find_broker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.agent.torture.follower_client import FollowerClient
    from tests.kafka.broker import Broker

FOLLOWERS = (HTTPFollower, GRPCFollower)
"""Every kind takes its turn."""
SETTLED_S = 90.0
MAX_BATCH = 5
MAX_PAUSE_S = 0.01
MAX_HANG_S = 1.0
PATIENT_SHARE = 0.7
MAX_TOLD_S = 5.0
WEIGHTS = {"kill the server": 5, "kill the parent": 2, "hang the server": 2, "hand over": 2, "stop the broker": 2}


class Size(NamedTuple):
    """How much of it."""

    watchers: int = 50
    changes: int = 5000
    faults: int = 50


class Report(NamedTuple):
    """What a run went through."""

    faults: Counter[str]
    watches: int
    lines: int
    events: int
    full_reads: int
    last_revision: int
    seconds: float


class Chaos:
    """One run on a ground."""

    def __init__(self, ground: Ground, seed: int, size: Size) -> None:
        self._ground = ground
        self._size = size
        self._edits = random.Random(f"edits {seed}")
        self._faults = random.Random(f"faults {seed}")
        self._done: Counter[str] = Counter()
        self._has_moved = asyncio.Condition()
        self._followers: list[FollowerClient] = [
            FOLLOWERS[number % len(FOLLOWERS)](ground.port, number) for number in range(size.watchers)
        ]

        self._seen = [0] * size.watchers

    async def run(self) -> Report:
        """Write, do the faults, and wait until every copy is what the log says.

        Raises:
            AssertionError: a copy differs, a guarantee was broken, or a process met a defect.
        """
        started_s = time.monotonic()
        following = [asyncio.create_task(follower.follow()) for follower in self._followers]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write())
                tasks.create_task(self._harm())
            await self._settle(following)
        finally:
            for task in following:
                task.cancel()
            await asyncio.wait(following)
        self._validate()
        return self._report(time.monotonic() - started_s)

    async def _write(self) -> None:
        """Write all changes, never far ahead of the faults."""
        step = self._size.changes / self._size.faults
        while (left := self._size.changes - self._ground.written) > 0:
            await self._ground.change(self._edits, min(left, self._edits.randrange(1, MAX_BATCH + 1)))
            async with self._has_moved:
                self._has_moved.notify_all()
                await self._has_moved.wait_for(
                    lambda: (
                        self._ground.written < (self._done.total() + 2) * step
                        or self._done.total() == self._size.faults
                    )
                )
            await asyncio.sleep(self._edits.random() * MAX_PAUSE_S)

    async def _harm(self) -> None:
        """Do one fault for each share of the changes: each kind once, then at random."""
        step = self._size.changes / self._size.faults
        kinds = [kind for kind in WEIGHTS if self._ground.broker is not None or kind != "stop the broker"]
        for number in range(self._size.faults):
            async with self._has_moved:
                await self._has_moved.wait_for(lambda number=number: self._ground.written >= number * step)
            if self._faults.random() < PATIENT_SHARE:
                await self._until_told()
            chosen = self._faults.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
            await self._do(kinds[number] if number < len(kinds) else chosen)

    async def _until_told(self) -> None:
        """Wait until every client was told something since the last fault, or there was nothing to tell."""

        def is_waiting() -> bool:
            return any(
                len(follower.headers) <= count for follower, count in zip(self._followers, self._seen, strict=True)
            )

        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_TOLD_S):
                while is_waiting():  # noqa: ASYNC110 - the clients know of no waiting
                    await asyncio.sleep(0.01)

    async def _do(self, kind: str) -> None:
        ground, faults = self._ground, self._faults
        await asyncio.sleep(faults.random() * 0.2)
        match kind:
            case "kill the server":
                ground.kill_child(faults)
            case "kill the parent":
                await ground.restart()
            case "hang the server":
                await ground.hang_child(faults, faults.random() * MAX_HANG_S)
            case "hand over":
                ground.hand_over()
            case _ if ground.broker is not None:
                await asyncio.to_thread(ground.broker.stop)
                await asyncio.sleep(faults.random())
                await asyncio.to_thread(ground.broker.start)
        self._done[kind] += 1
        self._seen = [len(follower.headers) for follower in self._followers]
        async with self._has_moved:
            self._has_moved.notify_all()

    async def _settle(self, following: Sequence[asyncio.Task[None]]) -> None:
        """Wait until all copies are what the log says."""
        wanted: dict[bytes, set[bytes]] = {}
        for objects in (await self._ground.units()).values():
            for key, value in objects.items():
                wanted.setdefault(key, set()).add(value)
        deadline_s = time.monotonic() + SETTLED_S
        while not all(_says(follower, wanted) for follower in self._followers):
            for task in following:
                if task.done():
                    task.result()
            if time.monotonic() > deadline_s:
                raise AssertionError("\n".join([*self._differences(wanted), *self._ground.said[-40:]]))
            await asyncio.sleep(0.1)

    def _differences(self, wanted: dict[bytes, set[bytes]]) -> list[str]:
        return [
            f"follower {number} at {follower.revision}: "
            f"missing {sorted(wanted.keys() - follower.values.keys())[:5]}, "
            f"too much {sorted(follower.values.keys() - wanted.keys())[:5]}"
            for number, follower in enumerate(self._followers)
            if not _says(follower, wanted)
        ]

    def _validate(self) -> None:
        revisions = {follower.revision for follower in self._followers}
        assert len({tuple(sorted(follower.values.items())) for follower in self._followers}) == 1, revisions
        recordings = [recording for follower in self._followers for recording in follower.recordings]
        validate(recordings, [reading for follower in self._followers for reading in follower.readings])
        for follower in self._followers:
            check_monotone(follower.headers)
        assert not self._ground.complaints(), "\n".join(self._ground.said[-200:])

    def _report(self, seconds: float) -> Report:
        recordings = [recording for follower in self._followers for recording in follower.recordings]
        lines = [line for recording in recordings for line in recording.lines]
        return Report(
            self._done,
            len(recordings),
            len(lines),
            sum(len(line.events) for line in lines),
            sum(len(follower.readings) for follower in self._followers),
            max(follower.revision for follower in self._followers),
            seconds,
        )


def _says(follower: FollowerClient, wanted: dict[bytes, set[bytes]]) -> bool:
    """Tell whether a copy has what the log says; of several carriers of a key one is in force."""
    values = follower.values
    return values.keys() == wanted.keys() and all(value in wanted[key] for key, value in values.items())


async def run(folder: Path, seed: int, size: Size, broker: Broker | None = None) -> Report:
    """Run on a ground of its own."""
    async with Ground(folder, broker) as ground:
        return await Chaos(ground, seed, size).run()


say = partial(Console().print, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", choices=("kafka", "sqlite"), default="kafka")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    for name, default in Size()._asdict().items():
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it says again and again that the broker is away
    say(f"seed {chosen.seed} on {chosen.log}")
    size = Size(chosen.watchers, chosen.changes, chosen.faults)
    with tempfile.TemporaryDirectory() as folder:
        (workspace := Path(folder) / "kafka").mkdir()
        broker = find_broker(workspace) if chosen.log == "kafka" else None
        try:
            report = uvloop.run(run(Path(folder), chosen.seed, size, broker))
        finally:
            if broker is not None:
                broker.close()
    say(f"{size.watchers} watchers, {size.changes} changes, {report.seconds:.0f} s, faults: {dict(report.faults)}")
    say(f"{report.watches} watches, {report.full_reads} full reads, {report.lines} lines, {report.events} events")
    say("every copy is what the log says, and the nine guarantees held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
