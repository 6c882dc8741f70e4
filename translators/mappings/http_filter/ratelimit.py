"""Source: envoy.extensions.filters.http.ratelimit.v3.RateLimit, RateLimitPerRoute; rate_limits of routes and hosts.

Target: none: the limits live in the rate limit service. Those that the operator gives in `rls_static_limits` become
limits of rate_limit.py.
Fidelity: N; A for given limits.
Differs: each node counts for itself; windows begin with their first request.
Diagnostics: HF-RLS, HF-RESTRICT, HF-DUP.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.expr import all_of, any_of, negate
from translators.mappings.http_filter.limit_plugin import add_counters, counters, is_counting
from translators.mappings.http_filter.rate_limit import Bucket, Limit, Terms, limit_name, limits_of
from translators.mappings.http_filter.rate_limit_action import route_descriptors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.mappings.http_filter.rate_limit_action import Descriptor
    from translators.policy import StaticLimit
    from translators.where import Where

_EFFECT_DENIED = "the route answers 503: its requests may only pass when the rate limit service was asked"
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_NS_PER_S = 1_000_000_000
_TOO_MANY_REQUESTS = 429
_FIRST_ERROR = 400
_SHARES = ("filter_enabled", "filter_enforced")


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Apply limits that the operator gives; else report them as lost, or block where requests must not pass without."""
    config = http_filter.config
    if not _has_limits(http_filter):
        return
    if config is not None:
        dispatch.apply(config, None, at, findings)
    limits = None if config is None else _static_limits(http_filter, config)
    if config is not None and limits is not None:
        terms = _terms(http_filter, config, draft)
        plugins = counters(http_filter, limits, terms, findings, is_counting=is_counting(draft))
        add_counters(http_filter, draft, plugins, findings)
    elif config is None or config.failure_mode_deny:
        if findings.blocks("HF-RLS", at, effect=_EFFECT_DENIED):
            draft.deny("HF-RLS")
    else:
        findings.report("HF-RLS", at)


def _terms(http_filter: EffectiveFilter, config: xds.Message, draft: FilterDraft) -> Terms:
    status = config.rate_limited_status.code
    shares = (getattr(config, field).default_value for field in _SHARES if config.HasField(field))
    known = http_filter.context.policy.rls_static_limits.get(_domain(http_filter, config), ())
    return Terms(
        owner=("rls", _domain(http_filter, config)),
        status=status if status >= _FIRST_ERROR else _TOO_MANY_REQUESTS,
        text="rate_limited",
        has_headers=bool(config.enable_x_ratelimit_headers),
        condition=all_of(draft.draw(share, is_shared=True) for share in shares),
        primary=Limit(_bucket(known[0]), limit_name(known[0].descriptor)) if known else None,
    )


def _has_limits(http_filter: EffectiveFilter) -> bool:
    """Tell whether anything says what to ask the service for; without, Envoy asks nothing."""
    if http_filter.has_unreadable_override:
        return True
    route, virtual_host = http_filter.route, http_filter.context.virtual_host
    holders = [message for message in (http_filter.config, http_filter.override) if message is not None]
    if route is not None:
        holders += [route.route] + ([virtual_host] if virtual_host is not None else [])
    return any(
        "rate_limits" in message.DESCRIPTOR.fields_by_name and len(message.rate_limits) > 0 for message in holders
    )


def _static_limits(http_filter: EffectiveFilter, config: xds.Message) -> list[Limit] | None:
    """Give the limits of the policy that hold for the route; None when it knows nothing of the domain or the route."""
    if http_filter.has_unreadable_override:
        return None
    known = http_filter.context.policy.rls_static_limits.get(_domain(http_filter, config))
    descriptors = _descriptors(http_filter, config) if known is not None else None
    if known is None or descriptors is None:
        return None
    found: list[Limit] = []
    for descriptor in descriptors:
        limits = _held_to(descriptor, known)
        if limits is None:
            return None
        found += limits
    return found


def _domain(http_filter: EffectiveFilter, config: xds.Message) -> str:
    override = http_filter.override
    return str((override.domain if override is not None else "") or config.domain)


def _bucket(limit: StaticLimit) -> Bucket:
    return Bucket(limit.requests_per_unit, limit.requests_per_unit, _UNIT_S[limit.unit] * _NS_PER_S)


def _held_to(descriptor: Descriptor, known: Sequence[StaticLimit]) -> list[Limit] | None:
    """Give what a descriptor is held to: a value that is named wins over any value, as in the service."""
    found: list[Limit] = []
    for one in sorted(known, key=lambda limit: [not value for _, value in limit.descriptor]):
        limits = limits_of([descriptor], one.descriptor, _bucket(one))
        if limits is None:
            return None
        found += limits
        descriptor = descriptor.limited(negate(any_of(limit.condition for limit in limits)))
    return found


def _descriptors(http_filter: EffectiveFilter, config: xds.Message) -> list[Descriptor] | None:
    override = http_filter.override
    own = list(override.rate_limits if override is not None else ()) or config.rate_limits
    return route_descriptors(http_filter, own, override.vh_rate_limits if override is not None else 0, config.stage)
