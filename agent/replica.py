"""A store whose every step is in the journal before it is served."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.snapshot import Replayed, SnapshotBegun, SnapshotFinished, encode_base, encode_steps, take_step
from agent.store.removal import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.snapshot import Step
    from agent.state_directory import Loaded, StateDirectory
    from agent.store.delta import Change
    from agent.store.removal import RemovalLimit

LOGGER = logging.getLogger("meshferry.agent")
MIN_JOURNAL_BYTES = 4 << 20
MAX_JOURNALS = 8


class Replica:
    """What a follower writes to and a front reads from.

    Args:
        loaded: the store and its position.
        directory: where the steps are kept; a disk that fails is reported once and never stops the serving.
        publish: told of the changes after each call.
        removal: what one record may take away from now on.
    """

    def __init__(
        self,
        loaded: Loaded,
        directory: StateDirectory,
        publish: Callable[[Sequence[Change]], None],
        removal: RemovalLimit = UNLIMITED,
    ) -> None:
        self.store = loaded.store
        self.store.removal = removal
        self._position = loaded.position
        self._directory = directory
        self._publish = publish
        self._base_bytes = 0
        self._has_journal = False
        self._is_reported = False
        self._is_due = loaded.journal_count >= MAX_JOURNALS or loaded.journal_bytes > MIN_JOURNAL_BYTES

    def open_journal(self) -> None:
        """Begin the journal of this run."""
        try:
            self._directory.begin_generation(self._position, self.store.removal)
        except OSError as error:
            self._report(error)
        else:
            self._has_journal = True

    def replay(self, records: Iterable[tuple[int, str, bytes | None]]) -> Sequence[Change]:
        """Take records: offset, key, value.

        Returns:
            What was published.

        Raises:
            MissingGenesisError, GenesisChangedError: as `Store.replay`; the records before it count.
        """
        return self._take([Replayed(*record) for record in records])

    def begin_snapshot(self) -> None:
        """Begin a full re-read."""
        self._take([SnapshotBegun()])

    def finish_snapshot(self) -> Sequence[Change]:
        """End a full re-read: what it did not mention is gone.

        Returns:
            What was published.

        Raises:
            MissingGenesisError: as `Store.finish_snapshot`.
        """
        return self._take([SnapshotFinished()])

    def _take(self, steps: Sequence[Step]) -> list[Change]:
        self._write(steps)
        changes: list[Change] = []
        try:
            for step in steps:
                self._position += 1
                changes += take_step(self.store, step)
        finally:
            self._publish(changes)
        return changes

    def _write(self, steps: Sequence[Step]) -> None:
        if not self._has_journal:
            return
        try:
            self._directory.append(encode_steps(steps))
        except OSError as error:
            self._has_journal = False
            self._report(error)

    def _report(self, error: OSError) -> None:
        if not self._is_reported:
            LOGGER.error(
                "%s: %s: the state is served but not kept; free the disk, it is tried again by itself",
                self._directory.path,
                error.strerror,
            )
        self._is_reported = True

    @property
    def journal_bytes(self) -> int:
        """Bytes of the journal since the last base."""
        return self._directory.journal_bytes

    @property
    def wants_base(self) -> bool:
        """Whether a new base is due: long journals, many, or one with a gap. Never during a re-read."""
        if self.store.is_reading:
            return False
        if self._is_due or not self._has_journal:
            return True
        return self._directory.journal_bytes > max(MIN_JOURNAL_BYTES, self._base_bytes)

    def begin_base(self, view: str) -> Callable[[], int] | None:
        """Begin a generation.

        Returns:
            What writes its base, to be run in another thread; it returns the generation and raises OSError. None
            when the disk does not even take a new journal.
        """
        try:
            generation = self._directory.begin_generation(self._position, self.store.removal)
        except OSError as error:
            self._has_journal = False
            self._report(error)
            return None
        self._has_journal = True
        image, position, prefix = self.store.image.copy(), self._position, self.store.prefix

        def write() -> int:
            data = encode_base(image, view, prefix, position)
            self._directory.write_base(generation, data)
            self._base_bytes = len(data)
            return generation

        return write

    def end_base(self, generation: int) -> None:
        """The base is on the disk: drop what is older than the one before."""
        try:
            self._directory.keep_two(generation)
        except OSError as error:
            self._report(error)
            return
        if self._is_reported:
            LOGGER.info("%s: the state is kept again", self._directory.path)
        self._is_reported = self._is_due = False

    def fail_base(self, error: OSError) -> None:
        """The base could not be written; the journals since the last one stay, and it is tried again."""
        self._is_due = True
        self._report(error)
