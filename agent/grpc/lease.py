"""The Lease service in protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.grpc.message import encode, header, parse
from schemas.etcd import message_class

if TYPE_CHECKING:
    from agent.etcd.member import Member


class LeaseMessages:
    """The Lease service of one member in protobuf. Every method raises EtcdError for what etcd refuses.

    Args:
        member: who answers.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._leases = member.leases

    def grant(self, data: bytes) -> bytes:
        """Answer a LeaseGrant."""
        self._member.check_ready()
        request = parse("LeaseGrantRequest", data)
        lease = self._leases.grant(request.TTL, request.ID)
        return self._answer("LeaseGrantResponse", ID=lease.id, TTL=lease.ttl_s)

    def revoke(self, data: bytes) -> bytes:
        """Answer a LeaseRevoke."""
        self._member.check_ready()
        self._leases.revoke(parse("LeaseRevokeRequest", data).ID)
        return self._answer("LeaseRevokeResponse")

    def keep_alive(self, data: bytes) -> bytes:
        """Answer one request of a LeaseKeepAlive stream; a lease that is gone has the TTL 0."""
        self._member.check_ready()
        lease_id = parse("LeaseKeepAliveRequest", data).ID
        return self._answer("LeaseKeepAliveResponse", ID=lease_id, TTL=self._leases.keep_alive(lease_id))

    def time_to_live(self, data: bytes) -> bytes:
        """Answer a LeaseTimeToLive; a lease that is gone has the TTL -1."""
        self._member.check_ready()
        request = parse("LeaseTimeToLiveRequest", data)
        lease = self._leases.find(request.ID)
        if lease is None:
            return self._answer("LeaseTimeToLiveResponse", ID=request.ID, TTL=-1)
        keys = list(lease.keys) if request.keys else []
        ttl_s = self._leases.remaining_s(lease)
        return self._answer("LeaseTimeToLiveResponse", ID=lease.id, TTL=ttl_s, grantedTTL=lease.ttl_s, keys=keys)

    def leases(self, _: bytes) -> bytes:
        """Answer a LeaseLeases."""
        self._member.check_ready()
        status = message_class("LeaseStatus")
        return self._answer("LeaseLeasesResponse", leases=[status(ID=lease_id) for lease_id in self._leases.ids()])

    def _answer(self, name: str, **fields: Any) -> bytes:
        made = header(self._member.identity, self._member.store.revision)
        return encode(message_class(name)(header=made, **fields))
