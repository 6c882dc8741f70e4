"""Source: `disabled` of *PerRoute messages; RuntimeFractionalPercent fields such as `filter_enabled`.

Target: whether a filter runs at all.
Fidelity: E.
Differs: runtime keys are not looked at.
Diagnostics: none.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.unknown_fields import UnknownFieldSet

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


def is_off(share: xds.Message) -> bool:
    """Tell whether a RuntimeFractionalPercent is 0."""
    return not share.default_value.numerator


def has_unknown_fields(config: xds.Message) -> bool:
    """Tell whether a message, or one in it, has fields that this version does not know: they could restrict."""
    if len(UnknownFieldSet(config)):
        return True
    for field, value in config.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"].message_type is not None
            children = [value[key] for key in value] if inner else []
        else:
            children = value if field.is_repeated else [value]
        if any(has_unknown_fields(child) for child in children):
            return True
    return False
