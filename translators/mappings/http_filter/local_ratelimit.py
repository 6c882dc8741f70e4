"""Source: envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit; rate_limits of routes and virtual hosts.

Target: limits of rate_limit.py; `_meta.filter` holds the shares of filter_enabled and filter_enforced.
Fidelity: A.
Differs: requests that are not enforced use no token; a refusal has no response_headers_to_add, and a JSON body.
Diagnostics: HF-RESTRICT, HF-DUP, HF-UNTRANSLATED.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.expr import ALWAYS, all_of, any_of, negate
from translators.mappings.http_filter.limit_plugin import add_counters, counters, is_counting
from translators.mappings.http_filter.rate_limit import Bucket, Limit, Terms, bucket_of, limit_name, limits_of
from translators.mappings.http_filter.rate_limit_action import route_descriptors
from translators.mappings.http_filter.switch import is_off

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.mappings.http_filter.rate_limit_action import Descriptor
    from translators.where import Where

_TOO_MANY_REQUESTS = 429
_FIRST_ERROR = 400
_UNKNOWN = "what the descriptors are made of cannot be expressed: the route is blocked"


def limits_nothing(config: xds.Message) -> bool:
    """Tell whether no request is denied: without a bucket, or not enabled, or not enforced (both default to 0 %)."""
    if not config.HasField("token_bucket") and not config.descriptors:
        return True
    return is_off(config.filter_enabled) or is_off(config.filter_enforced)


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Count requests; the most specific configuration replaces all others."""
    config = http_filter.override if http_filter.overrides else http_filter.config
    if config is None or config.DESCRIPTOR.name != "LocalRateLimit":
        if findings.blocks("HF-RESTRICT", at):
            draft.deny("HF-RESTRICT")
        return
    if limits_nothing(config):
        return
    # Both shares are drawn anew for each request, so neither draw may depend on the other.
    shares = (config.filter_enabled.default_value, config.filter_enforced.default_value)
    drawn = all_of(draft.draw(share, is_shared=True) for share in shares)
    is_second = is_counting(draft)
    if http_filter.overrides or config.descriptors:
        plugins = _plugins(http_filter, config, drawn, findings, is_second=is_second)
    else:
        memo, key = http_filter.context.memo, ("local_ratelimit", http_filter.index, drawn, is_second)
        if key not in memo:
            memo[key] = _plugins(http_filter, config, drawn, findings, is_second=is_second)
        plugins = memo[key]
    add_counters(http_filter, draft, plugins, findings)


def _plugins(
    http_filter: EffectiveFilter, config: xds.Message, drawn: Expr, findings: Findings, *, is_second: bool
) -> dict[str, dict[str, Any]] | None:
    """Give the plugins that count; None where the route must be blocked."""
    at = http_filter.at
    if not dispatch.apply(config, None, at, findings):
        return None
    limits = _limits(http_filter, config)
    if limits is None:
        return None if findings.blocks("HF-RESTRICT", at.field("descriptors"), effect=_UNKNOWN) else {}
    terms = Terms(
        owner=bucket_owner(http_filter),
        status=config.status.code if config.status.code >= _FIRST_ERROR else _TOO_MANY_REQUESTS,
        text="local_rate_limited",
        has_headers=bool(config.enable_x_ratelimit_headers),
        condition=drawn,
        primary=_primary(config),
    )
    return counters(http_filter, limits, terms, findings, is_counting=is_second)


def _primary(config: xds.Message) -> Limit | None:
    """Give the limit that most routes have: the bucket of all requests, else the first descriptor's."""
    default = bucket_of(config.token_bucket) if config.HasField("token_bucket") else None
    if default is not None:
        return Limit(default)
    buckets = ((bucket_of(one.token_bucket), one) for one in config.descriptors)
    return next((Limit(bucket, limit_name(_entries(one))) for bucket, one in buckets if bucket is not None), None)


def _entries(descriptor: xds.Message) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for entry in descriptor.entries]


def _limits(http_filter: EffectiveFilter, config: xds.Message) -> list[Limit] | None:
    """Give the limits of the filter; None when it cannot be told which hold for a request."""
    descriptors = _descriptors(http_filter, config) if config.descriptors else []
    if descriptors is None:
        return None
    limits: list[Limit] = []
    matched = []
    for one in config.descriptors:
        wanted = _entries(one)
        bucket = bucket_of(one.token_bucket)
        # A bucket that is never empty still keeps the default one from being used.
        found = limits_of(descriptors, wanted, bucket or Bucket(1, 1, 1))
        if found is None:
            return None
        matched += [limit.condition for limit in found]
        limits += found if bucket is not None else []
    default = bucket_of(config.token_bucket) if config.HasField("token_bucket") else None
    if default is not None:
        is_always_used = not config.HasField("always_consume_default_token_bucket") or (
            config.always_consume_default_token_bucket.value
        )
        limits.append(Limit(default, "", "", ALWAYS if is_always_used else negate(any_of(matched))))
    return limits


def _descriptors(http_filter: EffectiveFilter, config: xds.Message) -> list[Descriptor] | None:
    return route_descriptors(http_filter, config.rate_limits, config.vh_rate_limits, config.stage)


def bucket_owner(http_filter: EffectiveFilter) -> tuple[str, ...]:
    """Name whose buckets these are: Envoy has a set of buckets for each place where the filter is configured.

    Nothing in it depends on the order of routes.
    """
    context = http_filter.context
    place = (context.listener.name, context.chain)
    if not http_filter.overrides:
        return ("listener", *place, http_filter.name)
    # A RouteConfiguration that comes by RDS is one object to all listeners that name it, its buckets too.
    scope = ("rds",) if context.hcm.HasField("rds") else place
    holder, host = http_filter.overrides[-1].holder, context.virtual_host
    kind = holder.DESCRIPTOR.name
    parts = (kind, *scope, context.route_config.name, http_filter.name)
    if kind != "RouteConfiguration" and host is not None:
        parts += (host.name,)
    if kind in ("Route", "ClusterWeight") and http_filter.route is not None:
        match = http_filter.route.match.SerializeToString(deterministic=True)
        parts += (http_filter.route.name, match.hex())
    return (*parts, holder.name) if kind == "ClusterWeight" else parts
