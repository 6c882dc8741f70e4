"""An index in both directions: which values an owner has, and which owners a value has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable
    from collections.abc import Set as AbstractSet

Owner = TypeVar("Owner", bound="Hashable")
Value = TypeVar("Value", bound="Hashable")


class Relation(Generic[Owner, Value]):
    """A many-to-many relation that is replaced owner by owner, at the cost of what that owner has."""

    def __init__(self) -> None:
        self._values: dict[Owner, frozenset[Value]] = {}
        self._owners: dict[Value, set[Owner]] = {}

    def replace(self, owner: Owner, values: AbstractSet[Value]) -> set[Value]:
        """Set the values of an owner.

        Returns:
            The values that now have their first owner or have lost their last one.
        """
        before = self._values.get(owner, frozenset())
        flipped = set()
        for value in before - values:
            owners = self._owners[value]
            owners.discard(owner)
            if not owners:
                del self._owners[value]
                flipped.add(value)
        for value in values - before:
            if value not in self._owners:
                flipped.add(value)
            self._owners.setdefault(value, set()).add(owner)
        if values:
            self._values[owner] = frozenset(values)
        else:
            self._values.pop(owner, None)
        return flipped

    def owners(self, value: Value) -> frozenset[Owner]:
        """Give the owners of a value."""
        return frozenset(self._owners.get(value, ()))

    def values(self, owner: Owner) -> frozenset[Value]:
        """Give the values of an owner."""
        return self._values.get(owner, frozenset())
