"""How fast new watches are taken: after a restart thousands come back within milliseconds (section 5.3, rule 15)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REFUSAL_DELAY_S = 1.0
"""A refused client sleeps 3 s; answered at once, all of them would come back together again."""
BURST_S = 0.1
"""Watches that may come at once, as time of the rate."""


class Admission:
    """A bucket that fills with time.

    Args:
        watches_per_s: how many new watches are taken; 0 takes all.
        clock_s: monotonic seconds.
        max_delay_s: how long a refusal waits at most.
        jitter: gives [0, 1).
    """

    def __init__(
        self,
        watches_per_s: float = 0.0,
        clock_s: Callable[[], float] = lambda: 0.0,
        max_delay_s: float = MAX_REFUSAL_DELAY_S,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._watches_per_s = watches_per_s
        self._clock_s = clock_s
        self._max_delay_s = max_delay_s
        self._jitter = jitter
        self._most = max(1.0, watches_per_s * BURST_S)
        self._left = self._most
        self._filled_s = clock_s()

    def admits(self) -> bool:
        """Tell whether one more watch is taken now, and count it."""
        if not self._watches_per_s:
            return True
        now_s = self._clock_s()
        self._left = min(self._most, self._left + (now_s - self._filled_s) * self._watches_per_s)
        self._filled_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def delay_s(self) -> float:
        """Give the time that a refusal waits, so that those refused together do not come back together."""
        return self._jitter() * self._max_delay_s
