"""Source: envoy.extensions.clusters.aggregate.v3.ClusterConfig.clusters.

Target: which clusters mappings.cluster.aggregate joins.
Fidelity: E.
Differs: nothing.
Diagnostics: none.
See: mapping.md section 6.1.
"""

from __future__ import annotations

from schemas import xds

AGGREGATE = "envoy.extensions.clusters.aggregate.v3.ClusterConfig"


def member_names(cluster: xds.Message) -> tuple[str, ...]:
    """Give the names of the members of an aggregate; empty for any other cluster."""
    config = xds.unpack(cluster.cluster_type.typed_config) if cluster.HasField("cluster_type") else None
    if config is None or config.DESCRIPTOR.full_name != AGGREGATE:
        return ()
    return tuple(config.clusters)
