"""Source: google.protobuf.Duration, wherever APISIX wants seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds

UNBOUNDED_S = 86400
"""What stands for `no timeout`: APISIX demands a positive number (mapping.md section 2)."""


def seconds_of(duration: xds.Message) -> float:
    """Give a Duration in seconds; whole seconds as an int, so that equal durations give equal JSON."""
    seconds = int(duration.seconds)
    return seconds + duration.nanos / 1e9 if duration.nanos else seconds


def bounded_seconds_of(duration: xds.Message) -> float:
    """Give a Duration in seconds for a timeout that must be positive: 0 means unbounded in xDS."""
    seconds = seconds_of(duration)
    return seconds if seconds > 0 else UNBOUNDED_S
