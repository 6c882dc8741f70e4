"""Cut units of the kind `cluster`: the Cluster, its endpoints, the distinct uses of it, its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from producers.endpoints import is_usable
from producers.reference import COMMON_TLS_CONTEXT, certificates_of, mirrors_of, secrets_of
from producers.traversal import body_of, copy_only, copy_without, find, rewrite
from schemas import xds
from schemas.records import Resource, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from producers.image import Image
    from producers.reference import Use

AGGREGATE_CLUSTER: Final = "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
MAX_NAMEABLE: Final = 64
"""A route that takes its cluster from a header becomes one route per cluster (mapping.md section 5.6)."""
HTTP_PROTOCOL_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
PUBLIC_TLS_FIELDS = ("tls_params", "alpn_protocols")
PRESENTING_FIELDS: Final = frozenset(
    {
        "tls_certificates",
        "tls_certificate_sds_secret_configs",
        "tls_certificate_provider_instance",
        "tls_certificate_certificate_provider",
        "tls_certificate_certificate_provider_instance",
        "custom_tls_certificate_selector",
    }
)
"""Of a CommonTlsContext: where the certificate of a client comes from."""
_ASSIGNMENT: Final = xds.message_class(xds.CLUSTER_LOAD_ASSIGNMENT)
PRESENTED: Final = Resource(Role.USE, xds.UPSTREAM_TLS_CONTEXT, "client", b"")
"""The use of a secret that clusters present; the same whoever they are, so that another cluster changes nothing."""


class ClusterFacts(NamedTuple):
    """What the cutter knows of a Cluster."""

    body: bytes
    """Without load_assignment."""
    reference_body: bytes
    """As other units carry it: without load_assignment, of certificates only that there is one."""
    assignment: str
    """Name of the ClusterLoadAssignment that EDS delivers; empty when the cluster is of another type."""
    inline: Resource | None
    """The ClusterLoadAssignment inside the Cluster, unless EDS delivers one."""
    secrets: frozenset[str]
    certificates: frozenset[str]
    """Those of the secrets that it presents to its endpoints."""
    members: tuple[str, ...]
    """The clusters that an aggregate cluster is made of, in its order; empty for any other."""
    mirrors: frozenset[str]
    """The clusters that get copies of its requests, by its HttpProtocolOptions."""


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
        certificates=certificates_of(cluster),
        members=_members(cluster),
        mirrors=frozenset().union(*map(mirrors_of, find(cluster, HTTP_PROTOCOL_OPTIONS))),
    )


def cut_cluster(
    name: str, clusters: Mapping[str, ClusterFacts], image: Image, uses: Iterable[Use]
) -> tuple[Resource, ...]:
    """Give the resources of a cluster's unit.

    Args:
        name: of the cluster, which is known.
        clusters: all known clusters; an aggregate's unit carries its members, each with its endpoints by its name.
        image: the image.
        uses: the distinct uses of the cluster.
    """
    facts = clusters[name]
    resources = [Resource(Role.SUBJECT, xds.CLUSTER, name, facts.body)]
    assignment = assignment_of(facts, image)
    if assignment is not None:
        resources.append(msgspec.structs.replace(assignment, role=Role.SUBJECT))
    ordered = sorted(uses, key=lambda use: (use.type_url, use.body))
    resources.extend(Resource(Role.USE, use.type_url, use.name, use.body) for use in ordered)
    members = flat_members(name, clusters)
    for member in members:
        resources.extend(_cut_member(member, clusters[member], image))
    secrets = facts.secrets.union(*(clusters[member].secrets for member in members))
    return (*resources, *map(_without_pair, cut_secrets(secrets, image)))


def nameable(clusters: Mapping[str, ClusterFacts]) -> frozenset[str] | None:
    """Give the clusters that a header of a request may name; None when they are too many for a route each."""
    return frozenset(clusters) if len(clusters) <= MAX_NAMEABLE else None


def flat_members(name: str, clusters: Mapping[str, ClusterFacts]) -> list[str]:
    """Give the known members of an aggregate and, behind each, its own; empty for any other cluster."""
    found: dict[str, None] = {}
    waiting, seen = list(reversed(clusters[name].members)), {name}
    while waiting:
        member = waiting.pop()
        if member in seen or member not in clusters:
            continue
        seen.add(member)
        found[member] = None
        waiting.extend(reversed(clusters[member].members))
    return list(found)


def assignment_of(facts: ClusterFacts, image: Image) -> Resource | None:
    """Give the ClusterLoadAssignment of a cluster, as far as it is known."""
    entry = image.get(xds.CLUSTER_LOAD_ASSIGNMENT, facts.assignment) if facts.assignment else None
    if entry is not None:
        return Resource(Role.REFERENCE, xds.CLUSTER_LOAD_ASSIGNMENT, facts.assignment, entry.body)
    return facts.inline


def drops_of(facts: ClusterFacts, image: Image) -> bytes:
    """Give what a cluster's assignment says about overload to drop, as a canonical Policy; empty for nothing."""
    entry = image.get(xds.CLUSTER_LOAD_ASSIGNMENT, facts.assignment) if facts.assignment else None
    if entry is not None:
        message = entry.message
    elif facts.inline is not None:
        message = xds.parse(facts.inline.type_url, facts.inline.body)
    else:
        return b""
    return body_of(copy_only(message.policy, "drop_overloads")) if message.policy.drop_overloads else b""


def cut_target(name: str, facts: ClusterFacts, image: Image, drops: bytes, *, is_mirrored: bool) -> Resource | None:
    """Give what the routes to a cluster have to know of its assignment, or None when that is nothing.

    Args:
        name: of the cluster.
        facts: about it.
        image: the image.
        drops: as `drops_of`; all that routes to the cluster carry, so that its endpoints may change.
        is_mirrored: it gets copies of requests.
    """
    reduced = (_mirrored(name, facts, image) if is_mirrored else None) or _ASSIGNMENT(cluster_name=name)
    if drops:
        reduced.policy.MergeFromString(drops)
    if not reduced.endpoints and not drops:
        return None
    return Resource(Role.REFERENCE, xds.CLUSTER_LOAD_ASSIGNMENT, name, body_of(reduced))


def _mirrored(name: str, facts: ClusterFacts, image: Image) -> xds.Message | None:
    """Give one endpoint of a cluster that gets copies of requests: the first usable one.

    APISIX mirrors to one static host. Only that endpoint goes along, so that the others may change.
    """
    assignment = assignment_of(facts, image)
    if assignment is None:
        return None
    message = xds.parse(assignment.type_url, assignment.body)
    reduced = _ASSIGNMENT(cluster_name=name)
    for locality in sorted(message.endpoints, key=lambda locality: locality.priority):
        for endpoint in locality.lb_endpoints:
            if is_usable(endpoint):
                group = reduced.endpoints.add()
                group.CopyFrom(copy_only(locality, "metadata"))
                chosen = group.lb_endpoints.add()
                chosen.CopyFrom(copy_only(endpoint, "metadata"))
                is_named = endpoint.WhichOneof("host_identifier") == "endpoint_name"
                named = message.named_endpoints.get(endpoint.endpoint_name) if is_named else endpoint.endpoint
                chosen.endpoint.CopyFrom(named)
                return reduced
    return None


def _cut_member(name: str, facts: ClusterFacts, image: Image) -> list[Resource]:
    member = Resource(Role.REFERENCE, xds.CLUSTER, name, facts.body)
    assignment = assignment_of(facts, image)
    if assignment is None:
        return [member]
    return [member, msgspec.structs.replace(assignment, role=Role.REFERENCE, name=name)]


def _members(cluster: xds.Message) -> tuple[str, ...]:
    if cluster.WhichOneof("cluster_discovery_type") != "cluster_type":
        return ()
    config = xds.unpack(cluster.cluster_type.typed_config)
    is_aggregate = config is not None and config.DESCRIPTOR.full_name == AGGREGATE_CLUSTER
    return tuple(config.clusters) if is_aggregate and config is not None else ()


def cut_secrets(names: Iterable[str], image: Image) -> list[Resource]:
    """Give the secrets of these names that are known."""
    entries = ((name, image.get(xds.SECRET, name)) for name in sorted(names))
    return [Resource(Role.REFERENCE, xds.SECRET, name, entry.body) for name, entry in entries if entry is not None]


def cut_secret(name: str, image: Image, *, is_presented: bool) -> tuple[Resource, ...] | None:
    """Give the resources of a secret's unit, or None when it is not known.

    Args:
        name: of the secret.
        image: the image.
        is_presented: clusters present its certificate to their endpoints.
    """
    entry = image.get(xds.SECRET, name)
    if entry is None:
        return None
    subject = Resource(Role.SUBJECT, xds.SECRET, name, entry.body)
    return (subject, PRESENTED) if is_presented else (subject,)


def _without_pair(secret: Resource) -> Resource:
    """Leave of a certificate that there is one: the secret's own unit brings it to the nodes, also a new one."""
    message = xds.parse(xds.SECRET, secret.body)
    if not message.HasField("tls_certificate"):
        return secret
    message.tls_certificate.Clear()
    return msgspec.structs.replace(secret, body=body_of(message))


def _inline(cluster: xds.Message) -> Resource:
    name = cluster.load_assignment.cluster_name or cluster.name
    return Resource(Role.SUBJECT, xds.CLUSTER_LOAD_ASSIGNMENT, name, body_of(cluster.load_assignment))


def _keep_public(context: xds.Message) -> None:
    is_presenting = not PRESENTING_FIELDS.isdisjoint(field.name for field, _ in context.ListFields())
    context.CopyFrom(copy_only(context, *PUBLIC_TLS_FIELDS))
    if is_presenting:
        context.tls_certificates.add()
