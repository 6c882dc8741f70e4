"""Translate units given as JSON data, and look at what becomes of them: clusters, TLS, L4 listeners, views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Diagnostic, Resource, Role, Unit, UnitKind
from translators.findings import Findings
from translators.kinds import KINDS
from translators.policy import Policy
from translators.unit_view import UnitView
from translators.validate import validated
from translators.where import Where

if TYPE_CHECKING:
    from schemas.records import EtcdObject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a unit became."""

    objects: tuple[EtcdObject, ...]
    diagnostics: tuple[Diagnostic, ...]
    manifest: dict[str, Any]

    @property
    def values(self) -> list[dict[str, Any]]:
        return [orjson.loads(found.value) for found in self.objects]

    @property
    def value(self) -> dict[str, Any]:
        (only,) = self.values
        return only

    @property
    def codes(self) -> list[str]:
        return sorted({found.code for found in self.diagnostics})

    def found(self, code: str) -> list[Diagnostic]:
        return [diagnostic for diagnostic in self.diagnostics if diagnostic.code == code]


def message(type_url: str, data: dict[str, Any]) -> xds.Message:
    return xds.from_json(data, xds.message_class(type_url)())


def resource(role: Role, type_url: str, data: dict[str, Any], name: str = "") -> Resource:
    built = message(type_url, data)
    return Resource(role, type_url, name or data.get("name", data.get("cluster_name", "")), xds.canonical_bytes(built))


def outcome(
    kind: UnitKind, resources: list[Resource], params: dict[str, str] | None = None, policy: Policy | None = None
) -> Outcome:
    """Translate a unit; only objects that may leave are in the outcome."""
    findings = Findings(policy or Policy())
    unit = Unit(kind, f"{kind}/test", params or {}, tuple(resources))
    translation = KINDS[kind](UnitView(unit), findings)
    objects = validated(translation.objects, Where("", unit.key), findings, origins=translation.origins)
    manifest = orjson.loads(translation.manifest) if translation.manifest else {}
    return Outcome(objects, findings.diagnostics(), manifest)


def cluster_outcome(
    cluster: dict[str, Any],
    endpoints: list[dict[str, Any]] | None = None,
    uses: tuple[dict[str, Any], ...] = ({},),
    **options: Any,
) -> Outcome:
    """Translate a cluster with L7 uses.

    Args:
        cluster: a Cluster without name.
        endpoints: `endpoints` of its load assignment; None when that is not known.
        uses: reduced RouteActions.
        options: `l4_uses` (TcpProxy), `secrets`, `assignment` (further fields of the load assignment), `policy`.
    """
    name = "backend"
    resources = [resource(Role.SUBJECT, xds.CLUSTER, {"name": name, **cluster})]
    if endpoints is not None:
        assignment = {"cluster_name": name, "endpoints": endpoints, **options.get("assignment", {})}
        resources.append(resource(Role.SUBJECT, xds.CLUSTER_LOAD_ASSIGNMENT, assignment))
    resources += [resource(Role.USE, xds.ROUTE_ACTION, use, "l7") for use in uses]
    resources += [resource(Role.USE, xds.TCP_PROXY, use, "l4") for use in options.get("l4_uses", ())]
    resources += [resource(Role.REFERENCE, xds.SECRET, secret) for secret in options.get("secrets", ())]
    return outcome(UnitKind.CLUSTER, resources, policy=options.get("policy"))


def lb_endpoint(address: str, port: int = 80, **fields: Any) -> dict[str, Any]:
    """Give an LbEndpoint as JSON data."""
    hostname = {"hostname": fields.pop("hostname")} if "hostname" in fields else {}
    socket = {"socket_address": {"address": address, "port_value": port}}
    return {"endpoint": {"address": socket, **hostname}, **fields}


def locality(*lb_endpoints: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Give a LocalityLbEndpoints as JSON data."""
    return {"lb_endpoints": list(lb_endpoints), **fields}


def packed(type_name: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give an Any as JSON data."""
    return {"@type": xds.TYPE_URL_PREFIX + type_name, **(data or {})}
