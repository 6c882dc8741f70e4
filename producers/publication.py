"""From what a source says to the records to write. Pure: the runner reads the clock and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from producers.coverage import Coverage
from producers.guard import Guard
from producers.hold_down import HoldDown, HoldDownLimits
from producers.image import Image
from producers.intake import Intake
from producers.units import Cutter, Removal
from schemas.records import Provenance, Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from producers.hold import GuardLimits
    from producers.image import Delta, Replacement
    from producers.sealing import Seal
    from producers.source import Changes, Note, SourceProblem
    from schemas.records import Held


class Publication:
    """The state of one view: what the source holds, and what of it is written.

    It outlives the connection to the log. Until `resume` it stands by: it follows the source and gives nothing to
    write. `resume` starts over from what the log holds, whatever happened to the records that were on their way.
    """

    def __init__(self, view: str, seal: Seal | None, build: str, guard: GuardLimits | None = None) -> None:
        """Start with nothing, standing by.

        Args:
            view: name of the view.
            seal: seals sensitive values; None leaves them in the clear.
            build: version that goes into the provenance of units.
            guard: what is held until it is approved; None holds no more than law 1 demands.
        """
        self._view = view
        self._build = build
        self._image = Image()
        self._intake = Intake(seal)
        self._cutter: Cutter | None = None
        self._coverage = Coverage()
        self._guard = Guard(guard)
        self._hold_down = HoldDown(HoldDownLimits())
        self.is_complete = False
        """The source has been complete once; before that nothing is written and nothing is known to be held."""
        self._source = ""
        self.notes: tuple[Note, ...] = ()
        """Findings about what was taken over last, such as an expired certificate."""

    def resume(self, published: Collection[Unit], time_ms: int, held: Iterable[Held] = ()) -> list[Unit | Removal]:
        """Lead from now on: compare with what the log holds.

        Args:
            published: the units in the log.
            time_ms: the present.
            held: the holds in the control topic.

        Returns:
            What to write so that the log holds the image; nothing before the source has been complete once.
        """
        self._cutter = Cutter(self._view, self._image, published)
        self._coverage.resume(published)
        self._guard.resume(published, held)
        return self._cut(self._image.everything(), time_ms)

    def stand_by(self) -> None:
        """Follow the source without writing, until `resume`."""
        self._cutter = None

    def apply(self, changes: Changes, time_ms: int) -> tuple[list[Unit | Removal], Sequence[SourceProblem]]:
        """Take changes over.

        Returns:
            What to write, in the order of law 1, and which resources were not taken over and why.
        """
        admission = self._intake.admit(changes, time_ms)
        self._coverage.refuse(self._intake.refused)
        self.notes = admission.notes
        replacements: Sequence[Replacement] = admission.replacements
        problems = list(admission.problems)
        if self.is_complete:
            replacements, flapping = self._hold_down.admit(replacements, self._image.get, time_ms)
            problems += flapping
        delta = self._image.replay(replacements)
        self._source = changes.source
        was_complete, self.is_complete = self.is_complete, self.is_complete or changes.is_complete
        if changes.is_complete:
            self._coverage.extend(changes.covers)
        return self._cut(delta if was_complete else self._image.everything(), time_ms), problems

    def approve(self, fingerprint: str, time_ms: int) -> list[Unit | Removal] | None:
        """Release what is held.

        Returns:
            What to write; None when nothing of that fingerprint is held.
        """
        released = self._hold_down.approve(fingerprint)
        if released is not None:
            return self._cut(self._image.replay(released), time_ms)
        written = self._guard.approve(fingerprint)
        return None if written is None else self._stamped(written, time_ms)

    def due_ms(self) -> int | None:
        """Tell when `release` will have something to do without the source saying more; None for never."""
        return self._hold_down.due_ms()

    def release(self, time_ms: int) -> list[Unit | Removal]:
        """Take over what has been held long enough, and give what to write."""
        return self._cut(self._image.replay(self._hold_down.release(time_ms)), time_ms)

    def held(self) -> tuple[Held, ...]:
        """Describe what is held now."""
        flapping = self._hold_down.held()
        return (*self._guard.held(), *((flapping,) if flapping else ()))

    def _cut(self, delta: Delta, time_ms: int) -> list[Unit | Removal]:
        if self._cutter is None or not self.is_complete:
            return []
        outcomes = self._coverage.admit(self._cutter.apply(delta))
        return self._stamped(self._guard.admit(outcomes, time_ms), time_ms)

    def _stamped(self, written: list[Unit | Removal], time_ms: int) -> list[Unit | Removal]:
        return [unit if isinstance(unit, Removal) else self._stamp(unit, time_ms) for unit in written]

    def _stamp(self, unit: Unit, time_ms: int) -> Unit:
        provenance = Provenance(self._source, unit.provenance.version_info, time_ms, self._build)
        return msgspec.structs.replace(unit, provenance=provenance)
