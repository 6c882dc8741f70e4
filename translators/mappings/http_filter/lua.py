"""Source: envoy.extensions.filters.http.lua.v3.Lua, LuaPerRoute.

Target: none.
Fidelity: N.
Differs: -
Diagnostics: HF-CODE.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.http_filter.switch import is_switched_off

if TYPE_CHECKING:
    from translators.http_filter import EffectiveFilter


def runs_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether there is no code to run on the route."""
    if is_switched_off(http_filter):
        return True
    config = http_filter.config
    if config is None or http_filter.overrides:
        return False
    return not config.inline_code and not config.HasField("default_source_code")
