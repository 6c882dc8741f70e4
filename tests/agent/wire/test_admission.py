from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire.admission import Admission


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_without_a_rate_everything_is_taken():
    admission = Admission()
    assert all(admission.admits() for _ in range(10_000))


def test_a_burst_is_taken_and_then_what_the_rate_allows():
    clock = Clock()
    admission = Admission(100.0, clock)
    assert sum(admission.admits() for _ in range(1000)) == 10
    clock.now_s += 0.0625
    assert sum(admission.admits() for _ in range(1000)) == 6


@given(st.lists(st.floats(0, 2), max_size=200), st.floats(0.5, 1000))
def test_never_more_than_the_rate_and_one_burst(steps_s: list[float], rate: float):
    clock = Clock()
    admission = Admission(rate, clock)
    taken = 0
    for step_s in steps_s:
        clock.now_s += step_s
        taken += admission.admits()
    assert taken <= max(1.0, rate * 0.1) + rate * (clock.now_s - 100.0) + 1e-6


@pytest.mark.parametrize(("share", "delay_s"), [(0.0, 0.0), (0.5, 0.75)])
def test_a_refusal_waits_a_random_part_of_the_longest_delay(share: float, delay_s: float):
    assert Admission(max_delay_s=1.5, jitter=lambda: share).delay_s() == delay_s
