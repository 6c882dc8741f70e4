"""The image of a view: the last known resources, sealed and canonical. `replay` is the only writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas import xds


class ResourceKey(NamedTuple):
    """What a resource is called."""

    type_url: str
    name: str


class Entry(NamedTuple):
    """One resource of the image."""

    message: xds.Message
    """Canonical: every Any in it is serialised deterministically, so any part of it may be serialised and compared."""
    body: bytes
    """Canonical bytes of the message."""
    version_info: str


class Replacement(NamedTuple):
    """A resource as it is from now on; `entry` None removes it."""

    key: ResourceKey
    entry: Entry | None


class Delta(NamedTuple):
    """What a replay changed: keys whose resource was added, removed, or has other canonical bytes than before."""

    changed: tuple[ResourceKey, ...]


class Image:
    """All resources of a view, also those that nobody refers to (they may be referred to later)."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {}

    def replay(self, replacements: Iterable[Replacement]) -> Delta:
        """Take over replacements in order; equal canonical bytes are no change."""
        before: dict[ResourceKey, bytes | None] = {}
        for key, entry in replacements:
            before.setdefault(key, self._body(key))
            entries = self._entries.setdefault(key.type_url, {})
            if entry is None:
                entries.pop(key.name, None)
            else:
                entries[key.name] = entry
        return Delta(tuple(key for key, body in before.items() if self._body(key) != body))

    def everything(self) -> Delta:
        """Give the delta from the empty image to this one."""
        return Delta(tuple(ResourceKey(url, name) for url, named in self._entries.items() for name in named))

    def get(self, type_url: str, name: str) -> Entry | None:
        """Give a resource, or None."""
        return self._entries.get(type_url, {}).get(name)

    def names(self, type_url: str) -> Iterator[str]:
        """Give the names of all resources of a type."""
        return iter(self._entries.get(type_url, {}))

    def _body(self, key: ResourceKey) -> bytes | None:
        entry = self.get(*key)
        return None if entry is None else entry.body
