"""Which fields of a resource have no meaning for the data plane, and why, as the registry says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import xds
from translators.element import elements
from translators.registry import Ignored, find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from translators.where import Where


def ignored_fields(message: xds.Message, at: Where) -> Iterator[tuple[Where, str]]:
    """Give the place and the reason of every ignored field that is set.

    Args:
        message: a resource or a part of one; what stands in an Any is looked into as if it stood there itself.
        at: its place.
    """
    inner = xds.unpack(message) if message.DESCRIPTOR.full_name == "google.protobuf.Any" else message
    if inner is None:
        return
    row = find(inner.DESCRIPTOR.full_name)
    if isinstance(row, Ignored):
        yield at, row.reason
        return
    for field, value in inner.ListFields():
        row = find(field.full_name)
        if isinstance(row, Ignored):
            yield at.field(field.name), row.reason
        elif field.message_type is not None:
            for child, place in _children(field, field.message_type, value, at):
                yield from ignored_fields(child, place)


def _children(field: FieldDescriptor, kind: Descriptor, value: Any, at: Where) -> list[tuple[xds.Message, Where]]:
    if kind.full_name == "google.protobuf.Any" and field.name == "typed_config":
        return [(value, at)]
    if xds.is_map(field):
        is_message = kind.fields_by_name["value"].message_type is not None
        return [(value[key], at.item(field.name, key)) for key in sorted(value)] if is_message else []
    if not field.is_repeated:
        return [(value, at.field(field.name))]
    if "name" in kind.fields_by_name:
        return list(zip(value, elements(at, field.name, value), strict=True))
    return [(item, at.item(field.name, index)) for index, item in enumerate(value)]
