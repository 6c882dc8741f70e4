"""The one table of gRPC methods: what each path answers (etcd-contract.md section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.grpc.kv import KVMessages
from agent.grpc.lease import LeaseMessages
from agent.grpc.maintenance import MaintenanceMessages
from agent.grpc.message import named_ranges, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.etcd.auth import Grant
    from agent.etcd.member import Member

    Unary = Callable[[bytes], bytes]

WATCH_PATH = b"/etcdserverpb.Watch/Watch"
KEEP_ALIVE_PATH = b"/etcdserverpb.Lease/LeaseKeepAlive"
MEMBER_LIST_PATH = b"/etcdserverpb.Cluster/MemberList"
AUTHENTICATE_PATH = b"/etcdserverpb.Auth/Authenticate"
HEALTH_PREFIX = b"/grpc.health.v1.Health/"
HEALTH_WATCH_PATH = b"/grpc.health.v1.Health/Watch"
_NAMES_KEYS = {
    b"/etcdserverpb.KV/Range": "RangeRequest",
    b"/etcdserverpb.KV/Put": "PutRequest",
    b"/etcdserverpb.KV/DeleteRange": "DeleteRangeRequest",
    b"/etcdserverpb.KV/Txn": "TxnRequest",
}
"""Requests that name keys, by the message they come in."""
_REFUSED = {
    "Cluster": ("MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote"),
    "Maintenance": ("Defragment", "MoveLeader", "Downgrade"),
    "Auth": (
        "AuthEnable",
        "AuthDisable",
        "UserAdd",
        "UserGet",
        "UserList",
        "UserDelete",
        "UserChangePassword",
        "UserGrantRole",
        "UserRevokeRole",
        "RoleAdd",
        "RoleGet",
        "RoleList",
        "RoleDelete",
        "RoleGrantPermission",
        "RoleRevokePermission",
    ),
}


class Services:
    """All services of one member.

    Args:
        member: who answers.

    Attributes:
        unary: path -> what answers it, except the member list and authentication.
        maintenance: answers the member list, with the caller's URL.
        lease: answers the requests of a LeaseKeepAlive stream.
    """

    def __init__(self, member: Member) -> None:
        self.lease = LeaseMessages(member)
        self.maintenance = MaintenanceMessages(member)
        self.unary = _unary(KVMessages(member), self.lease, self.maintenance)

    def answer(self, path: bytes, grant: Grant | None, data: bytes) -> bytes:
        """Answer a unary call.

        Args:
            path: one of `unary`.
            grant: the keys that may be named; None for all.
            data: the request.

        Raises:
            EtcdError: what etcd refuses; PermissionDenied for keys outside the grant.
        """
        if grant is not None and path in _NAMES_KEYS:
            for key, range_end in named_ranges(parse(_NAMES_KEYS[path], data)):
                grant.check(key, range_end)
        return self.unary[path](data)


def _unary(kv: KVMessages, lease: LeaseMessages, maintenance: MaintenanceMessages) -> dict[bytes, Unary]:
    answered: dict[str, Unary] = {
        "etcdserverpb.KV/Range": kv.range,
        "etcdserverpb.KV/Put": kv.put,
        "etcdserverpb.KV/DeleteRange": kv.delete_range,
        "etcdserverpb.KV/Txn": kv.txn,
        "etcdserverpb.KV/Compact": kv.compact,
        "etcdserverpb.Lease/LeaseGrant": lease.grant,
        "etcdserverpb.Lease/LeaseRevoke": lease.revoke,
        "etcdserverpb.Lease/LeaseTimeToLive": lease.time_to_live,
        "etcdserverpb.Lease/LeaseLeases": lease.leases,
        "etcdserverpb.Maintenance/Status": maintenance.status,
        "etcdserverpb.Maintenance/Alarm": maintenance.alarm,
        "etcdserverpb.Maintenance/Hash": maintenance.hash,
        "etcdserverpb.Maintenance/HashKV": maintenance.hash_kv,
        "etcdserverpb.Auth/AuthStatus": maintenance.auth_status,
        "grpc.health.v1.Health/Check": maintenance.health,
    }
    refused = {f"etcdserverpb.{name}/{method}": maintenance.refuse for name, of in _REFUSED.items() for method in of}
    return {f"/{path}".encode(): call for path, call in (answered | refused).items()}
