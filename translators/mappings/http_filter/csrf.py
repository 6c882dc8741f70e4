"""Source: envoy.extensions.filters.http.csrf.v3.CsrfPolicy.

Target: none; the csrf plugin of APISIX is another thing (a token in a cookie).
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


def checks_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether the policy in force is enabled for no request (shadowing only counts)."""
    if http_filter.has_unreadable_override:
        return False
    policy = http_filter.config if http_filter.override is None else http_filter.override
    return policy is not None and policy.DESCRIPTOR.name == "CsrfPolicy" and is_off(policy.filter_enabled)
