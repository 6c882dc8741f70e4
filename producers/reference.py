"""What messages refer to: clusters, uses of clusters, secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from producers.traversal import body_of, copy_only, descend, find
from schemas import xds
from schemas.uses import reduce_use

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMON_TLS_CONTEXT = "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext"
ROUTE = "envoy.config.route.v3.Route"
SDS_SECRET_CONFIG = "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig"  # noqa: S105 - a type's name
TCP_PROXY = xds.TCP_PROXY.rpartition("/")[2]
L4_USE_FIELDS = (
    "cluster",
    "hash_policy",
    "max_connect_attempts",
    "idle_timeout",
    "downstream_idle_timeout",
    "upstream_idle_timeout",
    "metadata_match",
)
UDP_PROXY = xds.UDP_PROXY.rpartition("/")[2]
UDP_USE_FIELDS = ("cluster", "hash_policies", "idle_timeout")
L7_USE_NAME = "l7"
L4_USE_NAME = "l4"
UDP_USE_NAME = "udp"


ANY_CLUSTER: Final = ""
"""Stands for every cluster, where a header of the request names the one that is meant."""


class Use(NamedTuple):
    """A way to use a cluster, as canonical bytes of a reduced RouteAction, TcpProxy or UdpProxyConfig."""

    cluster: str
    type_url: str
    name: str
    body: bytes


class References(NamedTuple):
    """The clusters a message names, and the uses it makes of them; a mirrored cluster is named but not used.

    ANY_CLUSTER is among them where requests name the cluster.
    """

    clusters: frozenset[str]
    uses: frozenset[Use]
    mirrors: frozenset[str] = frozenset()
    """Those of the clusters that get copies of requests: units that name them carry the endpoint to send these to."""


def mirrors_of(holder: xds.Message) -> frozenset[str]:
    """Give the clusters that the mirror policies of a RouteAction, VirtualHost, … name."""
    return frozenset(policy.cluster for policy in holder.request_mirror_policies if policy.cluster)


def of_virtual_host(virtual_host: xds.Message, mirrors: frozenset[str] = frozenset()) -> References:
    """Collect what the routes of a VirtualHost refer to, those in a matcher tree included.

    Args:
        virtual_host: the VirtualHost.
        mirrors: what the RouteConfiguration around it mirrors to.
    """
    mirrors |= mirrors_of(virtual_host)
    uses: set[Use] = set()
    for route in _routes(virtual_host):
        if route.WhichOneof("action") == "route":
            mirrors |= mirrors_of(route.route)
            uses.update(_uses(route.route, virtual_host))
    clusters = mirrors.union(use.cluster for use in uses)
    return References(clusters, frozenset(uses), mirrors)


def of_network_filters(messages: Iterator[xds.Message]) -> References:
    """Collect what L4 filters refer to: TcpProxy and UdpProxyConfig with their use, others by a field `cluster`."""
    uses: set[Use] = set()
    for message in messages:
        if (proxy := next(find(message, UDP_PROXY), None)) is not None:
            uses.update(_udp_uses(proxy))
            continue
        for part in descend(message):
            if part.DESCRIPTOR.full_name == TCP_PROXY:
                uses.update(_l4_uses(part))
            elif cluster := _named_cluster(part):
                uses.add(_l4_use(_tcp_proxy(cluster)))
    return References(frozenset(use.cluster for use in uses), frozenset(uses))


def secrets_of(message: xds.Message) -> frozenset[str]:
    """Give the names of the secrets a message asks SDS for."""
    return frozenset(config.name for config in find(message, SDS_SECRET_CONFIG) if config.name)


def certificates_of(cluster: xds.Message) -> frozenset[str]:
    """Give the names of the secrets whose certificates a Cluster presents to its endpoints."""
    contexts = find(cluster, COMMON_TLS_CONTEXT)
    configs = (config for context in contexts for config in context.tls_certificate_sds_secret_configs)
    return frozenset(config.name for config in configs if config.name)


def _routes(virtual_host: xds.Message) -> Iterator[xds.Message]:
    yield from virtual_host.routes
    if virtual_host.HasField("matcher"):
        yield from find(virtual_host.matcher, ROUTE)


def _uses(action: xds.Message, virtual_host: xds.Message) -> Iterator[Use]:
    specifier = action.WhichOneof("cluster_specifier")
    if specifier == "cluster":
        yield _l7_use(action.cluster, reduce_use(action, virtual_host))
    elif specifier == "cluster_header":
        yield _l7_use(ANY_CLUSTER, reduce_use(action, virtual_host))
    elif specifier == "weighted_clusters":
        for weighted in action.weighted_clusters.clusters:
            yield _l7_use(weighted.name or ANY_CLUSTER, reduce_use(action, virtual_host, weighted))


def _l7_use(cluster: str, use: xds.Message) -> Use:
    return Use(cluster, xds.ROUTE_ACTION, L7_USE_NAME, body_of(use))


def _l4_uses(proxy: xds.Message) -> Iterator[Use]:
    specifier = proxy.WhichOneof("cluster_specifier")
    if specifier == "cluster" and proxy.cluster:
        yield _l4_use(copy_only(proxy, *L4_USE_FIELDS))
    elif specifier == "weighted_clusters":
        for weighted in proxy.weighted_clusters.clusters:
            use = copy_only(proxy, *L4_USE_FIELDS)
            use.cluster = weighted.name
            for namespace, struct in weighted.metadata_match.filter_metadata.items():
                for key, value in struct.fields.items():
                    use.metadata_match.filter_metadata[namespace].fields[key].CopyFrom(value)
            yield _l4_use(use)


def _udp_uses(proxy: xds.Message) -> Iterator[Use]:
    names = {_named_cluster(part) for part in descend(proxy)} - {""}
    for name in sorted(names):
        use = copy_only(proxy, *UDP_USE_FIELDS)
        use.cluster = name
        yield Use(name, xds.UDP_PROXY, UDP_USE_NAME, body_of(use))


def _l4_use(use: xds.Message) -> Use:
    return Use(use.cluster, xds.TCP_PROXY, L4_USE_NAME, body_of(use))


def _tcp_proxy(cluster: str) -> xds.Message:
    return xds.message_class(xds.TCP_PROXY)(cluster=cluster)


def _named_cluster(message: xds.Message) -> str:
    field = message.DESCRIPTOR.fields_by_name.get("cluster")
    if field is None or field.type != field.TYPE_STRING or field.is_repeated:
        return ""
    return str(message.cluster)
