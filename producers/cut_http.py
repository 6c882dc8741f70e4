"""Cut units of the kind `http`: one virtual host of one chain, or all its `*` and prefix-wildcard domains together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.cut_cluster import cut_target, nameable
from producers.reference import ANY_CLUSTER
from producers.route_table import is_any_host
from producers.traversal import body_of, copy_without
from schemas import xds
from schemas.records import Resource, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from producers.cut_cluster import ClusterFacts
    from producers.image import Image
    from producers.route_table import RouteTable, VirtualHostFacts


def chosen_virtual_hosts(table: RouteTable, virtual_host: str | None) -> list[VirtualHostFacts] | None:
    """Choose the virtual hosts of a unit, by name so that their place in the RouteConfiguration does not matter.

    Args:
        table: the RouteConfiguration.
        virtual_host: the one of the unit; None for the unit of all `*` and prefix-wildcard domains.

    Returns:
        The virtual hosts, or None when there is no such unit.
    """
    if virtual_host is None:
        return [facts for _, facts in sorted(table.virtual_hosts.items()) if facts.has_any_host]
    facts = table.virtual_hosts.get(virtual_host)
    return [facts] if facts is not None and facts.has_host else None


def cut_route_configuration(table: RouteTable, chosen: Iterable[VirtualHostFacts], *, takes_any_host: bool) -> Resource:
    """Reduce a RouteConfiguration to some virtual hosts and to one sort of domains."""
    reduced = type(table.message).FromString(table.frame)
    for facts in chosen:
        virtual_host = table.message.virtual_hosts[facts.place]
        copy = reduced.virtual_hosts.add()
        copy.CopyFrom(copy_without(virtual_host, "domains"))
        copy.domains.extend(d for d in virtual_host.domains if is_any_host(d) == takes_any_host)
    return Resource(Role.SUBJECT, xds.ROUTE_CONFIGURATION, table.message.name, body_of(reduced))


def cut_references(
    chosen: Iterable[VirtualHostFacts],
    asked: Iterable[str],
    clusters: dict[str, ClusterFacts],
    drops: Mapping[str, bytes],
    image: Image,
) -> list[Resource]:
    """Give the clusters that virtual hosts name and that are known, an endpoint of each that gets copies, and drops.

    Where requests name the cluster, all go along; of too many, a stub without a name instead.

    Args:
        chosen: the virtual hosts.
        asked: clusters that the filters in front of them name.
        clusters: all known clusters.
        drops: as `drops_of`, of each cluster that says anything.
        image: the image.
    """
    references = [facts.references for facts in chosen]
    named = {name for found in references for name in found.clusters}.union(asked)
    stubs: list[Resource] = []
    if ANY_CLUSTER in named:
        candidates = nameable(clusters)
        named |= candidates or set()
        stubs = [] if candidates is not None else [Resource(Role.SIBLING, xds.CLUSTER, ANY_CLUSTER, b"")]
    mirrors = {name for found in references for name in found.mirrors}
    mirrors.update(*(clusters[name].mirrors for name in named if name in clusters))
    targets = [
        cut_target(name, clusters[name], image, drops.get(name, b""), is_mirrored=name in mirrors)
        for name in sorted(mirrors.union(named.intersection(drops)))
        if name in clusters
    ]
    found_targets = [target for target in targets if target is not None]
    return [*reference_clusters(named | mirrors, clusters), *found_targets, *stubs]


def reference_clusters(names: Iterable[str], clusters: dict[str, ClusterFacts]) -> list[Resource]:
    """Give the clusters of these names that are known, without endpoints."""
    known = [(name, clusters[name]) for name in sorted(names) if name in clusters]
    return [Resource(Role.REFERENCE, xds.CLUSTER, name, facts.reference_body) for name, facts in known]
