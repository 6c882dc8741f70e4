"""A use: a RouteAction reduced to the fields that shape an APISIX upstream.

In xDS retries, hash policy and host rewriting belong to the route; in APISIX they belong to the upstream (mapping.md
sections 1.5 and 9). The producer puts the distinct uses of a cluster into its cluster unit, the translator of a route
reduces the same way, so both arrive at the same upstream id without seeing each other's unit.
"""

from __future__ import annotations

from schemas import xds

FIELDS = (
    "metadata_match",
    "host_rewrite_literal",
    "auto_host_rewrite",
    "retry_policy",
    "hash_policy",
    "timeout",
)


def reduce_use(
    action: xds.Message, virtual_host: xds.Message | None = None, weighted: xds.Message | None = None
) -> xds.Message:
    """Reduce a RouteAction to a use.

    Args:
        action: envoy.config.route.v3.RouteAction.
        virtual_host: the VirtualHost around it, whose retry_policy is the default (mapping.md 5.3).
        weighted: the WeightedCluster.ClusterWeight that is used, if the action is weighted; its host_rewrite_literal
            replaces the action's and its metadata_match is merged over the action's.

    Returns:
        A RouteAction with only the fields named in FIELDS, `timeout` only beside a retry policy (it bounds retries).
    """
    use = xds.message_class(xds.ROUTE_ACTION)()
    for field in FIELDS:
        descriptor = action.DESCRIPTOR.fields_by_name[field]
        if descriptor.is_repeated:
            getattr(use, field).extend(getattr(action, field))
        elif action.HasField(field):
            _copy(action, use, field)
    if not use.HasField("retry_policy") and virtual_host is not None and virtual_host.HasField("retry_policy"):
        use.retry_policy.CopyFrom(virtual_host.retry_policy)
    if not use.HasField("retry_policy"):
        use.ClearField("timeout")
    if weighted is not None:
        _apply_weighted(use, weighted)
    return use


def _copy(source: xds.Message, target: xds.Message, field: str) -> None:
    value = getattr(source, field)
    if hasattr(value, "CopyFrom"):
        getattr(target, field).CopyFrom(value)
    else:
        setattr(target, field, value)


def _apply_weighted(use: xds.Message, weighted: xds.Message) -> None:
    # Merging the messages would replace a whole namespace: map entries of messages are not merged by protobuf.
    for namespace, struct in weighted.metadata_match.filter_metadata.items():
        for key, value in struct.fields.items():
            use.metadata_match.filter_metadata[namespace].fields[key].CopyFrom(value)
    if weighted.WhichOneof("host_rewrite_specifier") == "host_rewrite_literal":
        use.host_rewrite_literal = weighted.host_rewrite_literal
