"""Notices a consumer that silently gets nothing (aiokafka issues 625, 847, 1037). Pure: values in, verdict out."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

ASK_AFTER_S: Final = 3.0
"""Without any answer for this long, the brokers are asked by another connection, and again after as long."""
MAX_LAG_COUNT: Final = 2
"""So many looks in a row at an end that lies ahead of an unmoved position are a stall."""


class Look(NamedTuple):
    """What can be seen of a consumer.

    Attributes:
        answer_ms: time of the last answer to a fetch, also an empty one; None before the first.
        position: the next offset it will give.
        end: the last stable offset in the last answer; None before the first.
    """

    answer_ms: int | None
    position: int
    end: int | None


class Verdict(Enum):
    """What to do about a consumer that gave nothing."""

    WAIT = auto()
    ASK = auto()
    """No broker answers it: find out whether one can be reached otherwise."""
    REPLACE = auto()
    """It has stalled."""


class Watchdog:
    """Looks at one consumer now and then."""

    def __init__(self, now_s: float, silence_limit_s: float) -> None:
        """Start watching.

        Args:
            now_s: monotonic time.
            silence_limit_s: without an answer for this long the consumer has stalled; longer than a request may take.
        """
        self._silence_limit_s = silence_limit_s
        self._answered_at_s = self._asked_at_s = now_s
        self._last = Look(None, -1, None)
        self._lag_count = 0

    def silence_s(self, now_s: float) -> float:
        """Tell for how long the consumer has had no answer."""
        return now_s - self._answered_at_s

    def look(self, now_s: float, look: Look) -> Verdict:
        """Judge a consumer after a poll that gave nothing."""
        last, self._last = self._last, look
        if look.answer_ms != last.answer_ms:
            self._answered_at_s = self._asked_at_s = now_s
            is_behind = look.end is not None and look.end > look.position == last.position
            self._lag_count = self._lag_count + 1 if is_behind else 0
            return Verdict.REPLACE if self._lag_count >= MAX_LAG_COUNT else Verdict.WAIT
        if now_s - self._answered_at_s >= self._silence_limit_s:
            return Verdict.REPLACE
        if now_s - self._asked_at_s >= ASK_AFTER_S:
            self._asked_at_s = now_s
            return Verdict.ASK
        return Verdict.WAIT
