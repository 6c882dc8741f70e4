from __future__ import annotations

import pytest

from agent.etcd.errors import EtcdError
from agent.etcd.json_codec import Identity
from agent.etcd.kv import DeleteRangeRequest, PutRequest, PutResult, TxnRequest
from agent.etcd.member import Member
from agent.etcd.txn import MAX_TXN_OPERATIONS, Compare
from agent.store.range import RangeRequest, RangeResult
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import bundle, genesis

SERVER_INFO = b"/apisix/data_plane/server_info/1"
READ = RangeRequest(b"/apisix/routes/1")


@pytest.fixture
def member() -> Member:
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}"}))
    return Member(store, Identity(1, 2), "node", lambda: 0.0)


def test_keys_only_leaves_the_values_away(member: Member):
    ((key, kv),) = member.kv.range(READ._replace(keys_only=True)).kvs
    assert (key, kv.value, kv.version) == (READ.key, b"", 1)


def test_a_put_is_remembered_by_its_lease_and_by_nothing_else(member: Member):
    lease = member.leases.grant(10)
    assert member.kv.put(PutRequest(SERVER_INFO, b"{}", lease=lease.id)) == PutResult(None)
    assert list(lease.keys) == [SERVER_INFO]
    assert member.kv.range(RangeRequest(SERVER_INFO)).total == 0


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (PutRequest(SERVER_INFO, lease=7), "requested lease not found"),
        (PutRequest(SERVER_INFO, b"x", ignore_value=True), "value is provided"),
        (PutRequest(SERVER_INFO, lease=7, ignore_lease=True), "lease is provided"),
        (PutRequest(b""), "key is not provided"),
        (PutRequest(READ.key), "permission denied"),
    ],
)
def test_puts_that_are_refused_also_inside_a_txn(member: Member, request_: PutRequest, text: str):
    with pytest.raises(EtcdError, match=text):
        member.kv.put(request_)
    for txn in (TxnRequest(success=(request_,)), TxnRequest(failure=(TxnRequest(success=(request_,)),))):
        with pytest.raises(EtcdError, match=text):
            member.kv.txn(txn)


def test_a_txn_of_reads_takes_the_branch_its_comparisons_say(member: Member):
    absent = RangeRequest(b"/apisix/routes/2")
    for number, expected in ((1, 1), (2, 0)):
        result = member.kv.txn(TxnRequest((Compare(READ.key, number=number),), (READ,), (absent,)))
        assert result.succeeded is bool(expected)
        (found,) = result.responses
        assert isinstance(found, RangeResult)
        assert found.total == expected


@pytest.mark.parametrize(
    ("txn", "text"),
    [
        (TxnRequest(success=(READ,) * (MAX_TXN_OPERATIONS + 1)), "too many operations"),
        (TxnRequest(success=(PutRequest(SERVER_INFO),) * 2), "duplicate key"),
        (TxnRequest((Compare(b""),)), "key is not provided"),
        (TxnRequest(success=(RangeRequest(b""),)), "key is not provided"),
        (TxnRequest(failure=(DeleteRangeRequest(b"a"),)), "permission denied"),
    ],
)
def test_txns_that_are_refused(member: Member, txn: TxnRequest, text: str):
    with pytest.raises(EtcdError, match=text):
        member.kv.txn(txn)


def test_nothing_is_answered_before_there_is_a_state():
    member = Member(Store(), Identity(1, 2), "node", lambda: 0.0)
    calls = (
        lambda: member.kv.range(READ),
        lambda: member.kv.put(PutRequest(SERVER_INFO)),
        lambda: member.kv.txn(TxnRequest()),
        member.status,
        member.hash_kv,
    )
    for call in calls:
        with pytest.raises(EtcdError) as error:
            call()
        assert error.value.code == 14
