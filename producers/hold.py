"""What a hold keeps back of one kind, and when a change is large enough to be held. Pure; architecture.md section 7."""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from schemas.records import Held, HeldKind

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

MAX_NAME_COUNT: Final = 1000
"""Names in a record; there may be more, and the fingerprint is made of all of them."""
FINGERPRINT_BYTES: Final = 6


class GuardLimits(NamedTuple):
    """Above which a change is held.

    Attributes:
        share: of what is published, 0 to 1.
        minimum: fewer than this pass whatever their share is, unless nothing would be left.
        window_ms: what went within this time counts together.
    """

    share: float = 0.3
    minimum: int = 10
    window_ms: int = 60_000


class Base(NamedTuple):
    """What a hold measures against: frozen when it begins, so that neither time nor additions release it."""

    since_ms: int
    published_count: int
    recent_count: int


class Hold(Generic[T]):
    """The pending changes of one kind: all of them are held, or none."""

    def __init__(self, kind: HeldKind, limits: GuardLimits | None) -> None:
        self.kind = kind
        self.pending: dict[str, T] = {}
        self._limits = limits
        self._base: Base | None = None
        self._gone: deque[tuple[int, int]] = deque()

    def resume(self, held: Held | None) -> None:
        """Start over; a hold that was in force before a restart is measured as it was then."""
        self.pending = {}
        self._gone.clear()
        self._base = Base(held.since_ms, held.published_count, held.recent_count) if held else None

    def is_over(self, time_ms: int, published_count: int, *, leaves_nothing: bool) -> bool:
        """Tell whether what is pending is to be held; if not, it counts as gone from now on.

        Args:
            time_ms: the present.
            published_count: of the same kind, what is pending included.
            leaves_nothing: nothing would be left, which is held whatever the number.
        """
        if not self.pending or self._limits is None:
            self._base = None
            return False
        base = self._base or self._new_base(time_ms, published_count, self._limits.window_ms)
        count = len(self.pending) + base.recent_count
        limits = self._limits
        is_large = count >= limits.minimum and count > limits.share * base.published_count
        if is_large or leaves_nothing:
            self._base = base
            return True
        self._gone.append((time_ms, len(self.pending)))
        self._base = None
        return False

    def _new_base(self, time_ms: int, published_count: int, window_ms: int) -> Base:
        while self._gone and self._gone[0][0] <= time_ms - window_ms:
            self._gone.popleft()
        recent_count = sum(count for _, count in self._gone)
        return Base(time_ms, published_count + recent_count, recent_count)

    def approve(self) -> list[T]:
        """Release everything; it does not count as gone, or the next small change would be held for it."""
        released = list(self.pending.values())
        self.pending = {}
        self._base = None
        return released

    def held(self, names: Iterable[str]) -> Held | None:
        """Describe the hold; None while there is none.

        Args:
            names: of what is pending, as a reader knows it.
        """
        if self._base is None or self._limits is None or not self.pending:
            return None
        base, limits = self._base, self._limits
        gone = f", {base.recent_count} went shortly before" if base.recent_count else ""
        limit = f"{limits.share:.0%}, at least {limits.minimum}, within {limits.window_ms / 1000:g} s"
        reason = f"{len(self.pending)} of {base.published_count}{gone}; limit {limit}"
        return held_record(self.kind, names, base, reason)


def held_record(kind: HeldKind, names: Iterable[str], base: Base, reason: str) -> Held:
    """Make the record of a hold."""
    ordered = sorted(names)
    hasher = blake2b(kind.encode(), digest_size=FINGERPRINT_BYTES)
    for name in ordered:
        hasher.update(b"%d:" % len(name.encode()) + name.encode())
    return Held(
        fingerprint=hasher.hexdigest(),
        kind=kind,
        names=tuple(ordered[:MAX_NAME_COUNT]),
        count=len(ordered),
        published_count=base.published_count,
        recent_count=base.recent_count,
        since_ms=base.since_ms,
        reason=reason,
    )
