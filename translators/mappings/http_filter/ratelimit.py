"""Source: envoy.extensions.filters.http.ratelimit.v3.RateLimit, RateLimitPerRoute; rate_limits of routes and hosts.

Target: none: the limits live in the rate limit service.
Fidelity: N.
Differs: -
Diagnostics: HF-RLS.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.filters import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_EFFECT_DENIED = "the route answers 503: its requests may only pass when the rate limit service was asked"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Report limits that are lost; block the route where requests must not pass unlimited (failure_mode_deny)."""
    config = http_filter.config
    if not _has_limits(http_filter):
        return
    if config is None or config.failure_mode_deny:
        if findings.blocks("HF-RLS", at, effect=_EFFECT_DENIED):
            draft.deny("HF-RLS")
        return
    findings.report("HF-RLS", at)


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
