from __future__ import annotations

import pytest

from producers.xds.expiry import Expiry
from schemas import xds

A, B = (xds.CLUSTER, "a"), (xds.CLUSTER, "b")


@pytest.fixture
def expiry():
    return Expiry()


def test_resources_with_one_ttl_share_a_timer_and_those_without_need_none(expiry):
    ttls_ms = {"a": 1000, "b": 2000, "c": 1000, "d": None}
    due = expiry.renewed(xds.CLUSTER, ttls_ms)
    assert due == {1000: [A, (xds.CLUSTER, "c")], 2000: [B]}


def test_what_was_not_renewed_expires_with_its_timer(expiry):
    expiry.start(1, [A, B])
    assert expiry.expired(1) == [A, B]


def test_only_the_last_timer_of_a_resource_counts(expiry):
    expiry.start(1, [A, B])
    expiry.start(2, [A])
    assert expiry.expired(1) == [B]
    assert expiry.expired(2) == [A]


def test_what_comes_without_a_ttl_lives_for_ever(expiry):
    expiry.start(1, [A, B])
    assert expiry.renewed(xds.CLUSTER, {"a": None}) == {}
    assert expiry.expired(1) == [B]


def test_timers_of_ttls_are_told_from_others_until_they_are_over(expiry):
    expiry.start(1, [A])
    assert expiry.knows(1)
    assert not expiry.knows(2)
    expiry.expired(1)
    assert not expiry.knows(1)


def test_a_timer_that_nothing_depends_on_any_more_keeps_nothing(expiry):
    """Heartbeats come for as long as the control plane lives, and a TTL may be a year."""
    for serial in range(1, 1000):
        expiry.start(serial, [A, B])
    assert [serial for serial in range(1, 1000) if expiry.knows(serial)] == [999]
    expiry.renewed(xds.CLUSTER, {"a": None, "b": None})
    assert not expiry.knows(999)
    assert expiry.expired(999) == []
