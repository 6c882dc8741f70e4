"""Translate single routes given as JSON data, and look at their parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import xds
from translators import action
from translators.findings import Findings
from translators.policy import Action, Policy
from translators.route_context import RouteContext
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import Diagnostic
    from translators.route_context import Part

ROUTE = "envoy.config.route.v3.Route"
AT = Where(xds.ROUTE_CONFIGURATION, "routes", "virtual_hosts[shop].routes[0]")
AT_HOST = Where(xds.ROUTE_CONFIGURATION, "routes", "virtual_hosts[shop]")
FILTERS = "envoy.extensions.filters.http"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a route."""

    parts: list[Part]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def only(self) -> Part:
        (part,) = self.parts
        return part

    @property
    def plugins(self) -> dict[str, Any]:
        return self.only.fields.get("plugins", {})

    @property
    def codes(self) -> list[str]:
        return [found.code for found in self.diagnostics]

    @property
    def answer(self) -> dict[str, Any]:
        return self.plugins["fault-injection"]["abort"]


def message(type_name: str, data: dict[str, Any]) -> xds.Message:
    return xds.from_json(data, xds.message_class(type_name)())


def context(**levels: Any) -> RouteContext:
    """Build what surrounds a route.

    Args:
        levels: `hcm`, `route_config`, `virtual_host`: further fields; `filters`: http_filters; `clusters`: names or
            Clusters as JSON data, "backend" unless said otherwise; `policy`: overrides; `decisions`: other fields of
            the policy; `listener`: its name.
    """
    clusters = [{"name": c} if isinstance(c, str) else c for c in levels.get("clusters", ("backend",))]
    hcm = {"http_filters": levels.get("filters", []), **levels.get("hcm", {})}
    return RouteContext(
        listener=message(xds.LISTENER, {"name": levels.get("listener", "web")}),
        chain="main",
        hcm=message(xds.HTTP_CONNECTION_MANAGER, hcm),
        route_config=message(xds.ROUTE_CONFIGURATION, {"name": "routes", **levels.get("route_config", {})}),
        virtual_host=message(xds.VIRTUAL_HOST, {"name": "shop", **levels.get("virtual_host", {})}),
        clusters={cluster["name"]: message(xds.CLUSTER, cluster) for cluster in clusters},
        policy=Policy(
            overrides={code: Action(chosen) for code, chosen in levels.get("policy", {}).items()},
            **levels.get("decisions", {}),
        ),
    )


def route_outcome(route: dict[str, Any], **levels: Any) -> Outcome:
    """Translate a Route; `match` is a prefix of everything unless given."""
    around = context(**levels)
    findings = Findings(around.policy)
    built = message(ROUTE, {"match": {"prefix": "/"}, **route})
    return Outcome(action.build_parts(built, around, AT, findings), findings.diagnostics())


def forwarded(extra: dict[str, Any] | None = None, /, **route_action: Any) -> dict[str, Any]:
    """Give a Route to the cluster "backend"; `extra` are fields of the Route, the others of its action."""
    return {"route": {"cluster": "backend", **route_action}, **(extra or {})}


def header(key: str, value: str, action: str = "APPEND_IF_EXISTS_OR_ADD") -> dict[str, Any]:
    """Give a HeaderValueOption."""
    return {"header": {"key": key, "value": value}, "append_action": action}


def packed(type_name: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give an Any; a name that begins with a dot is of the HTTP filters."""
    full = FILTERS + type_name if type_name.startswith(".") else type_name
    return {"@type": xds.TYPE_URL_PREFIX + full, **(data or {})}


def http_filter(type_name: str, data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Give an HttpFilter named `guard` unless said otherwise."""
    return {"name": "guard", "typed_config": packed(type_name, data), **fields}
