"""Source: `disabled` of *PerRoute messages; RuntimeFractionalPercent fields such as `filter_enabled`.

Target: whether a filter runs at all.
Fidelity: E.
Differs: runtime keys are not looked at.
Diagnostics: none.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds
    from translators.http_filter import EffectiveFilter


def is_switched_off(http_filter: EffectiveFilter) -> bool:
    """Tell whether the most specific override of the route says `disabled`."""
    override = http_filter.override
    if override is None:
        return False
    spec = override.DESCRIPTOR.fields_by_name.get("disabled")
    return spec is not None and spec.message_type is None and bool(override.disabled)


def says_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether the filter is switched off, or its configuration in force is empty."""
    config = http_filter.override if http_filter.overrides else http_filter.config
    return is_switched_off(http_filter) or (config is not None and not config.ByteSize())


def is_off(share: xds.Message) -> bool:
    """Tell whether a RuntimeFractionalPercent is 0."""
    return not share.default_value.numerator
