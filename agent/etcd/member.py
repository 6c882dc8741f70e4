"""One etcd member: its services, and what Cluster and Maintenance say of it, for both codecs."""

from __future__ import annotations

from binascii import crc32
from typing import TYPE_CHECKING, NamedTuple

from agent.etcd import errors
from agent.etcd.kv import KV
from agent.etcd.lease import Leases
from agent.store.range import RangeRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.etcd.json_codec import Identity
    from agent.store.store import Store

SERVER_VERSION = "3.5.0"
_EVERYTHING = RangeRequest(b"\0", b"\0")


class Status(NamedTuple):
    """What etcdserverpb.StatusResponse says, beside what the header says."""

    revision: int
    size_bytes: int


class Hash(NamedTuple):
    """What etcdserverpb.HashKVResponse says."""

    hash: int
    compact_revision: int
    revision: int


class Member:
    """The services of one store.

    Args:
        store: what is served.
        identity: the ids in the headers.
        name: its name in the member list.
        clock: seconds that only rise, for leases.
        first_lease_id: see `Leases`.

    Attributes:
        store: see there; so the others.
        kv: the KV service.
        leases: the Lease service.
    """

    def __init__(
        self, store: Store, identity: Identity, name: str, clock: Callable[[], float], first_lease_id: int = 1
    ) -> None:
        self.store = store
        self.identity = identity
        self.name = name
        self.leases = Leases(clock, first_lease_id)
        self.kv = KV(store, self.leases)
        self._hashed: tuple[int, int, Hash] | None = None

    def check_ready(self) -> None:
        """Let nobody ask before there is a state.

        Raises:
            EtcdError: Unavailable.
        """
        if not self.store.image.is_ready:
            raise errors.not_ready()

    def status(self) -> Status:
        """Tell what Maintenance.Status says.

        Raises:
            EtcdError: Unavailable before there is a state.
        """
        self.check_ready()
        objects = self.store.image.objects
        return Status(self.store.revision, sum(len(key) + len(kv.value) for key, kv in objects.items()))

    def hash_kv(self, revision: int = 0) -> Hash:
        """Hash all keys as they are or were: equal on every agent that serves the same.

        Raises:
            EtcdError: the revision is compacted or in the future; Unavailable before there is a state.
        """
        current, asked = self.store.revision, revision or self.store.revision
        if self._hashed is not None and self._hashed[:2] == (current, asked):
            return self._hashed[2]
        found = self.kv.range(_EVERYTHING._replace(revision=asked))
        value = 0
        for key, kv in found.kvs:
            value = crc32(b"%b\0%d\0%b\0" % (key, kv.mod_revision, kv.value), value)
        made = Hash(value, self.store.history.floor, asked)
        self._hashed = (current, asked, made)
        return made
