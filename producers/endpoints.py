"""The endpoints in a cluster's unit: which are usable, and how a unit keeps those it had. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from schemas import xds
from schemas.records import Role, UnitKind

if TYPE_CHECKING:
    from schemas.records import Resource, Unit

UNUSABLE: Final = frozenset({"UNHEALTHY", "DRAINING", "TIMEOUT"})
"""Names of core.v3.HealthStatus; Envoy sends nothing to such endpoints."""


def usable_endpoints(unit: Unit) -> Resource | None:
    """Give the ClusterLoadAssignment of a unit if anything in it can be sent to."""
    assignment = _assignment(unit)
    if assignment is None:
        return None
    message = xds.message_class(xds.CLUSTER_LOAD_ASSIGNMENT).FromString(assignment.body)
    endpoints = (endpoint for locality in message.endpoints for endpoint in locality.lb_endpoints)
    return assignment if any(is_usable(endpoint) for endpoint in endpoints) else None


def wants_endpoints(unit: Unit) -> bool:
    """Tell whether a unit's cluster takes its endpoints from a ClusterLoadAssignment."""
    for resource in unit.resources:
        if resource.role is Role.SUBJECT and resource.type_url == xds.CLUSTER:
            cluster = xds.message_class(xds.CLUSTER).FromString(resource.body)
            is_named_type = cluster.WhichOneof("cluster_discovery_type") != "cluster_type"
            return is_named_type and bool(cluster.type != cluster.ORIGINAL_DST)
    return False


def with_endpoints(unit: Unit, assignment: Resource) -> Unit:
    """Give a cluster's unit with another ClusterLoadAssignment; it stands behind the Cluster."""
    others = [resource for resource in unit.resources if resource is not _assignment(unit)]
    return msgspec.structs.replace(unit, resources=(others[0], assignment, *others[1:]))


def _assignment(unit: Unit) -> Resource | None:
    if unit.kind is not UnitKind.CLUSTER:
        return None
    found = (resource for resource in unit.resources if resource.type_url == xds.CLUSTER_LOAD_ASSIGNMENT)
    return next(found, None)


def is_usable(endpoint: xds.Message) -> bool:
    """Tell whether Envoy would send anything to an LbEndpoint, by what discovery says of its health."""
    status = endpoint.DESCRIPTOR.fields_by_name["health_status"].enum_type.values_by_number.get(endpoint.health_status)
    return status is None or status.name not in UNUSABLE
