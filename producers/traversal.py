"""Walks over messages that look into Any: to find messages of a type, and to change them where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANY = "google.protobuf.Any"


def descend(message: xds.Message) -> Iterator[xds.Message]:
    """Give the message and every message in it, outermost first; an Any of a known type is replaced by its content."""
    if message.DESCRIPTOR.full_name == ANY:
        inner = xds.unpack(message)
        if inner is not None:
            yield from descend(inner)
        return
    yield message
    for child in children(message):
        yield from descend(child)


def find(message: xds.Message, full_name: str) -> Iterator[xds.Message]:
    """Give every message of a type that a message holds, itself included."""
    return (found for found in descend(message) if found.DESCRIPTOR.full_name == full_name)


def rewrite(message: xds.Message, full_name: str, change: Callable[[xds.Message], None]) -> bool:
    """Apply a change to every message of a type, in place; an Any around it is packed again.

    Args:
        message: where to look; it is changed itself when it is of that type.
        full_name: the type.
        change: changes one message in place; messages inside it are not looked at.

    Returns:
        Whether such a message was found.
    """
    if message.DESCRIPTOR.full_name == full_name:
        change(message)
        return True
    if message.DESCRIPTOR.full_name == ANY:
        inner = xds.unpack(message)
        if inner is None or not rewrite(inner, full_name, change):
            return False
        message.value = inner.SerializeToString(deterministic=True)
        return True
    found = [rewrite(child, full_name, change) for child in children(message)]
    return any(found)


def children(message: xds.Message) -> Iterator[xds.Message]:
    """Give the messages in a message's fields, map values included."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if xds.is_map(field):
            if field.message_type.fields_by_name["value"].message_type is not None:
                yield from (value[key] for key in value)
        elif field.is_repeated:
            yield from value
        else:
            yield value


def copy_without(message: xds.Message, *names: str) -> xds.Message:
    """Copy a message but for some fields, which are not even read."""
    copy = type(message)()
    for field, value in message.ListFields():
        if field.name in names:
            continue
        if field.is_repeated:
            getattr(copy, field.name).MergeFrom(value)
        elif field.message_type is not None:
            getattr(copy, field.name).CopyFrom(value)
        else:
            setattr(copy, field.name, value)
    return copy


def copy_only(message: xds.Message, *names: str) -> xds.Message:
    """Copy some fields of a message."""
    others = (field.name for field, _ in message.ListFields() if field.name not in names)
    return copy_without(message, *others)


def body_of(message: xds.Message) -> bytes:
    """Serialise a part of a canonical message; the result is canonical too."""
    return bytes(message.SerializeToString(deterministic=True))
