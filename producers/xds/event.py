"""What a session is told: past facts. What it answers with is in command.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from schemas import xds


@dataclass(frozen=True)
class StreamOpened:
    """A stream to the control plane stands; nothing was sent on it yet."""


@dataclass(frozen=True)
class ResponseReceived:
    """The control plane sent an `envoy.service.discovery.v3.DiscoveryResponse`."""

    response: xds.Message


@dataclass(frozen=True)
class StreamEnded:
    """The stream is gone, for whatever reason; what was accepted stays in force (law 7)."""


@dataclass(frozen=True)
class TimerFired:
    """The time asked for by a StartTimer is over."""

    serial: int


Event: TypeAlias = StreamOpened | ResponseReceived | StreamEnded | TimerFired
