"""What one or more records change: first the units, then the keys whose value is now another one.

Two steps, because an object lives while any bundle carries it: the value of a key is known only when all units that
change together have changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.store.image import KeyValue

if TYPE_CHECKING:
    from agent.store.image import Image, UnitState


class Event(NamedTuple):
    """A key that was put (`kv`) or deleted (`kv` None); `prev` is what it was before."""

    key: bytes
    kv: KeyValue | None
    prev: KeyValue | None


class Change(NamedTuple):
    """All events of one revision: one bundle, one change, never split over watch lines (law 6)."""

    revision: int
    events: tuple[Event, ...]


def replace_unit(image: Image, unit_key: str, new: UnitState | None) -> list[bytes]:
    """Put a unit's new bundle in force (None: take the unit away) without touching any value.

    Returns:
        The keys whose value may now be another one: what the unit carries, then what it no longer carries, so that
        new objects come before removals (law 1).
    """
    old = image.units.pop(unit_key, None)
    touched: list[bytes] = []
    if new is not None:
        image.units[unit_key] = new
        for key in new.objects:
            others = _without(image.carriers.get(key, ()), unit_key)
            image.carriers[key] = (*others, unit_key)
            touched.append(key)
    for key in old.objects if old is not None else ():
        if new is None or key not in new.objects:
            others = _without(image.carriers[key], unit_key)
            if others:
                image.carriers[key] = others
            else:
                del image.carriers[key]
            touched.append(key)
    return touched


def _without(carriers: tuple[str, ...], unit_key: str) -> tuple[str, ...]:
    if unit_key not in carriers:
        return carriers
    return tuple(carrier for carrier in carriers if carrier != unit_key)


def value_in_force(image: Image, key: bytes) -> bytes | None:
    """Tell the value of the latest bundle that carries a key; None when no bundle does."""
    carriers = image.carriers.get(key)
    return image.units[carriers[-1]].objects[key].value if carriers else None


def is_settled(image: Image, key: bytes) -> bool:
    """Tell whether a key already has the value in force."""
    current = image.objects.get(key)
    return (current.value if current is not None else None) == value_in_force(image, key)


def settle(image: Image, key: bytes, revision: int) -> Event | None:
    """Give a key the value in force.

    Args:
        image: changed in place.
        key: the etcd key.
        revision: becomes the key's mod_revision if its value changes, and only then.

    Returns:
        The event; None if the key had that value.
    """
    value = value_in_force(image, key)
    prev = image.objects.get(key)
    if value is None:
        if prev is None:
            return None
        del image.objects[key]
        image.remove_key(key)
        return Event(key, None, prev)
    if prev is None:
        kv = KeyValue(value, revision, revision, 1)
        image.add_key(key)
    elif prev.value == value:
        return None
    else:
        kv = KeyValue(value, prev.create_revision, revision, prev.version + 1)
    image.objects[key] = kv
    return Event(key, kv, prev)
