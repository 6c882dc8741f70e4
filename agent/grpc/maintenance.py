"""The Cluster, Maintenance, Auth and health services in protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.etcd import errors
from agent.etcd.json_codec import RAFT_TERM
from agent.etcd.member import SERVER_VERSION
from agent.grpc.message import encode, header, parse
from schemas.etcd import message_class

if TYPE_CHECKING:
    from agent.etcd.auth import Auth
    from agent.etcd.member import Member

GET_ALARMS = 0
SERVING, NOT_SERVING = 1, 2


class MaintenanceMessages:
    """Cluster, Maintenance, Auth and health of one member. Every method raises EtcdError for what etcd refuses.

    Args:
        member: who answers.
    """

    def __init__(self, member: Member) -> None:
        self._member = member

    def status(self, _: bytes) -> bytes:
        """Answer a Status: a leader without followers, whose log is the bundles topic."""
        status = self._member.status()
        return self._answer(
            "StatusResponse",
            version=SERVER_VERSION,
            dbSize=status.size_bytes,
            dbSizeInUse=status.size_bytes,
            leader=self._member.identity.member_id,
            raftIndex=status.revision,
            raftAppliedIndex=status.revision,
            raftTerm=RAFT_TERM,
        )

    def alarm(self, data: bytes) -> bytes:
        """Answer an Alarm: there are none, and none can be set."""
        self._member.check_ready()
        if parse("AlarmRequest", data).action != GET_ALARMS:
            raise errors.permission_denied()
        return self._answer("AlarmResponse")

    def hash(self, _: bytes) -> bytes:
        """Answer a Hash."""
        return self._answer("HashResponse", hash=self._member.hash_kv().hash)

    def hash_kv(self, data: bytes) -> bytes:
        """Answer a HashKV."""
        made = self._member.hash_kv(parse("HashKVRequest", data).revision)
        return self._answer(
            "HashKVResponse", hash=made.hash, compact_revision=made.compact_revision, hash_revision=made.revision
        )

    def member_list(self, _: bytes, url: str) -> bytes:
        """Answer a MemberList: this agent, under the URL the caller has reached it by; the header has no revision."""
        self._member.check_ready()
        listed = message_class("Member")(
            ID=self._member.identity.member_id, name=self._member.name, peerURLs=[url], clientURLs=[url]
        )
        response = message_class("MemberListResponse")
        return encode(response(header=header(self._member.identity, 0), members=[listed]))

    def authenticate(self, auth: Auth, data: bytes) -> bytes:
        """Answer an Authenticate with a token."""
        request = parse("AuthenticateRequest", data)
        return self._answer("AuthenticateResponse", token=auth.authenticate(request.name, request.password))

    def auth_status(self, _: bytes) -> bytes:
        """Answer an AuthStatus."""
        return self._answer("AuthStatusResponse", authRevision=1)

    def health(self, _: bytes) -> bytes:
        """Answer a health check, whatever service it is about."""
        is_ready = self._member.store.image.is_ready
        response = message_class("grpc.health.v1.HealthCheckResponse")
        return encode(response(status=SERVING if is_ready else NOT_SERVING))

    def refuse(self, _: bytes) -> bytes:
        """Refuse what would change the member, its users or its cluster."""
        raise errors.permission_denied()

    def _answer(self, name: str, **fields: Any) -> bytes:
        made = header(self._member.identity, self._member.store.revision)
        return encode(message_class(name)(header=made, **fields))
