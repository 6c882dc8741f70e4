"""Translate a listener as the services do and ask the model of APISIX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.golden.case import units_of
from tests.oracle.apisix_model import Answer, Node, WireRequest
from tests.oracle.generate import HCM, ROUTER
from tests.translators.route_parts import http_filter
from translators import translate
from translators.policy import Action, Policy

if TYPE_CHECKING:
    from schemas.records import Diagnostic

CLUSTER = {
    "name": "backend",
    "type": "STATIC",
    "load_assignment": {
        "cluster_name": "backend",
        "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}}]}
        ],
    },
}
TO_BACKEND = {"match": {"prefix": "/"}, "route": {"cluster": "backend"}}


@dataclass(frozen=True)
class Served:
    """A node with a translated listener on port 8080.

    Attributes:
        node: the model.
        objects: by etcd key.
        diagnostics: of all units.
    """

    node: Node
    objects: dict[str, Any]
    diagnostics: list[Diagnostic]

    @property
    def codes(self) -> list[str]:
        return sorted({one.code for one in self.diagnostics})

    @property
    def consumers(self) -> dict[str, Any]:
        prefix = "/consumers/"
        return {key.removeprefix(prefix): one for key, one in self.objects.items() if key.startswith(prefix)}

    def ask(self, target: str = "/", headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
        """Ask the node; the request id, which it gives every request, is left out of what the upstream sees."""
        answer = self.node.answer(WireRequest(method, target, "shop", tuple((headers or {}).items())), [])
        answer.request_headers = [pair for pair in answer.request_headers if pair[0] != "x-request-id"]
        return answer

    def status(self, target: str = "/", headers: dict[str, str] | None = None, method: str = "GET") -> int:
        return self.ask(target, headers, method).status


def served(
    type_name: str,
    config: dict[str, Any],
    *,
    routes: list[dict[str, Any]] | None = None,
    before: list[dict[str, Any]] | None = None,
    more: list[dict[str, Any]] | None = None,
    policy: dict[str, str] | None = None,
) -> Served:
    """Translate a listener with one filter named `guard`.

    Args:
        type_name: of the filter, as in `packed`.
        config: of the filter.
        routes: of the only virtual host; one to the backend unless given.
        before: filters in front of it.
        more: filters behind it.
        policy: overrides by code.
    """
    router = {"name": "router", "typed_config": {"@type": ROUTER}}
    hcm = {
        "@type": HCM,
        "stat_prefix": "web",
        "http_filters": [*(before or []), http_filter(type_name, config), *(more or []), router],
        "route_config": {
            "name": "routes",
            "virtual_hosts": [{"name": "shop", "domains": ["*"], "routes": routes or [TO_BACKEND]}],
        },
    }
    listener = {
        "name": "web",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},  # noqa: S104 - nobody listens
        "filter_chains": [{"name": "main", "filters": [{"name": "hcm", "typed_config": hcm}]}],
    }
    units = units_of({"static_resources": {"listeners": [listener], "clusters": [CLUSTER]}})
    overrides = {code: Action(action) for code, action in (policy or {}).items()}
    bundles = [translate(unit, Policy(overrides=overrides)) for unit in units]
    objects = {found.key: orjson.loads(found.value) for bundle in bundles for found in bundle.objects}
    return Served(Node(objects), objects, [one for bundle in bundles for one in bundle.diagnostics])
