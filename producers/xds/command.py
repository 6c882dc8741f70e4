"""What a session orders. What it was told is in event.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from producers.source import Changes, SourceProblem
    from schemas import xds


@dataclass(frozen=True)
class SendRequest:
    """Send a request on the open stream, an `envoy.service.discovery.v3.DiscoveryRequest` or its delta twin."""

    request: xds.Message


@dataclass(frozen=True)
class StartTimer:
    """Report TimerFired with this serial after the delay.

    No serial is used twice, so a timer never needs to be cancelled: one that no longer matters fires unheard.
    """

    serial: int
    delay_ms: int


@dataclass(frozen=True)
class DeliverChanges:
    """Hand a step of changes to whoever follows the source."""

    changes: Changes


@dataclass(frozen=True)
class ReportProblem:
    """Tell the operator; the last good state stays in force."""

    problem: SourceProblem


Command: TypeAlias = SendRequest | StartTimer | DeliverChanges | ReportProblem
