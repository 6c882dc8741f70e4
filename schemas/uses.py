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
    retry_policy = retry_policy_of(action, virtual_host)
    # Most routes set few fields, so those that are set are looked through, not those of FIELDS.
    for spec, value in action.ListFields():
        if spec.name not in FIELDS or (spec.name == "timeout" and retry_policy is None):
            continue
        if spec.is_repeated:
            getattr(use, spec.name).extend(value)
        elif spec.message_type is not None:
            getattr(use, spec.name).CopyFrom(value)
        else:
            setattr(use, spec.name, value)
    if retry_policy is not None:
        use.retry_policy.CopyFrom(retry_policy)
    if weighted is not None:
        _apply_weighted(use, weighted)
    return use


def is_plain(action: xds.Message, virtual_host: xds.Message | None, weighted: xds.Message | None) -> bool:
    """Tell at a glance that a use has no field set, which is so for most; arguments as those of `reduce_use`."""
    return not (
        action.HasField("retry_policy")
        or action.HasField("metadata_match")
        or action.hash_policy
        or action.WhichOneof("host_rewrite_specifier") is not None
        or (virtual_host is not None and virtual_host.HasField("retry_policy"))
        or (
            weighted is not None
            and (weighted.HasField("metadata_match") or weighted.WhichOneof("host_rewrite_specifier") is not None)
        )
    )


def retry_policy_of(action: xds.Message, virtual_host: xds.Message | None) -> xds.Message | None:
    """Give the RetryPolicy in force: the RouteAction's, else that of the VirtualHost around it, if any."""
    for holder in (action, virtual_host):
        if holder is not None and holder.HasField("retry_policy"):
            return holder.retry_policy
    return None


def _apply_weighted(use: xds.Message, weighted: xds.Message) -> None:
    # Merging the messages would replace a whole namespace: map entries of messages are not merged by protobuf.
    for namespace, struct in weighted.metadata_match.filter_metadata.items():
        for key, value in struct.fields.items():
            use.metadata_match.filter_metadata[namespace].fields[key].CopyFrom(value)
    if weighted.WhichOneof("host_rewrite_specifier") == "host_rewrite_literal":
        use.host_rewrite_literal = weighted.host_rewrite_literal
