"""From what a source says to the records to write. Pure: the runner reads the clock and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from producers.coverage import Coverage
from producers.image import Image
from producers.intake import Intake
from producers.units import Cutter, Removal
from schemas.records import Provenance, Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from producers.sealing import Seal
    from producers.source import Changes, Note, SourceProblem


class Publication:
    """The state of one view: what the source holds, and what of it is written.

    It outlives the connection to the log. `resume` starts over from what the log holds, whatever happened to the
    records that were on their way.
    """

    def __init__(self, view: str, seal: Seal | None, build: str) -> None:
        self._view = view
        self._build = build
        self._image = Image()
        self._intake = Intake(seal)
        self._cutter: Cutter | None = None
        self._coverage = Coverage()
        self._is_complete = False
        self._source = ""
        self.notes: tuple[Note, ...] = ()
        """Findings about what was taken over last, such as an expired certificate."""

    def resume(self, published: Collection[Unit], time_ms: int) -> list[Unit | Removal]:
        """Compare with what the log holds.

        Returns:
            What to write so that it holds the image; nothing before the source has been complete once.
        """
        self._cutter = Cutter(self._view, self._image, published)
        self._coverage.resume(published)
        if not self._is_complete:
            return []
        return self._stamped(self._coverage.admit(self._cutter.apply(self._image.everything())), time_ms)

    def apply(self, changes: Changes, time_ms: int) -> tuple[list[Unit | Removal], Sequence[SourceProblem]]:
        """Take changes over.

        Returns:
            What to write, in the order of law 1, and which resources were not taken over and why.

        Raises:
            RuntimeError: `resume` was never called, so nobody knows what is written.
        """
        if self._cutter is None:
            raise RuntimeError("Publication.apply before resume")
        admission = self._intake.admit(changes, time_ms)
        self._coverage.refuse(self._intake.refused)
        self.notes = admission.notes
        delta = self._image.replay(admission.replacements)
        self._source = changes.source
        was_complete, self._is_complete = self._is_complete, self._is_complete or changes.is_complete
        if not self._is_complete:
            return [], admission.problems
        if changes.is_complete:
            self._coverage.extend(changes.covers)
        delta = delta if was_complete else self._image.everything()
        return self._stamped(self._coverage.admit(self._cutter.apply(delta)), time_ms), admission.problems

    def _stamped(self, written: list[Unit | Removal], time_ms: int) -> list[Unit | Removal]:
        return [unit if isinstance(unit, Removal) else self._stamp(unit, time_ms) for unit in written]

    def _stamp(self, unit: Unit, time_ms: int) -> Unit:
        provenance = Provenance(self._source, unit.provenance.version_info, time_ms, self._build)
        return msgspec.structs.replace(unit, provenance=provenance)
