"""Which control plane of an ordered list is asked next, and whether to wait before that. Pure.

The rules are those of control-planes.md section 5.12: a stream that ended well after it had given something (a GOAWAY,
the age limit of a connection) is opened again at once; whatever else happened is waited out with back-off.
"""

from __future__ import annotations

from enum import Enum, auto


class End(Enum):
    """How a stream, or the attempt to open one, ended."""

    UNANSWERED = auto()
    """Before the control plane gave a single response, whatever the reason."""
    BROKEN = auto()
    """After at least one response, with an error."""
    FINISHED = auto()
    """After at least one response and in good order: ended by the server, a GOAWAY, or the age limit."""
    RETURNING = auto()
    """By us, because the first control plane can be reached again."""


MIN_STREAM_MS = 1_000
"""A stream that finished sooner than this is waited out too, else a server that only ever finishes is a hot loop."""


class Failover:
    """Walks the list: on after an attempt without an answer, back to the first after it was left alone for a while."""

    def __init__(self, server_count: int, return_after_ms: int) -> None:
        """Begin with the first.

        Args:
            server_count: how many control planes there are, at least one.
            return_after_ms: how long the first is left alone after it failed.
        """
        self._server_count = server_count
        self._return_after_ms = return_after_ms
        self._first_failed_ms = 0
        self.index = 0

    @property
    def return_due_ms(self) -> int | None:
        """When to look whether the first can be reached again; None while it is the one in use."""
        return self._first_failed_ms + self._return_after_ms if self.index else None

    def first_failed(self, now_ms: int) -> None:
        """Note that the first still cannot be reached."""
        self._first_failed_ms = now_ms

    def ended(self, end: End, lasted_ms: int, now_ms: int) -> bool:
        """Take note of the end and choose who is asked next (`index`).

        Args:
            end: how it ended.
            lasted_ms: how long the stream stood.
            now_ms: a clock that never goes back.

        Returns:
            Whether the back-off must be waited for.
        """
        if end is End.RETURNING:
            self.index = 0
            return False
        if end is End.UNANSWERED:
            if self.index == 0:
                self.first_failed(now_ms)
            self.index = (self.index + 1) % self._server_count
        return end is not End.FINISHED or lasted_ms < MIN_STREAM_MS
