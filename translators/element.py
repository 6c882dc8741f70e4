"""Places of list elements: by name where an element has one that is unique in its list, else by index."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas import xds
    from translators.where import Where


def elements(at: Where, field: str, items: Sequence[xds.Message]) -> list[Where]:
    """Give the place of each item of a repeated field of messages that have a `name`."""
    if not items:
        return []
    if len(items) == 1:  # the usual case of matchers: nothing to count
        return [at.item(field, items[0].name or 0)]
    names = Counter(item.name for item in items)
    return [
        at.item(field, item.name if item.name and names[item.name] == 1 else index) for index, item in enumerate(items)
    ]
