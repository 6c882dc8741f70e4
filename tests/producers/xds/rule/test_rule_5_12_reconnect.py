"""control-planes.md section 5, rule 12: how and when a stream is opened again, over a real connection."""

from __future__ import annotations

from itertools import pairwise

import grpc
import pytest

from producers.xds import transport
from producers.xds.transport import Lifetime
from schemas import xds
from tests.peers.half_open import HalfOpen

JITTER = 0.02


@pytest.fixture
def delays_s(monkeypatch):
    """The ceilings of all delays that were waited for, in seconds."""
    found = []
    next_s = transport.Backoff.next_s

    def record(backoff):
        delay_s = next_s(backoff)
        found.append(delay_s / JITTER)
        return delay_s

    monkeypatch.setattr(transport.Backoff, "next_s", record)
    return found


def test_rule_5_12_delays_have_full_jitter_from_500_ms_to_30_s():
    backoff = transport.Backoff(transport.BACKOFF_BASE_S, transport.BACKOFF_CAP_S, lambda: 1.0)
    assert [backoff.next_s() for _ in range(9)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert transport.Backoff(0.5, 30.0, lambda: 0.0).next_s() == 0.0


async def test_rule_5_12_a_response_starts_the_delays_over_and_a_connection_does_not(peer, follow, delays_s):
    peer.misbehaviour.silent.update(peer.resources)
    follower = follow(peer.address, jitter=lambda: JITTER)
    for attempt_count in (1, 2, 3):
        await peer.until(lambda count=attempt_count: len(peer.requests) == count)  # it is connected, and has asked
        peer.kick()
    await peer.until(lambda: len(peer.requests) == 4)
    assert delays_s == pytest.approx([0.5, 1.0, 2.0])
    peer.misbehaviour.silent.clear()
    peer.kick()
    await follower.until(lambda: follower.changes)
    assert delays_s[3:] == pytest.approx([4.0])
    peer.kick()
    await peer.until(lambda: len(peer.metadata) == 6)
    assert delays_s[4:] == pytest.approx([0.5])


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
async def test_rule_5_12_a_control_plane_that_limits_streams_is_asked_ever_more_rarely(peer, follow, delays_s, code):
    peer.refuses = code
    follower = follow(peer.address, jitter=lambda: JITTER)
    await peer.until(lambda: len(peer.metadata) >= 4)
    assert len(delays_s) >= 3  # one wait before each attempt but the first
    assert all(later > earlier for earlier, later in pairwise(delays_s))
    assert len(follower.problems) == 1


async def test_rule_5_12_a_goaway_is_followed_by_a_new_stream_without_a_problem_or_a_wait(peer, follow, delays_s):
    follower = follow(peer.address, jitter=lambda: JITTER)
    await follower.until(lambda: follower.changes)
    await peer.until(lambda: peer.acks(xds.SECRET))
    await peer.go_away()
    await peer.until(lambda: len(peer.metadata) == 2)
    assert delays_s == []
    assert not follower.problems
    assert len(follower.changes) == 1


async def test_rule_5_12_a_stream_of_the_greatest_age_is_opened_again_without_a_problem(peer, follow):
    follower = follow(peer.address, lifetime=Lifetime(max_age_s=0.4))
    await peer.until(lambda: len(peer.metadata) >= 3)
    assert not follower.problems
    assert len(follower.changes) == 1


async def test_rule_5_12_a_half_open_connection_is_found_by_its_keepalive(peer, follow):
    async with HalfOpen(peer.port) as between:
        follower = follow(between.address, keepalive_ms=1_000)
        await follower.until(lambda: follower.changes)
        between.hold()
        await follower.until(lambda: follower.problems)
        between.release()
        await peer.until(lambda: len(peer.metadata) >= 2)
        assert follower.names.total() == sum(map(len, peer.resources.values()))
