"""Compare the real Envoy with the model of APISIX on what was translated; every difference must be accounted for.

A difference is accounted for by a diagnostic of the translation whose path covers it, or by a row of LIMITS, which are
the limits of exactness that mapping.md documents. Whatever is left is a defect.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from tests.golden.case import units_of
from tests.oracle.account import accounts, hcm_of, route_config_of
from tests.oracle.apisix_model import Answer, Node, WireRequest
from tests.oracle.envoy import Call, find_route
from tests.oracle.envoy_process import ECHO_HEADERS, Client, envoy, held_ports, upstreams
from tests.oracle.generate import CLUSTERS, Scene, generate
from tests.oracle.observation import ASPECTS, Difference, Seen, seen_of_envoy, seen_of_model, telling
from tests.oracle.router import RequestId
from translators import translate
from translators.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.records import Diagnostic
    from tests.oracle.wire import Exchange

_PORTS_OF_A_CASE = 2
_DRAWS = [f"{draw:04x}" for draw in range(0x0800, 0x10000, 0x1000)]
_GROUP_COUNT, _FILTER_GROUPS = 8, 2
"""Of the digits of a request id, and the first that filters draw by."""
_EXTREME_DRAWS = ["0000", "ffff"]
"""In every share that is not empty, and in none that is not everything."""


@dataclass
class Translation:
    """A scene's translation, loaded into the model.

    Attributes:
        node: the model.
        diagnostics: of all units.
    """

    node: Node
    diagnostics: list[Diagnostic]

    def answers(self, request: WireRequest) -> Iterator[Answer]:
        """Give everything that APISIX may do, by what it draws: each group of digits that is looked at is varied."""
        unique: list[Answer] = []
        pending: list[dict[int, str]] = [{}]
        while pending:
            chosen = pending.pop()
            request_id = RequestId("".join(chosen.get(group, _draws(group)[0]) for group in range(_GROUP_COUNT)))
            answer = self.node.answer(replace(request, request_id=request_id), list(ECHO_HEADERS))
            for group in request_id.asked:
                if group not in chosen:
                    first, *others = _draws(group)
                    pending += [{**chosen, group: other} for other in others]
                    chosen = {**chosen, group: first}
            if answer not in unique:
                unique.append(answer)
                yield answer


def _draws(group: int) -> list[str]:
    return _DRAWS if group < _FILTER_GROUPS else _EXTREME_DRAWS


def translated(scene: Scene, clusters: list[dict[str, Any]]) -> Translation:
    """Cut and translate a scene as the services do."""
    document = {"static_resources": {"listeners": scene.listeners, "clusters": clusters}}
    bundles = [translate(unit, Policy()) for unit in units_of(document)]
    objects = {found.key: orjson.loads(found.value) for bundle in bundles for found in bundle.objects}
    return Translation(Node(objects), [d for b in bundles for d in b.diagnostics])


def compare(
    scene: Scene, translation: Translation, request: WireRequest, envoy_seen: Seen, ports: dict[int, str]
) -> list[Difference]:
    """Give the differences of a request from everything that APISIX may do with it; none when one of these is equal."""
    found = []
    for answer in translation.answers(request):
        seen = seen_of_model(answer, request, ports)
        aspects = frozenset(a for a in ASPECTS if _differs(getattr(seen, a), getattr(envoy_seen, a)))
        if not aspects:
            return []
        routes = frozenset(name for name in (oracle_route(scene, request), _title(answer.route)) if name)
        found.append(Difference(scene, request, aspects, envoy_seen, seen, routes))
    return found


def _differs(left: Any, right: Any) -> bool:
    """Tell whether two aspects differ; what a side cannot tell is None."""
    return left != right and None not in (left, right)


def _title(route_name: str) -> str:
    """Read the Envoy route's name from an APISIX route's: `config/virtual host/route#hash`."""
    pieces = route_name.partition("#")[0].split("/")
    return pieces[2] if len(pieces) == 3 else ""


def oracle_route(scene: Scene, request: WireRequest) -> str:
    """Give the name of the route that Envoy takes, as the model of Envoy sees it; empty when there is none."""
    config = route_config_of(scene, request.port)
    message = xds.from_json(config, xds.message_class(xds.ROUTE_CONFIGURATION)())
    call = Call(request.host, request.target, request.method, dict(request.headers))
    found = find_route(message, call)
    return "" if found is None else str(found.name)


@dataclass
class Report:
    """What a run has found.

    Attributes:
        plain_count: requests to listeners without filters, and how many of them had the very same outcome.
    """

    case_count: int = 0
    request_count: int = 0
    equal_count: int = 0
    plain_count: int = 0
    plain_equal_count: int = 0
    accounts: Counter[str] = field(default_factory=Counter)
    defects: list[Difference] = field(default_factory=list)

    @property
    def equal_share(self) -> float:
        """Give the share of requests with the very same outcome."""
        return self.equal_count / max(self.request_count, 1)

    @property
    def plain_equal_share(self) -> float:
        """Give the same of listeners without filters."""
        return self.plain_equal_count / max(self.plain_count, 1)

    @property
    def filtered_equal_share(self) -> float:
        """Give the same of listeners with filters."""
        return (self.equal_count - self.plain_equal_count) / max(self.request_count - self.plain_count, 1)

    def add(self, differences: list[Difference], diagnostics: list[Diagnostic], *, is_plain: bool) -> None:
        """Count one request."""
        self.request_count += 1
        self.plain_count += is_plain
        if not differences:
            self.equal_count += 1
            self.plain_equal_count += is_plain
            return
        explained = [found for one in differences if (found := accounts(one, diagnostics))]
        if not explained:
            self.defects.append(min(differences, key=lambda one: len(one.aspects)))
        self.accounts.update(min(explained, key=len, default=[]))

    def merge(self, other: Report) -> None:
        """Count what another run has found."""
        self.case_count += other.case_count
        self.request_count += other.request_count
        self.equal_count += other.equal_count
        self.plain_count += other.plain_count
        self.plain_equal_count += other.plain_equal_count
        self.accounts += other.accounts
        self.defects += other.defects


async def run(cases: list[tuple[int, int]], directory: Path, *, request_count: int = 40) -> Report:
    """Run cases, all in one Envoy.

    Args:
        cases: level and seed of each.
        directory: for Envoy's files.
        request_count: per case.
    """
    report = Report()
    with held_ports(_PORTS_OF_A_CASE * len(cases)) as ports:
        of_cases = [ports[start : start + _PORTS_OF_A_CASE] for start in range(0, len(ports), _PORTS_OF_A_CASE)]
        scenes = [generate(*case, own, request_count) for case, own in zip(cases, of_cases, strict=True)]
        async with upstreams(CLUSTERS) as running:
            clusters = running.clusters()
            listeners = [telling(listener) for scene in scenes for listener in scene.listeners]
            async with envoy({"listeners": listeners, "clusters": clusters}, directory):
                exchanges = await asyncio.gather(*map(_exchanges, scenes))
    names = {port: name for name, port in running.ports.items()}
    for scene, of_scene in zip(scenes, exchanges, strict=True):
        _compare_scene(scene, of_scene, clusters, names, report)
    return report


async def _exchanges(scene: Scene) -> list[Exchange]:
    """Ask Envoy all requests of a scene, one after the other; scenes are asked at the same time."""
    with contextlib.ExitStack() as stack:
        clients: dict[int, Client] = {}
        for port in sorted({request.port for request in scene.requests}):
            clients[port] = Client(port)
            stack.callback(clients[port].close)
        return [
            await clients[one.port].ask(one.method, one.target, [("host", one.host), *one.headers], one.body_size)
            for one in scene.requests
        ]


def _compare_scene(
    scene: Scene, exchanges: list[Exchange], clusters: list[dict[str, Any]], names: dict[int, str], report: Report
) -> None:
    report.case_count += 1
    translation = translated(scene, clusters)
    for request, exchange in zip(scene.requests, exchanges, strict=True):
        found = compare(scene, translation, request, seen_of_envoy(exchange), names)
        is_plain = len(hcm_of(scene, request.port)["http_filters"]) == 1
        report.add(found, translation.diagnostics, is_plain=is_plain)
