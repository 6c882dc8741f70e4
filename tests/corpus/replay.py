"""Replay recorded configurations as dialogues with an ADS session, in both variants and in any order.

`python -m tests.corpus.replay DIR`: DIR as in tests/corpus/report.py. Each case is served three times: in the
state-of-the-world variant, in delta, and in delta as istiod does it, without versions. Children come before anybody
asks for them, answers come in random order and delta's in random pieces; then the stream breaks and everything is
asked for at once and answered in random order again. What a follower has then must be what was recorded, but for
resources that are rejected and those that nothing refers to; whole views as a control plane sent them (`*-live`) have
neither. Exits with 1 when something is lost, comes back changed, is taken away by the second stream, or crashes.
"""

from __future__ import annotations

import random
import sys
import traceback
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from producers.files.load import load
from producers.xds.command import DeliverChanges, ReportProblem, SendRequest, StartTimer
from producers.xds.event import ResponseReceived, StreamEnded, StreamOpened, TimerFired
from producers.xds.node import build_node
from producers.xds.variant import VARIANTS
from schemas import xds
from tests.corpus.report import cases_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from producers.source import Changes

HABITS = {"sotw": ("sotw", True), "delta": ("delta", True), "delta, no versions": ("delta", False)}
"""By name: the variant, and whether resources have versions."""
WILDCARD_TYPES = {xds.CLUSTER, xds.LISTENER}
CHILDREN = (xds.CLUSTER_LOAD_ASSIGNMENT, xds.ROUTE_CONFIGURATION, xds.SECRET)
COLUMNS = ("resources", "followed", "rejected", "unreferenced", "lost", "moved", "crashes")
LIVE = "-live"
MAX_SHOWN = 20
RESPONSE = xds.message_class("envoy.service.discovery.v3.DiscoveryResponse")
DELTA_RESPONSE = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
RESOURCE = xds.message_class("envoy.service.discovery.v3.Resource")
Key = tuple[str, str]


class Replay:
    """A session, a control plane that serves a recorded state, and a follower."""

    def __init__(self, state: Mapping[Key, Any], habit: str, seed: int) -> None:
        """Begin with nothing said.

        Args:
            state: what is served, by type URL and name.
            habit: a key of HABITS.
            seed: of the order.
        """
        variant, self._has_versions = HABITS[habit]
        self._is_delta = variant == "delta"
        self._state = state
        self._session = VARIANTS[variant].session(build_node("replay", "1.0"), "recorded")
        self._random = random.Random(seed)
        self._nonces = count(1)
        self._due: dict[str, set[str]] = defaultdict(set)
        self._served: dict[str, set[str]] = defaultdict(set)
        self._served_sets: set[str] = set()
        self._timers: dict[int, int] = {}
        self.asked: set[Key] = set()
        self.rejections: list[str] = []
        self.image: dict[Key, bytes] = {}
        self.moved: list[Key] = []

    def run(self) -> None:
        """Serve two streams; `moved` is what the second has changed."""
        for _ in range(2):
            for forgotten in (self.moved, self._served, self._served_sets):
                forgotten.clear()
            self._tell(StreamOpened())
            for type_url in CHILDREN:
                self._send(type_url, [name for url, name in self._state if url == type_url])
            self._answer_until_quiet()
            self._tell(StreamEnded())

    def _answer_until_quiet(self) -> None:
        while self._due or self._timers:
            if not self._due:
                serial = min(self._timers, key=lambda serial: (self._timers[serial], serial))
                del self._timers[serial]
                self._tell(TimerFired(serial))
                continue
            type_url = self._random.choice(sorted(self._due))
            names = sorted(self._due.pop(type_url))
            self._random.shuffle(names)
            size = self._random.randint(1, len(names)) if self._is_delta and names else max(1, len(names))
            for start in range(0, max(1, len(names)), size):
                self._send(type_url, names[start : start + size])

    def _send(self, type_url: str, names: list[str]) -> None:
        bodies = {name: self._state[type_url, name] for name in names}
        nonce = f"n{next(self._nonces)}"
        if not self._is_delta:
            packed = [xds.pack(body) for body in bodies.values()]
            response = RESPONSE(type_url=type_url, version_info="1", nonce=nonce, resources=packed)
        else:
            version = "1" if self._has_versions else ""
            wrapped = [RESOURCE(name=name, version=version, resource=xds.pack(body)) for name, body in bodies.items()]
            response = DELTA_RESPONSE(type_url=type_url, nonce=nonce, resources=wrapped)
        self._tell(ResponseReceived(response))

    def _tell(self, event: Any) -> None:
        if isinstance(event, StreamEnded):
            self._timers.clear()
        for command in self._session.receive(event):
            match command:
                case SendRequest(request):
                    self._take(request)
                case StartTimer(serial, delay_ms):
                    self._timers[serial] = delay_ms
                case DeliverChanges(changes):
                    self._follow(changes)
                case ReportProblem():
                    pass

    def _take(self, request: Any) -> None:
        type_url = request.type_url
        if request.HasField("error_detail"):
            self.rejections.append(request.error_detail.message)
        names = self._named(request) - self._served[type_url]
        is_first_of_set = type_url in WILDCARD_TYPES and type_url not in self._served_sets
        if not (names or is_first_of_set):
            return
        self._served[type_url] |= names
        self._served_sets |= {type_url} & WILDCARD_TYPES
        self._due[type_url] |= names - set(
            getattr(request, "initial_resource_versions", ()) if self._has_versions else ()
        )

    def _named(self, request: Any) -> set[str]:
        """Give the names of what there is that a request asks for."""
        given = request.resource_names_subscribe if self._is_delta else request.resource_names
        held = {name for type_url, name in self._state if type_url == request.type_url}
        names = held if "*" in given or request.type_url in WILDCARD_TYPES else held & set(given)
        self.asked |= {(request.type_url, name) for name in names}
        return names

    def _follow(self, changes: Changes) -> None:
        given = {(c.type_url, c.name): c.body and xds.canonical_bytes(c.body) for c in changes.changes}
        if changes.is_complete:
            absent = [key for key in self.image if changes.covers is None or key[0] in changes.covers]
            given = {**dict.fromkeys(absent), **given}
        for key, body in given.items():
            if self.image.get(key) != body:
                self.moved.append(key)
            if body is None:
                self.image.pop(key, None)
            else:
                self.image[key] = body


def state_of(path: Path) -> dict[Key, Any]:
    """Give the resources of a file that are served by name."""
    return {(change.type_url, change.name): change.body for change in load(path).resources if change.body is not None}


def replay_case(state: Mapping[Key, Any], seed: int, *, is_live: bool) -> tuple[Counter[str], list[str]]:
    """Replay a state in every habit.

    Returns:
        What it came to, in COLUMNS, and a line for all that is wrong.
    """
    tally: Counter[str] = Counter()
    wrong: list[str] = []
    for habit in HABITS:
        replay = Replay(state, habit, seed)
        replay.run()
        want = {key: xds.canonical_bytes(body) for key, body in state.items()}
        rejected = {key for key in want if any(f"{key[1]}: " in text for text in replay.rejections)}
        unreferenced = want.keys() - replay.asked
        lost = [key for key in want if replay.image.get(key) != want[key] and key not in rejected | unreferenced]
        lost += [*rejected, *unreferenced] if is_live else []
        moved = list(replay.moved)
        tally += Counter(
            resources=len(want),
            followed=len(replay.image),
            rejected=len(rejected),
            unreferenced=len(unreferenced),
            lost=len(lost),
            moved=len(moved),
        )
        wrong += [f"{habit}: {what} {key}" for what, keys in (("lost", lost), ("moved", moved)) for key in keys]
    return tally, wrong


def replay_corpus(corpus: Path) -> int:
    """Replay all cases and print a table."""
    tallies: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[str] = []
    cases = cases_of(corpus)
    console = Console(width=140)
    for seed, (plane, path) in enumerate(track(cases, "replaying", console=Console(stderr=True), transient=True)):
        try:
            tally, lines = replay_case(state_of(path), seed, is_live=plane.endswith(LIVE))
        except Exception:  # noqa: BLE001 - a crash is what this looks for
            tally, lines = Counter(crashes=1), [traceback.format_exc(limit=-3)]
        tallies[plane] += tally
        wrong += [f"{path}: {line}" for line in lines]
    print_table(console, tallies.items())
    for line in wrong[:MAX_SHOWN]:
        console.print(line, markup=False)
    return 1 if wrong or not cases else 0


def print_table(console: Console, tallies: Iterable[tuple[str, Counter[str]]]) -> None:
    """Print a line per control plane, summed over the habits."""
    table = Table("control plane", *COLUMNS, box=None)
    for plane, tally in sorted(tallies):
        table.add_row(plane, *(str(tally[column]) for column in COLUMNS))
    console.print(table)


def main(arguments: list[str]) -> int:
    """Check the argument and run."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m tests.corpus.replay DIR (make corpus CORPUS=DIR)\n")
        return 64
    return replay_corpus(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
