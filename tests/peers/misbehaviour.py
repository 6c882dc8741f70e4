"""What tests/peers/ads.py does wrong on demand. All is off by default; what is not said holds in both variants."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto


class Nonces(Enum):
    """What nonces responses carry."""

    FRESH = auto()
    """One of its own each."""
    SAME = auto()
    """All the same one."""
    OLD = auto()
    """Each that of the response before."""
    EMPTY = auto()
    """None; and as no request can give one back, each is answered like a first one, as istiod does."""
    HUGE = auto()
    """One of its own, 100 kB of it."""


@dataclass
class Misbehaviour:
    """One field for each."""

    silent: set[str] = field(default_factory=set)
    """Types that are never answered."""
    nonces: Nonces = Nonces.FRESH
    """Unless they are fresh, no request's nonce is looked at."""
    doubles: set[str] = field(default_factory=set)
    """Types whose responses hold every resource twice."""
    garbles: set[str] = field(default_factory=set)
    """Types whose responses hold three things more that are no resources: no bytes of it, of another type, of none."""
    resends_on_nack: bool = False
    """A NACK is answered at once with the same again, as go-control-plane does."""
    sends_unasked: list[str] = field(default_factory=list)
    """Types pushed, in this order, before the first request of a stream is answered."""
    sends_everything: bool = False
    """Named types are answered with resources that were not asked for too."""
    answers_backwards: int = 0
    """The first so many types of a stream are answered only when all have been asked for, the last one first."""
    ignores_versions: bool = False
    """Delta: what a client announces to have is not looked at, so that it is never told what has gone (Java)."""
    removes: list[str] = field(default_factory=list)
    """Delta: names that every response says are gone."""
    shuts_after: int = 0
    """Every stream ends well after so many responses; 0 never."""
