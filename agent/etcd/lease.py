"""The leases of one agent: what APISIX's server-info and clients that hold a session renew.

The keys under a lease are bookkeeping that is swallowed, so an end of a lease changes no revision. Leases live in
memory alone: one that a restart forgot is answered as one that has expired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.etcd import errors

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_TTL_S = 2
"""What etcd makes of a shorter time at its default election timeout."""
MAX_TTL_S = 9_000_000_000
MAX_LEASES = 10_000
MAX_KEYS = 128
"""Keys remembered per lease: they are only ever shown."""
_MAX_ID = (1 << 63) - 1


class Lease:
    """One lease.

    Attributes:
        id: its id.
        ttl_s: the time it was granted for.
        expiry_s: when it ends, by the clock of `Leases`.
        keys: what was put under it.
    """

    __slots__ = ("expiry_s", "id", "keys", "ttl_s")

    def __init__(self, lease_id: int, ttl_s: int, expiry_s: float) -> None:
        self.id = lease_id
        self.ttl_s = ttl_s
        self.expiry_s = expiry_s
        self.keys: dict[bytes, None] = {}


class Leases:
    """All leases.

    Args:
        clock: seconds that only rise.
        first_id: where the ids that are chosen here begin, above 0; another one after each restart.
    """

    def __init__(self, clock: Callable[[], float], first_id: int) -> None:
        self._clock = clock
        self._next_id = first_id
        self._leases: dict[int, Lease] = {}

    def grant(self, ttl_s: int, lease_id: int = 0) -> Lease:
        """Grant a lease; id 0 chooses one.

        Raises:
            EtcdError: the id is taken, the time too long, or there are too many leases.
        """
        if ttl_s > MAX_TTL_S:
            raise errors.lease_ttl_too_large()
        now_s = self._clock()
        if lease_id and self.find(lease_id) is not None:
            raise errors.lease_exists()
        if len(self._leases) >= MAX_LEASES:
            self._drop_expired(now_s)
            if len(self._leases) >= MAX_LEASES:
                raise errors.too_many_leases()
        ttl_s = max(ttl_s, MIN_TTL_S)
        lease = Lease(lease_id or self._free_id(), ttl_s, now_s + ttl_s)
        self._leases[lease.id] = lease
        return lease

    def _free_id(self) -> int:
        while self._next_id in self._leases:
            self._next_id += 1
        chosen = self._next_id
        self._next_id = chosen % _MAX_ID + 1
        return chosen

    def _drop_expired(self, now_s: float) -> None:
        self._leases = {lease.id: lease for lease in self._leases.values() if lease.expiry_s > now_s}

    def find(self, lease_id: int) -> Lease | None:
        """Give a lease, None if there is none or it has expired."""
        lease = self._leases.get(lease_id)
        if lease is not None and lease.expiry_s <= self._clock():
            del self._leases[lease_id]
            return None
        return lease

    def revoke(self, lease_id: int) -> None:
        """End a lease.

        Raises:
            EtcdError: there is none.
        """
        if self.find(lease_id) is None:
            raise errors.lease_not_found()
        del self._leases[lease_id]

    def keep_alive(self, lease_id: int) -> int:
        """Renew a lease; returns the seconds it has again, 0 if there is none."""
        lease = self.find(lease_id)
        if lease is None:
            return 0
        lease.expiry_s = self._clock() + lease.ttl_s
        return lease.ttl_s

    def remaining_s(self, lease: Lease) -> int:
        """Tell how many whole seconds a lease still has."""
        return int(lease.expiry_s - self._clock())

    def attach(self, lease_id: int, key: bytes) -> None:
        """Put a key under a lease.

        Raises:
            EtcdError: there is no such lease.
        """
        lease = self.find(lease_id)
        if lease is None:
            raise errors.lease_not_found()
        if len(lease.keys) < MAX_KEYS:
            lease.keys[key] = None

    def ids(self) -> list[int]:
        """Give the ids of all leases, the one that ends first at the front."""
        self._drop_expired(self._clock())
        return [lease.id for lease in sorted(self._leases.values(), key=lambda lease: lease.expiry_s)]
