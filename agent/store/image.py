"""The image: everything an agent serves, as it is now.

The values inside are never changed once made; only the maps that hold them are, and only by `Store.replay` and
`Store.finish_snapshot` through delta.py. So a shallow copy of the maps is a consistent picture of one moment.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple


class KeyValue(NamedTuple):
    """One etcd key's value and its revisions, in the words of etcd's mvccpb.KeyValue."""

    value: bytes
    create_revision: int
    mod_revision: int
    version: int


class Carried(NamedTuple):
    """An object as a bundle carries it: as it came (private keys sealed), and as it is served."""

    sealed: bytes
    value: bytes


class UnitState(NamedTuple):
    """The bundle in force for a unit key."""

    seq: int
    objects: dict[bytes, Carried]


class Provenance(NamedTuple):
    """The newest record inside the image, and the life of the topic it came from."""

    genesis_ms: int
    genesis_id: str
    offset: int


class Image:
    """All units and the keys that are their union.

    Attributes:
        provenance: None until the first `@genesis` record.
        shift: what is added to `genesis + offset` so that no revision ever goes back (law 5).
        revision: the header revision, that of the newest record.
        is_ready: whether there is a state to serve.
        units: unit key -> the bundle in force.
        objects: etcd key -> its value and revisions; placeholders are not in it.
        carriers: etcd key -> unit keys whose bundles carry it, the one whose value is served last.
        keys: the etcd keys of `objects` in byte order.
        rejected: unit key (or `@genesis`) -> why its newest record was not taken.
    """

    __slots__ = ("carriers", "is_ready", "keys", "objects", "provenance", "rejected", "revision", "shift", "units")

    def __init__(self) -> None:
        self.provenance: Provenance | None = None
        self.shift = 0
        self.revision = 0
        self.is_ready = False
        self.units: dict[str, UnitState] = {}
        self.objects: dict[bytes, KeyValue] = {}
        self.carriers: dict[bytes, tuple[str, ...]] = {}
        self.keys: list[bytes] = []
        self.rejected: dict[str, str] = {}

    def copy(self) -> Image:
        """Copy the maps, not what is in them: for an encoder in another thread."""
        copied = Image()
        copied.provenance, copied.shift, copied.revision = self.provenance, self.shift, self.revision
        copied.is_ready = self.is_ready
        copied.units, copied.objects = dict(self.units), dict(self.objects)
        copied.carriers, copied.keys = dict(self.carriers), list(self.keys)
        copied.rejected = dict(self.rejected)
        return copied

    def add_key(self, key: bytes) -> None:
        """Enter a key that is not in the order yet. O(log n) to find its place."""
        self.keys.insert(bisect_left(self.keys, key), key)

    def remove_key(self, key: bytes) -> None:
        """Take a key that is in the order out of it."""
        del self.keys[bisect_left(self.keys, key)]
