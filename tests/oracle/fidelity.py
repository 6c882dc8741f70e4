"""Compare the real Envoy with the model of APISIX on what was translated; every difference must be accounted for.

A difference is accounted for by a diagnostic of the translation whose path covers it, or by a row of LIMITS, which are
the limits of exactness that mapping.md documents. Whatever is left is a defect.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from tests.golden.case import units_of
from tests.oracle.account import accounts, route_config_of
from tests.oracle.apisix_model import Answer, Node, WireRequest
from tests.oracle.envoy import Call, find_route
from tests.oracle.envoy_process import ECHO_HEADERS, Client, EnvoyError, envoy, free_ports, upstreams
from tests.oracle.generate import CLUSTERS, Scene, generate
from tests.oracle.observation import ASPECTS, Difference, Seen, seen_of_envoy, seen_of_model, telling
from translators import translate
from translators.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.records import Diagnostic

_ATTEMPTS = 3
"""A port that was free may be taken when Envoy wants it."""
_DRAWS = [f"{draw:04x}" for draw in range(0x0800, 0x10000, 0x1000)]
_GROUP_COUNT, _FILTER_GROUPS = 8, 2
"""Of the digits of a request id, and the first that filters draw by."""
_EXTREME_DRAWS = ["0000", "ffff"]
"""In every share that is not empty, and in none that is not everything."""
_SKIPPED = re.compile(r"\\A(?:\.\{(\d+)\})?\(")


@dataclass
class Translation:
    """A scene's translation, loaded into the model.

    Attributes:
        node: the model.
        diagnostics: of all units.
        drawn: groups of four digits of the request id that something depends on.
    """

    node: Node
    diagnostics: list[Diagnostic]
    drawn: list[int]

    def answers(self, request: WireRequest) -> list[Answer]:
        """Give everything that APISIX may do, by what it draws."""
        groups = [
            (_DRAWS if group < _FILTER_GROUPS else _EXTREME_DRAWS) if group in self.drawn else ["0000"]
            for group in range(_GROUP_COUNT)
        ]
        ids = ["".join(digits) for digits in itertools.product(*groups)]
        wires = [WireRequest(**{**request.__dict__, "request_id": one}) for one in ids]
        unique: list[Answer] = []
        for wire in wires:
            answer = self.node.answer(wire, list(ECHO_HEADERS))
            if answer not in unique:
                unique.append(answer)
        return unique


def translated(scene: Scene, clusters: list[dict[str, Any]]) -> Translation:
    """Cut and translate a scene as the services do."""
    document = {"static_resources": {"listeners": scene.listeners, "clusters": clusters}}
    bundles = [translate(unit, Policy()) for unit in units_of(document)]
    objects = {found.key: orjson.loads(found.value) for bundle in bundles for found in bundle.objects}
    return Translation(Node(objects), [d for b in bundles for d in b.diagnostics], sorted(set(_drawn(objects))))


def _drawn(value: Any) -> Iterator[int]:
    """Find the groups of digits that expressions look at."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return
    if value and value[0] == "request_id":
        found = _SKIPPED.match(value[-1])
        assert found is not None, value
        yield int(found[1] or 0) // 4
    for member in value:
        yield from _drawn(member)


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
    """What a run has found."""

    request_count: int = 0
    equal_count: int = 0
    accounts: dict[str, int] = field(default_factory=dict)
    defects: list[Difference] = field(default_factory=list)

    def add(self, differences: list[Difference], diagnostics: list[Diagnostic]) -> None:
        """Count one request."""
        self.request_count += 1
        if not differences:
            self.equal_count += 1
            return
        explained = [found for one in differences if (found := accounts(one, diagnostics))]
        if not explained:
            self.defects.append(min(differences, key=lambda one: len(one.aspects)))
        for account in min(explained, key=len, default=[]):
            self.accounts[account] = self.accounts.get(account, 0) + 1


async def run(cases: list[tuple[int, int]], directory: Path, *, request_count: int = 40) -> Report:
    """Run cases, all in one Envoy.

    Args:
        cases: level and seed of each.
        directory: for Envoy's files.
        request_count: per case.
    """
    report = Report()
    async with upstreams(CLUSTERS) as running, contextlib.AsyncExitStack() as stack:
        clusters = running.clusters()
        for attempt in range(_ATTEMPTS):
            ports = free_ports(2 * len(cases))
            scenes = [generate(*case, ports[2 * n : 2 * n + 2], request_count) for n, case in enumerate(cases)]
            listeners = [telling(listener) for scene in scenes for listener in scene.listeners]
            try:
                await stack.enter_async_context(envoy({"listeners": listeners, "clusters": clusters}, directory))
                break
            except EnvoyError as error:
                if "Address already in use" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
        for scene in scenes:
            await _run_scene(scene, clusters, {port: name for name, port in running.ports.items()}, report)
    return report


async def _run_scene(scene: Scene, clusters: list[dict[str, Any]], names: dict[int, str], report: Report) -> None:
    translation = translated(scene, clusters)
    clients: dict[int, Client] = {}
    for request in scene.requests:
        client = clients.setdefault(request.port, Client(request.port))
        headers = [("host", request.host), *request.headers]
        exchange = await client.ask(request.method, request.target, headers, request.body_size)
        found = compare(scene, translation, request, seen_of_envoy(exchange), names)
        report.add(found, translation.diagnostics)
    for client in clients.values():
        client.close()
