from __future__ import annotations

import pytest

from agent.etcd.errors import EtcdError
from agent.etcd.json_codec import Identity
from agent.etcd.member import Member
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

R = CREATED_MS


def member(name: str = "node") -> Member:
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}"}))
    store.replay(2, "a", bundle("a", 2, {"/routes/1": b'{"a":1}'}))
    return Member(store, Identity(1, 2), name, lambda: 0.0)


def test_members_of_one_state_have_one_hash():
    one, other = member(), member("other")
    assert one.hash_kv() == other.hash_kv() == one.hash_kv(R + 2)
    before = one.hash_kv(R + 1)
    assert before.hash != one.hash_kv().hash
    assert before.revision == R + 1
    other.store.replay(3, "b", bundle("b", 3, {"/routes/2": b"{}"}))
    assert other.hash_kv().hash != one.hash_kv().hash
    assert other.hash_kv(R + 2).hash == one.hash_kv().hash


@pytest.mark.parametrize(("revision", "text"), [(1, "compacted"), (R + 9, "future revision")])
def test_a_hash_of_a_revision_that_is_not_there(revision: int, text: str):
    with pytest.raises(EtcdError, match=text):
        member().hash_kv(revision)


def test_status():
    assert member().status() == (R + 2, len("/apisix/routes/1") + len(b'{"a":1}'))
