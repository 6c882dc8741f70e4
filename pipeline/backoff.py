"""Full-jitter exponential backoff for connection loops (control-planes.md section 5.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Delays between attempts: uniform in [0, min(cap, base * 2^n)), so that many clients do not return together."""

    def __init__(self, base_s: float, cap_s: float, random: Callable[[], float]) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random
        self._attempt_count = 0

    def next_s(self) -> float:
        """Give the delay before the next attempt, in seconds."""
        ceiling_s = min(self._cap_s, self._base_s * 2.0**self._attempt_count)
        self._attempt_count = min(self._attempt_count + 1, 32)
        return self._random() * ceiling_s

    def reset(self) -> None:
        """Start over: the peer has answered."""
        self._attempt_count = 0
