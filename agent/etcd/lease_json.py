"""The Lease service as JSON (etcd-contract.md sections 3.3 and 7)."""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING

from agent.etcd.json_codec import parse_object, read_bool, read_fields, read_int, render_header
from agent.etcd.watch import split_object

if TYPE_CHECKING:
    from agent.etcd.member import Member

_GRANT_FIELDS = {"TTL": read_int, "ID": read_int}
_FIELDS = {"ID": read_int, "keys": read_bool}


class LeaseJSON:
    """The Lease service of one member over JSON. Every method raises EtcdError for what etcd refuses.

    Args:
        member: who answers.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._leases = member.leases

    def grant(self, body: bytes) -> bytes:
        """Answer a LeaseGrant; the id is a string, for Lua would lose its last digits."""
        self._member.check_ready()
        fields = read_fields(parse_object(body), _GRANT_FIELDS)
        lease = self._leases.grant(fields.get("TTL", 0), fields.get("ID", 0))
        return self._answer(b',"ID":"%d","TTL":"%d"' % (lease.id, lease.ttl_s))

    def revoke(self, body: bytes) -> bytes:
        """Answer a LeaseRevoke."""
        self._member.check_ready()
        self._leases.revoke(_read_id(body))
        return self._answer(b"")

    def keep_alive(self, body: bytes) -> bytes:
        """Answer a LeaseKeepAlive: a line for each request in the body; a lease that is gone has no TTL."""
        self._member.check_ready()
        lines = []
        found, rest = split_object(body)
        while found:
            lease_id = _read_id(found)
            ttl_s = self._leases.keep_alive(lease_id)
            ttl = b',"TTL":"%d"' % ttl_s if ttl_s else b""
            lines.append(b'{"result":%b}\n' % self._answer(b"%b%b" % (_render_id(lease_id), ttl)))
            found, rest = split_object(rest)
        return b"".join(lines)

    def time_to_live(self, body: bytes) -> bytes:
        """Answer a LeaseTimeToLive; a lease that is gone has the TTL -1."""
        self._member.check_ready()
        fields = read_fields(parse_object(body), _FIELDS)
        lease_id = fields.get("ID", 0)
        lease = self._leases.find(lease_id)
        if lease is None:
            return self._answer(b'%b,"TTL":"-1"' % _render_id(lease_id))
        ttl_s = self._leases.remaining_s(lease)
        parts = [_render_id(lease_id), b',"TTL":"%d"' % ttl_s if ttl_s else b"", b',"grantedTTL":"%d"' % lease.ttl_s]
        if fields.get("keys") and lease.keys:
            parts.append(b',"keys":[%b]' % b",".join([b'"%b"' % b2a_base64(key, newline=False) for key in lease.keys]))
        return self._answer(b"".join(parts))

    def leases(self, body: bytes) -> bytes:
        """Answer a LeaseLeases."""
        self._member.check_ready()
        parse_object(body)
        listed = b",".join([b'{"ID":"%d"}' % lease_id for lease_id in self._leases.ids()])
        return self._answer(b',"leases":[%b]' % listed if listed else b"")

    def _answer(self, fields: bytes) -> bytes:
        return b'{"header":%b%b}' % (render_header(self._member.identity, self._member.store.revision), fields)


def _read_id(body: bytes) -> int:
    lease_id: int = read_fields(parse_object(body), _FIELDS).get("ID", 0)
    return lease_id


def _render_id(lease_id: int) -> bytes:
    return b',"ID":"%d"' % lease_id if lease_id else b""
