"""Source: envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, ExtAuthzPerRoute.

Target: none yet; a filter that asks an authorization service blocks the route.
Fidelity: N.
Differs: -
Diagnostics: HF-RESTRICT.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.http_filter.switch import is_off, is_switched_off

if TYPE_CHECKING:
    from translators.http_filter import EffectiveFilter


def asks_nobody(http_filter: EffectiveFilter) -> bool:
    """Tell whether the filter lets every request pass unasked."""
    if is_switched_off(http_filter):
        return True
    config = http_filter.config
    if config is None or not config.HasField("filter_enabled") or not is_off(config.filter_enabled):
        return False
    return not (config.HasField("deny_at_disable") and config.deny_at_disable.default_value.value)
