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
    names = [item.name for item in items]
    distinct = set(names)
    if len(distinct) == len(names):  # counting takes longer than telling that there is nothing to count
        return [at.item(field, name or index) for index, name in enumerate(names)]
    counts = Counter(names)
    return [at.item(field, name if name and counts[name] == 1 else index) for index, name in enumerate(names)]
