"""How far a type has got on a stream, and what can be heard of it. The tables are the variants' (sotw.py, delta.py)."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """What a stream has said of a type so far."""

    UNASKED = auto()
    """It was not asked for on this stream."""
    ASKED = auto()
    """It was asked for and nothing has come."""
    DOUBTED = auto()
    """What came would take away what is held, or may not be everything; time or a second answer has to confirm it."""
    HEARD = auto()
    """The stream and what is held agree: a change is a change."""


class Heard(Enum):
    """What happened to a type."""

    REQUESTED = auto()
    """It was asked for."""
    NOTHING_LESS = auto()
    """A response that takes nothing away."""
    LESS = auto()
    """A response that takes away something that is held, or that leaves open whether there is more."""
    HEARTBEAT = auto()
    """A response that holds nothing but renewals."""
    CONFIRMED = auto()
    """The time for second thoughts is over."""
