from __future__ import annotations

import pytest

from agent.etcd import lease as lease_module
from agent.etcd.errors import EtcdError
from agent.etcd.lease import MAX_KEYS, MAX_TTL_S, MIN_TTL_S, Leases


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases(clock: Clock) -> Leases:
    return Leases(clock, first_id=5)


def test_a_lease_ends_unless_it_is_renewed(leases: Leases, clock: Clock):
    lease = leases.grant(10)
    clock.now_s += 9
    assert leases.remaining_s(lease) == 1
    assert leases.keep_alive(lease.id) == 10
    clock.now_s += 9
    assert leases.find(lease.id) is lease
    clock.now_s += 1
    assert leases.find(lease.id) is None
    assert leases.keep_alive(lease.id) == 0
    assert leases.ids() == []


def test_ids_are_chosen_or_asked_for(leases: Leases):
    assert leases.grant(10, lease_id=5).id == 5
    assert leases.grant(10).id == 6
    with pytest.raises(EtcdError, match="lease already exists"):
        leases.grant(10, lease_id=6)


def test_times_are_those_of_etcd(leases: Leases):
    assert [leases.grant(ttl_s).ttl_s for ttl_s in (-1, 0, 2, MAX_TTL_S)] == [MIN_TTL_S, MIN_TTL_S, 2, MAX_TTL_S]
    with pytest.raises(EtcdError, match="too large lease TTL"):
        leases.grant(MAX_TTL_S + 1)


def test_leases_are_listed_by_their_end(leases: Leases):
    late, early = leases.grant(20), leases.grant(10)
    assert leases.ids() == [early.id, late.id]


def test_a_revoked_lease_is_gone(leases: Leases):
    lease = leases.grant(10)
    leases.revoke(lease.id)
    for call in (leases.revoke, lambda lease_id: leases.attach(lease_id, b"a")):
        with pytest.raises(EtcdError, match="requested lease not found"):
            call(lease.id)


def test_leases_and_their_keys_are_bounded(leases: Leases, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease_module, "MAX_LEASES", 3)
    first = leases.grant(10)
    for number in range(MAX_KEYS + 5):
        leases.attach(first.id, b"%d" % number)
    assert len(first.keys) == MAX_KEYS
    leases.grant(20)
    leases.grant(20)
    with pytest.raises(EtcdError, match="too many leases"):
        leases.grant(10)
    clock.now_s += 15
    assert leases.grant(10).id != first.id
