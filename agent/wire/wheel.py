"""One timer for all connections: a wheel of slots, turned one slot at a time."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

SLOTS = 15


class Wheel(Generic[T]):
    """Members, spread over the slots in the order they came; each is due once per turn of the wheel."""

    __slots__ = ("_now", "_slots")

    def __init__(self) -> None:
        self._slots: list[set[T]] = [set() for _ in range(SLOTS)]
        self._now = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def add(self, member: T) -> int:
        """Enter a member so that it is due in a full turn; returns its slot, which `remove` wants back."""
        slot = (self._now - 1) % SLOTS
        self._slots[slot].add(member)
        return slot

    def remove(self, member: T, slot: int) -> None:
        """Take a member out."""
        self._slots[slot].discard(member)

    def turn(self) -> tuple[T, ...]:
        """Move on by one slot and give its members."""
        due = tuple(self._slots[self._now])
        self._now = (self._now + 1) % SLOTS
        return due

    def members(self) -> tuple[T, ...]:
        """Give all members."""
        return tuple(member for slot in self._slots for member in slot)
