from __future__ import annotations

from typing import Any

import pytest

from agent.etcd.errors import EtcdError
from agent.etcd.member import Member
from agent.grpc.kv import read_range, read_txn
from agent.grpc.service import Services
from agent.store.range import RangeRequest, SortOrder, SortTarget
from agent.store.store import Store
from schemas.etcd import message_class
from tests.agent.grpc.recorded_outlet import IDENTITY, ready_member
from tests.agent.memory_log import CREATED_MS

R = CREATED_MS
ROUTE = b"/apisix/routes/1"
SERVER_INFO = b"/apisix/data_plane/server_info/1"


@pytest.fixture
def member() -> Member:
    return ready_member()


def call(member: Member, method: str, response: str, request: Any = None) -> Any:
    data = request.SerializeToString() if request is not None else b""
    return message_class(response).FromString(Services(member).unary[f"/{method}".encode()](data))


def made(name: str, /, **fields: Any) -> Any:
    return message_class(name)(**fields)


def test_range(member: Member):
    found = call(member, "etcdserverpb.KV/Range", "RangeResponse", made("RangeRequest", key=ROUTE))
    assert (found.header.cluster_id, found.header.revision, found.count, found.more) == (1, R + 1, 1, False)
    (kv,) = found.kvs
    assert (kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version) == (ROUTE, b"{}", R + 1, R + 1, 1)


def test_every_field_of_a_range_request():
    request = made(
        "RangeRequest",
        key=b"a",
        range_end=b"b",
        limit=3,
        revision=4,
        sort_order=2,
        sort_target=3,
        serializable=True,
        keys_only=True,
        count_only=True,
        min_mod_revision=5,
        max_mod_revision=6,
        min_create_revision=7,
        max_create_revision=8,
    )
    assert read_range(request) == RangeRequest(
        b"a", b"b", 3, 4, SortOrder.DESCEND, SortTarget.MOD, keys_only=True, count_only=True,
        min_mod_revision=5, max_mod_revision=6, min_create_revision=7, max_create_revision=8,
    )  # fmt: skip
    with pytest.raises(EtcdError, match="invalid sort option"):
        read_range(made("RangeRequest", key=b"a", sort_order=9))
    with pytest.raises(EtcdError, match="invalid compare"):
        read_txn(made("TxnRequest", compare=[made("Compare", key=b"a", target=9)]))


def test_put_and_txn(member: Member):
    put = made("PutRequest", key=b"/apisix/routes/", prev_kv=True)
    assert call(member, "etcdserverpb.KV/Put", "PutResponse", put).prev_kv.value == b"init_dir"
    operations = [
        made("RequestOp", request_range=made("RangeRequest", key=ROUTE)),
        made("RequestOp", request_put=made("PutRequest", key=b"/apisix/plugins")),
        made("RequestOp", request_txn=made("TxnRequest")),
    ]
    compare = made("Compare", key=ROUTE, target=3, value=b"{}")
    found = call(
        member, "etcdserverpb.KV/Txn", "TxnResponse", made("TxnRequest", compare=[compare], success=operations)
    )
    assert found.succeeded
    assert found.header.member_id == 2
    assert [item.WhichOneof("response") for item in found.responses] == [
        "response_range",
        "response_put",
        "response_txn",
    ]
    assert (found.responses[0].response_range.header.revision, found.responses[0].response_range.count) == (R + 1, 1)
    compare = made("Compare", key=ROUTE, target=0, version=2)
    assert not call(member, "etcdserverpb.KV/Txn", "TxnResponse", made("TxnRequest", compare=[compare])).succeeded


def test_leases(member: Member):
    granted = call(member, "etcdserverpb.Lease/LeaseGrant", "LeaseGrantResponse", made("LeaseGrantRequest", TTL=10))
    assert (granted.TTL, granted.header.revision, granted.error) == (10, R + 1, "")
    call(member, "etcdserverpb.KV/Put", "PutResponse", made("PutRequest", key=SERVER_INFO, lease=granted.ID))
    request = made("LeaseTimeToLiveRequest", ID=granted.ID, keys=True)
    left = call(member, "etcdserverpb.Lease/LeaseTimeToLive", "LeaseTimeToLiveResponse", request)
    assert (left.ID, left.TTL, left.grantedTTL, list(left.keys)) == (granted.ID, 10, 10, [SERVER_INFO])
    listed = call(member, "etcdserverpb.Lease/LeaseLeases", "LeaseLeasesResponse")
    assert [lease.ID for lease in listed.leases] == [granted.ID]
    for lease_id, ttl_s in ((granted.ID, 10), (99, 0)):
        data = Services(member).lease.keep_alive(made("LeaseKeepAliveRequest", ID=lease_id).SerializeToString())
        kept = message_class("LeaseKeepAliveResponse").FromString(data)
        assert (lease_id, ttl_s) == (kept.ID, kept.TTL)
    call(member, "etcdserverpb.Lease/LeaseRevoke", "LeaseRevokeResponse", made("LeaseRevokeRequest", ID=granted.ID))
    assert call(member, "etcdserverpb.Lease/LeaseTimeToLive", "LeaseTimeToLiveResponse", request).TTL == -1


def test_cluster_and_maintenance(member: Member):
    status = call(member, "etcdserverpb.Maintenance/Status", "StatusResponse")
    assert (status.version, status.leader, status.raftTerm) == ("3.5.0", status.header.member_id, 2)
    assert status.raftIndex == status.raftAppliedIndex == R + 1
    assert status.dbSize == status.dbSizeInUse > 0
    assert not call(member, "etcdserverpb.Maintenance/Alarm", "AlarmResponse").alarms
    hashed = call(member, "etcdserverpb.Maintenance/HashKV", "HashKVResponse")
    assert hashed.hash == call(member, "etcdserverpb.Maintenance/Hash", "HashResponse").hash == member.hash_kv().hash
    assert hashed.hash_revision == R + 1
    data = Services(member).maintenance.member_list(b"", "http://127.0.0.1:1")
    (listed,) = message_class("MemberListResponse").FromString(data).members
    assert (listed.ID, listed.name, list(listed.clientURLs)) == (2, "node", ["http://127.0.0.1:1"])
    assert not call(member, "etcdserverpb.Auth/AuthStatus", "AuthStatusResponse").enabled


def test_health(member: Member):
    name = "grpc.health.v1.HealthCheckResponse"
    assert call(member, "grpc.health.v1.Health/Check", name).status == 1
    empty = Member(Store(), IDENTITY, "node", lambda: 0.0)
    assert call(empty, "grpc.health.v1.Health/Check", name).status == 2


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("etcdserverpb.KV/Range", made("RangeRequest"), 3),
        ("etcdserverpb.KV/Range", made("RangeRequest", key=ROUTE, revision=1), 11),
        ("etcdserverpb.KV/Put", made("PutRequest", key=ROUTE), 7),
        ("etcdserverpb.KV/DeleteRange", made("DeleteRangeRequest", key=ROUTE), 7),
        ("etcdserverpb.KV/Compact", None, 7),
        ("etcdserverpb.Lease/LeaseRevoke", made("LeaseRevokeRequest", ID=1), 5),
        ("etcdserverpb.Maintenance/Alarm", made("AlarmRequest", action=1), 7),
        ("etcdserverpb.Maintenance/Defragment", None, 7),
        ("etcdserverpb.Cluster/MemberAdd", None, 7),
        ("etcdserverpb.Auth/UserAdd", None, 7),
    ],
)
def test_refusals(member: Member, method: str, request_: Any, code: int):
    with pytest.raises(EtcdError) as error:
        call(member, method, "RangeResponse", request_)
    assert error.value.code == code
