from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.xds.failover import MIN_STREAM_MS, End, Failover


def test_an_unanswered_attempt_goes_on_to_the_next_and_around():
    failover = Failover(3, 1_000)
    indexes = []
    for _ in range(4):
        assert failover.ended(End.UNANSWERED, 0, 0)
        indexes.append(failover.index)
    assert indexes == [1, 2, 0, 1]


def test_a_broken_stream_is_opened_again_at_the_same_place_after_a_wait():
    failover = Failover(2, 1_000)
    assert failover.ended(End.BROKEN, 60_000, 0)
    assert failover.index == 0


@pytest.mark.parametrize(("lasted_ms", "waits"), [(MIN_STREAM_MS, False), (MIN_STREAM_MS - 1, True)])
def test_a_finished_stream_is_opened_again_at_once_unless_it_was_short(lasted_ms, waits):
    failover = Failover(2, 1_000)
    assert failover.ended(End.FINISHED, lasted_ms, 0) is waits
    assert failover.index == 0


def test_the_first_is_left_alone_and_then_returned_to_at_once():
    failover = Failover(2, 1_000)
    assert failover.return_due_ms is None
    failover.ended(End.UNANSWERED, 0, now_ms=500)
    assert failover.return_due_ms == 1_500
    failover.first_failed(1_600)
    assert failover.return_due_ms == 2_600
    assert not failover.ended(End.RETURNING, 60_000, 2_600)
    assert failover.index == 0
    assert failover.return_due_ms is None


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(End), st.integers(0, 5_000))))
def test_there_is_always_a_server_and_only_finished_or_returning_streams_are_not_waited_for(count, ends):
    failover = Failover(count, 1_000)
    for end, lasted_ms in ends:
        waits = failover.ended(end, lasted_ms, 0)
        assert 0 <= failover.index < count
        assert waits or end in {End.FINISHED, End.RETURNING}
