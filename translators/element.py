"""Places of list elements: by name where an element has one that is unique in its list, else by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from translators.where import Where


def element(at: Where, field: str, items: Sequence[xds.Message], index: int) -> Where:
    """Give the place of `items[index]` in a repeated field of messages that have a `name`."""
    name = items[index].name
    is_unique = name and sum(item.name == name for item in items) == 1
    return at.item(field, name if is_unique else index)
