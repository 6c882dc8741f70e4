"""Hold-down: a resource that changes to and fro stays as it was until it has been quiet. Pure.

Replicas of a control plane may disagree for a while, and a client that is moved between them sees their contents in
turn (control-planes.md section 6). The third change of A, B, A, B is not taken over; neither are later ones, until
there was no change for the hold-down time; then the last content counts. A content that was not seen before is a
change like any other and passes. So does what comes back after it was taken away: what is new may refer to it (law 1),
and a resource that comes and goes stays.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from producers.hold import Base, held_record
from producers.source import SourceProblem
from schemas.records import HeldKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from producers.image import Entry, Replacement, ResourceKey
    from schemas.records import Held

MAX_RETURN_COUNT: Final = 1
"""Going back once is what an operator does who undoes a change."""


class HoldDownLimits(NamedTuple):
    """When a resource flaps, and how long it has to be quiet afterwards."""

    window_ms: int = 10_000
    hold_ms: int = 30_000


class _Trail:
    """The contents a resource has had within the window."""

    def __init__(self, content: bytes, time_ms: int) -> None:
        self.seen = {content}
        self.last = content
        self.changed_ms = time_ms
        self.returns_ms: list[int] = []
        self.pending: Replacement | None = None
        self.since_ms = 0


class HoldDown:
    """Holds replacements of resources that flap."""

    def __init__(self, limits: HoldDownLimits) -> None:
        self._limits = limits
        self._trails: dict[ResourceKey, _Trail] = {}
        """In the order of the last change."""
        self._flapping: dict[ResourceKey, _Trail] = {}
        self._removals: dict[ResourceKey, Replacement] = {}
        """Wait for the last of what flaps: that may still refer to them (law 1)."""

    def admit(
        self,
        replacements: Iterable[Replacement],
        get: Callable[[str, str], Entry | None],
        time_ms: int,
    ) -> tuple[list[Replacement], list[SourceProblem]]:
        """Give what may be taken over, and say which resources have begun to flap.

        Args:
            replacements: in their order.
            get: gives a resource as it is in the image.
            time_ms: the present.
        """
        self._forget_quiet(time_ms)
        passing: list[Replacement] = []
        problems: list[SourceProblem] = []
        for replacement in replacements:
            key = replacement.key
            self._removals.pop(key, None)
            trail = self._trails.pop(key, None) or _Trail(_content(get(*key)), time_ms)
            was_held = trail.pending is not None
            if _content(replacement.entry) == trail.last:
                if trail.pending is None:
                    passing.append(replacement)
                if len(trail.seen) > 1:
                    self._trails[key] = trail
                continue
            self._trails[key] = trail
            flaps = self._flaps(trail, replacement, time_ms)
            if not flaps or _adds(replacement, get):
                trail.pending = None
                self._flapping.pop(key, None)
                passing.append(replacement)
                continue
            trail.pending = replacement
            if not was_held:
                trail.since_ms = time_ms
                self._flapping[key] = trail
                problems.append(_problem(key, self._limits))
        self._removals |= {replacement.key: replacement for replacement in passing if replacement.entry is None}
        passing = [replacement for replacement in passing if replacement.entry is not None]
        return passing + self._waited(), problems

    def due_ms(self) -> int | None:
        """Tell when the next resource will have been quiet for long enough."""
        changes = [trail.changed_ms for trail in self._flapping.values()]
        return min(changes) + self._limits.hold_ms if changes else None

    def release(self, time_ms: int) -> list[Replacement]:
        """Give the last contents of resources that have been quiet."""
        quiet = {key for key, t in self._flapping.items() if t.changed_ms + self._limits.hold_ms <= time_ms}
        return self._release(quiet)

    def approve(self, fingerprint: str) -> list[Replacement] | None:
        """Release all, if this is what is held."""
        held = self.held()
        if held is None or held.fingerprint != fingerprint:
            return None
        return self._release(set(self._flapping))

    def held(self) -> Held | None:
        """Describe what is held; None when nothing flaps."""
        if not self._flapping:
            return None
        since_ms = min(trail.since_ms for trail in self._flapping.values())
        reason = f"changes to and fro; taken over after {self._limits.hold_ms / 1000:g} s without a change"
        return held_record(HeldKind.FLAPPING, map(_place, self._flapping), Base(since_ms, 0, 0), reason)

    def _flaps(self, trail: _Trail, replacement: Replacement, time_ms: int) -> bool:
        content = _content(replacement.entry)
        is_return = content in trail.seen
        trail.last = content
        trail.changed_ms = time_ms
        trail.seen.add(content)
        if is_return:
            trail.returns_ms.append(time_ms)
        if trail.pending is None:
            trail.returns_ms = [at for at in trail.returns_ms if at > time_ms - self._limits.window_ms]
        return is_return and len(trail.returns_ms) > MAX_RETURN_COUNT

    def _forget_quiet(self, time_ms: int) -> None:
        for key in list(self._trails):
            trail = self._trails[key]
            if trail.changed_ms > time_ms - self._limits.window_ms:
                return
            if trail.pending is None:
                del self._trails[key]

    def _release(self, keys: set[ResourceKey]) -> list[Replacement]:
        released = []
        for key in sorted(keys):
            trail = self._flapping.pop(key)
            self._trails.pop(key, None)
            if trail.pending is not None:
                released.append(trail.pending)
        return released + self._waited()

    def _waited(self) -> list[Replacement]:
        """Give the removals, once nothing flaps."""
        if self._flapping:
            return []
        waited, self._removals = list(self._removals.values()), {}
        return waited


def _adds(replacement: Replacement, get: Callable[[str, str], Entry | None]) -> bool:
    return replacement.entry is not None and get(*replacement.key) is None


def _content(entry: Entry | None) -> bytes:
    return b"" if entry is None else blake2b(entry.body, digest_size=16).digest()


def _place(key: ResourceKey) -> str:
    return f"{key.type_url.rpartition('.')[2]} {key.name}"


def _problem(key: ResourceKey, limits: HoldDownLimits) -> SourceProblem:
    message = f"changes to and fro; kept as it was until it is quiet for {limits.hold_ms / 1000:g} s"
    return SourceProblem(_place(key), message, "compare the replicas of the control plane; do they see the same state?")
