"""Source: envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit.

Target: none yet; a filter that can deny blocks the route.
Fidelity: N.
Differs: -
Diagnostics: HF-RESTRICT.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.http_filter.switch import is_off

if TYPE_CHECKING:
    from translators.http_filter import EffectiveFilter


def limits_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether no request is denied: without a bucket, or not enabled, or not enforced (both default to 0 %)."""
    if http_filter.has_unreadable_override:
        return False
    config = http_filter.config if http_filter.override is None else http_filter.override
    if config is None or config.DESCRIPTOR.name != "LocalRateLimit":
        return False
    if not config.HasField("token_bucket") and not config.descriptors:
        return True
    return is_off(config.filter_enabled) or is_off(config.filter_enforced)
