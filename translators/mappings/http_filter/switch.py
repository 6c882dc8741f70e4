"""Source: `disabled` of *PerRoute messages; RuntimeFractionalPercent fields such as `filter_enabled`.

Target: whether a filter runs at all.
Fidelity: E.
Differs: runtime keys are not looked at.
Diagnostics: none.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from google.protobuf.unknown_fields import UnknownFieldSet

from schemas import xds

if TYPE_CHECKING:
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


def has_unknown_fields(config: xds.Message) -> bool:
    """Tell whether a message, or one in it, has fields that this version does not know: they could restrict."""
    return _has_unknown_fields(config.DESCRIPTOR.full_name, config.SerializeToString())


@lru_cache(maxsize=1024)
def _has_unknown_fields(type_name: str, body: bytes) -> bool:
    """Look once at what stands in front of every route."""
    waiting = [xds.parse(type_name, body)]
    while waiting:
        message = waiting.pop()
        if len(UnknownFieldSet(message)):
            return True
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if xds.is_map(field):
                has_messages = field.message_type.fields_by_name["value"].message_type is not None
                waiting.extend(value[key] for key in value if has_messages)
            else:
                waiting.extend(value if field.is_repeated else [value])
    return False
