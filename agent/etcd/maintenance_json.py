"""The Cluster and Maintenance services as JSON (etcd-contract.md sections 7 and 8)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import orjson

from agent.etcd import errors
from agent.etcd.json_codec import RAFT_TERM, enum_reader, parse_object, read_fields, read_int, render_header
from agent.etcd.member import SERVER_VERSION

if TYPE_CHECKING:
    from agent.etcd.member import Member


class AlarmAction(IntEnum):
    """etcdserverpb.AlarmRequest.AlarmAction."""

    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


_ALARM_FIELDS = {"action": enum_reader(AlarmAction)}
_HASH_FIELDS = {"revision": read_int}


class MaintenanceJSON:
    """Cluster and Maintenance of one member over JSON. Every method raises EtcdError for what etcd refuses.

    Args:
        member: who answers.
    """

    def __init__(self, member: Member) -> None:
        self._member = member

    def status(self, body: bytes) -> bytes:
        """Answer a Status: a leader without followers, whose log is the bundles topic."""
        parse_object(body)
        status, member_id = self._member.status(), self._member.identity.member_id
        numbers = b'"dbSize":"%d","leader":"%d","raftIndex":"%d","raftTerm":"%d","raftAppliedIndex":"%d"' % (
            status.size_bytes,
            member_id,
            status.revision,
            RAFT_TERM,
            status.revision,
        )
        version = SERVER_VERSION.encode()
        return b'{"header":%b,"version":"%b",%b,"dbSizeInUse":"%d"}' % (
            self._header(),
            version,
            numbers,
            status.size_bytes,
        )

    def alarm(self, body: bytes) -> bytes:
        """Answer an Alarm: there are none, and none can be set."""
        self._member.check_ready()
        if read_fields(parse_object(body), _ALARM_FIELDS).get("action", AlarmAction.GET) is not AlarmAction.GET:
            raise errors.permission_denied()
        return b'{"header":%b}' % self._header()

    def hash_kv(self, body: bytes) -> bytes:
        """Answer a HashKV."""
        made = self._member.hash_kv(read_fields(parse_object(body), _HASH_FIELDS).get("revision", 0))
        return b'{"header":%b,"hash":%d,"compact_revision":"%d"}' % (self._header(), made.hash, made.compact_revision)

    def member_list(self, body: bytes, url: str) -> bytes:
        """Answer a MemberList: this agent, under the URL the caller has reached it by; the header has no revision."""
        self._member.check_ready()
        parse_object(body)
        listed = {
            "ID": str(self._member.identity.member_id),
            "name": self._member.name,
            "peerURLs": [url],
            "clientURLs": [url],
        }
        header = render_header(self._member.identity, 0)
        return b'{"header":%b,"members":[%b]}' % (header, orjson.dumps(listed))

    def refuse(self, body: bytes) -> bytes:
        """Refuse what would change the cluster."""
        parse_object(body)
        raise errors.permission_denied()

    def _header(self) -> bytes:
        return render_header(self._member.identity, self._member.store.revision)
