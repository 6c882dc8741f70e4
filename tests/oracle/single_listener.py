"""One hand-written RouteConfiguration, asked of the real Envoy and of the model of APISIX on its translation."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.oracle.apisix_model import Answer, WireRequest
from tests.oracle.envoy_process import ECHO_HEADERS, Client, Upstreams, envoy, held_ports, upstreams
from tests.oracle.fidelity import Translation, translated
from tests.oracle.generate import HCM, ROUTER, Scene
from tests.oracle.observation import Seen, seen_of_envoy, seen_of_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Both:
    """A running Envoy and the model.

    Attributes:
        port: of the listener.
        upstreams: behind Envoy.
        translation: for the model.
    """

    port: int
    upstreams: Upstreams
    translation: Translation

    async def ask(self, target: str, host: str = "a.com", method: str = "GET", **headers: str) -> tuple[Seen, Answer]:
        """Ask both, the model with one draw."""
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        client = Client(self.port)
        exchange = await client.ask(method, target, [("host", host), *pairs])
        client.close()
        request = WireRequest(method, target, host, tuple(pairs), self.port)
        return seen_of_envoy(exchange), self.translation.node.answer(request, list(ECHO_HEADERS))

    async def assert_alike(self, target: str, host: str = "a.com", method: str = "GET", **headers: str) -> Seen:
        """Ask both and demand that they do the same; give what that is."""
        seen, answer = await self.ask(target, host, method, **headers)
        names = {port: name for name, port in self.upstreams.ports.items()}
        request = WireRequest(method, target, host, tuple((n.replace("_", "-"), v) for n, v in headers.items()))
        modelled = seen_of_model(answer, request, names)
        assert replace(modelled, is_delayed=None) == seen  # a listener of one case does not tell of delays
        return seen


@contextlib.asynccontextmanager
async def both(
    routing: dict[str, Any], clusters: Iterable[str], directory: Path, **patches: dict[str, Any]
) -> AsyncIterator[Both]:
    """Serve a RouteConfiguration.

    Args:
        routing: fields of the HttpConnectionManager that say how requests are routed.
        clusters: names of echo servers.
        directory: for Envoy's files.
        patches: further fields of clusters by name.
    """
    with held_ports(1) as (port,):
        async with upstreams(clusters) as running:
            router = {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True},
            }
            hcm = {"@type": HCM, "stat_prefix": "s", "generate_request_id": False, "http_filters": [router], **routing}
            filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]
            address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
            listener = {"name": "l", "address": address, "filter_chains": [{"name": "main", "filters": filters}]}
            known = [{**one, **patches.get(one["name"], {})} for one in running.clusters()]
            async with envoy({"listeners": [listener], "clusters": known}, directory):
                yield Both(port, running, translated(Scene(0, 0, [listener]), known))
