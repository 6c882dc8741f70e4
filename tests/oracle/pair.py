"""The real Envoy and the model of APISIX side by side on one configuration that a test writes itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tests.golden.case import units_of
from tests.oracle.apisix_model import Node, WireRequest
from tests.oracle.envoy_process import ECHO_HEADERS, Client, envoy, held_ports, upstreams
from tests.oracle.http_filter.kind import PACKAGE
from tests.oracle.observation import Seen, seen_of_envoy, seen_of_model
from translators import translate
from translators.policy import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from schemas.records import Diagnostic
    from tests.oracle.plugin.authorization import Authorize

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
CLUSTER = "backend"
ROUTER = {"name": "router", "typed_config": {"@type": f"{PACKAGE}router.v3.Router"}}


@dataclass
class Pair:
    """Both sides, running.

    Attributes:
        diagnostics: of the translation.
    """

    client: Client
    node: Node
    port: int
    upstream_port: int
    diagnostics: list[Diagnostic]

    async def ask(
        self, target: str = "/", headers: tuple[tuple[str, str], ...] = (), *, method: str = "GET", host: str = "a.com"
    ) -> tuple[Seen, Seen]:
        """Send a request to both and give what Envoy and the model did."""
        exchange = await self.client.ask(method, target, [("host", host), *headers])
        wire = WireRequest(method, target, host, headers, self.port)
        answer = self.node.answer(wire, list(ECHO_HEADERS))
        return seen_of_envoy(exchange), seen_of_model(answer, wire, {self.upstream_port: CLUSTER})

    @property
    def codes(self) -> set[str]:
        """Give the codes of the diagnostics."""
        return {found.code for found in self.diagnostics}


class Case(NamedTuple):
    """A listener of its own.

    Attributes:
        http_filters: in front of the router.
        virtual_host: the only one; its routes lead to CLUSTER.
    """

    http_filters: list[dict[str, Any]]
    virtual_host: dict[str, Any]


@contextlib.asynccontextmanager
async def pairs(
    directory: Path,
    cases: dict[str, Case],
    *,
    clusters: tuple[dict[str, Any], ...] = (),
    authorize: Authorize | None = None,
) -> AsyncIterator[dict[str, Pair]]:
    """Run both sides for several cases.

    Args:
        directory: for Envoy's files.
        cases: by their names.
        clusters: besides CLUSTER.
        authorize: the authorization service of the model.
    """
    async with contextlib.AsyncExitStack() as stack:
        ports = stack.enter_context(held_ports(len(cases)))
        running = await stack.enter_async_context(upstreams([CLUSTER]))
        known = [*running.clusters(), *clusters]
        listeners = [_listener(case, port) for case, port in zip(cases.values(), ports, strict=True)]
        await stack.enter_async_context(envoy({"listeners": listeners, "clusters": known}, directory))
        found = {}
        for name, listener, port in zip(cases, listeners, ports, strict=True):
            units = units_of({"static_resources": {"listeners": [listener], "clusters": known}})
            bundles = [translate(unit, Policy()) for unit in units]
            objects = {one.key: orjson.loads(one.value) for bundle in bundles for one in bundle.objects}
            diagnostics = [one for bundle in bundles for one in bundle.diagnostics]
            found[name] = Pair(Client(port), Node(objects, authorize), port, running.ports[CLUSTER], diagnostics)
            stack.callback(found[name].client.close)
        yield found


def _listener(case: Case, port: int) -> dict[str, Any]:
    manager = {
        "@type": _HCM,
        "stat_prefix": "p",
        "http_filters": [*case.http_filters, ROUTER],
        "route_config": {"name": "routes", "virtual_hosts": [case.virtual_host]},
    }
    return {
        "name": f"web{port}",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
