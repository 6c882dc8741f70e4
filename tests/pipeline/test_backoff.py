from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.backoff import Backoff


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=60))
def test_delays_stay_below_the_growing_ceiling(draws: list[float]):
    given_draws = iter(draws)
    backoff = Backoff(0.5, 30.0, lambda: next(given_draws))
    for attempt, draw in enumerate(draws):
        assert backoff.next_s() == draw * min(30.0, 0.5 * 2.0**attempt)


def test_reset_starts_over():
    backoff = Backoff(0.5, 30.0, lambda: 1.0)
    assert [backoff.next_s() for _ in range(3)] == [0.5, 1.0, 2.0]
    backoff.reset()
    assert backoff.next_s() == 0.5
