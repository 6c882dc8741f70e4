"""Cut units of the kind `cluster`: the Cluster, its endpoints, the distinct uses of it, its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.reference import secrets_of
from producers.traversal import body_of, copy_only, copy_without, rewrite
from schemas import xds
from schemas.records import Resource, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.image import Image
    from producers.reference import Use

COMMON_TLS_CONTEXT = "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext"
PUBLIC_TLS_FIELDS = ("tls_params", "alpn_protocols")


class ClusterFacts(NamedTuple):
    """What the cutter knows of a Cluster."""

    body: bytes
    """Without load_assignment."""
    reference_body: bytes
    """As other units carry it: without load_assignment, certificates and names of secrets."""
    assignment: str
    """Name of the ClusterLoadAssignment that EDS delivers; empty when the cluster is of another type."""
    inline: Resource | None
    """The ClusterLoadAssignment inside the Cluster, unless EDS delivers one."""
    secrets: frozenset[str]


def read_cluster(cluster: xds.Message) -> ClusterFacts:
    """Take a canonical Cluster apart."""
    bare = copy_without(cluster, "load_assignment")
    reference = copy_without(cluster, "load_assignment")
    rewrite(reference, COMMON_TLS_CONTEXT, _keep_public)
    is_eds = cluster.WhichOneof("cluster_discovery_type") == "type" and cluster.type == cluster.EDS
    return ClusterFacts(
        body=body_of(bare),
        reference_body=body_of(reference),
        assignment=(cluster.eds_cluster_config.service_name or cluster.name) if is_eds else "",
        inline=None if is_eds or not cluster.HasField("load_assignment") else _inline(cluster),
        secrets=secrets_of(cluster),
    )


def cut_cluster(name: str, facts: ClusterFacts, image: Image, uses: Iterable[Use]) -> tuple[Resource, ...]:
    """Give the resources of a cluster's unit."""
    resources = [Resource(Role.SUBJECT, xds.CLUSTER, name, facts.body)]
    assignment = image.get(xds.CLUSTER_LOAD_ASSIGNMENT, facts.assignment) if facts.assignment else None
    if assignment is not None:
        resources.append(Resource(Role.SUBJECT, xds.CLUSTER_LOAD_ASSIGNMENT, facts.assignment, assignment.body))
    elif facts.inline is not None:
        resources.append(facts.inline)
    ordered = sorted(uses, key=lambda use: (use.type_url, use.body))
    resources.extend(Resource(Role.USE, use.type_url, use.name, use.body) for use in ordered)
    return (*resources, *cut_secrets(facts.secrets, image))


def cut_secrets(names: Iterable[str], image: Image) -> list[Resource]:
    """Give the secrets of these names that are known."""
    entries = ((name, image.get(xds.SECRET, name)) for name in sorted(names))
    return [Resource(Role.REFERENCE, xds.SECRET, name, entry.body) for name, entry in entries if entry is not None]


def _inline(cluster: xds.Message) -> Resource:
    name = cluster.load_assignment.cluster_name or cluster.name
    return Resource(Role.SUBJECT, xds.CLUSTER_LOAD_ASSIGNMENT, name, body_of(cluster.load_assignment))


def _keep_public(context: xds.Message) -> None:
    context.CopyFrom(copy_only(context, *PUBLIC_TLS_FIELDS))
