"""The descriptor walk: which fields can occur below the roots, and which of them no row decides on (law 8).

Pure: descriptors and rows in, names out. A newer xds-protos that brings a field brings it here too, and the test of
this module fails until a row says what becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators.registry import ROWS, Handled, Row, find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

ROOTS: tuple[str, ...] = tuple(
    type_url.rpartition("/")[2]
    for type_url in (
        xds.LISTENER,
        xds.ROUTE_CONFIGURATION,
        xds.SCOPED_ROUTE_CONFIGURATION,
        xds.CLUSTER,
        xds.CLUSTER_LOAD_ASSIGNMENT,
        xds.SECRET,
        xds.VIRTUAL_HOST,
        xds.TYPED_EXTENSION_CONFIG,
    )
)
"""The resources a unit can hold (issue of the descriptor walk, mapping.md sections 4 to 6)."""
_LEAVES = "google."
"""Well-known types are values: what is said about the field that holds one says all."""


def reachable_fields() -> Iterator[FieldDescriptor]:
    """Give every field that a mapping can meet, each message's once, in the order of discovery.

    What stands below a field that is ignored, diagnosed or handled as a whole is decided with it and not walked. What
    stands in an `Any` is not known to a descriptor: its message is walked because rows name it or its fields.
    """
    waiting = sorted({*ROOTS, *_handled_extensions()})
    seen = set(waiting)
    while waiting:
        for field in _message(waiting.pop()).fields:
            yield field
            below = _held_message(field)
            if below is not None and below.full_name not in seen:
                seen.add(below.full_name)
                waiting.append(below.full_name)


def undecided_fields() -> list[str]:
    """Give the full names of the reachable fields that stand in no row, sorted."""
    return sorted(field.full_name for field in reachable_fields() if find(field.full_name) is None)


def _handled_extensions() -> set[str]:
    """Messages that a mapping reads: those of a row of their own, and those that hold a field that is read.

    The second kind is how messages are found that stand in an `Any` without a row: protocol options, TLS contexts.
    """
    read = [name for name, row in ROWS.items() if not _is_decided_whole(row)]
    return {message for name in read for message in (name, name.rpartition(".")[0]) if _is_message(message)}


def _held_message(field: FieldDescriptor) -> Descriptor | None:
    """Find the message to walk below a field, a map's value included; None below what is decided as a whole."""
    if _is_decided_whole(find(field.full_name)):
        return None
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        kind = kind.fields_by_name["value"].message_type
    return None if kind is None or kind.full_name.startswith(_LEAVES) else kind


def _is_decided_whole(row: Row | None) -> bool:
    """Tell whether one decision holds for all that stands below; a hole is walked to find all of it."""
    return row.is_whole if isinstance(row, Handled) else row is not None


def _is_message(name: str) -> bool:
    try:
        _message(name)
    except KeyError:
        return False
    return True


def _message(name: str) -> Descriptor:
    return xds.pool().FindMessageTypeByName(name)
