"""The files of the last-known-good state: two generations of bases, the journals since, and a lock.

    base-00000007.snapshot  the image when generation 7 began       journal-00000007.log  every step taken since
A base is written beside and renamed; a journal is only appended to, before what it says is served, so a killed process
loses nothing it has shown to anybody. Each start and each new base begins a generation. A base may be missing (not
written yet) or damaged: then the one before it and the journals of both say the same.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from typing import TYPE_CHECKING, NamedTuple, Self

from agent.snapshot import (
    Base,
    BrokenStateError,
    Journal,
    Owned,
    decode_base,
    decode_journal,
    encode_journal_head,
    position_of,
    take_steps_again,
)
from agent.store.image import Image
from agent.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from agent.store.bundle import Reveal
    from agent.store.removal import RemovalLimit

LOGGER = logging.getLogger("meshferry.agent")
_NAME = re.compile(r"(base|journal)-(\d{8})\.(?:snapshot|log)")
_LOCK_NAME = "lock"
MAX_HISTORY_BYTES = 8 << 20
MAX_OWNER_BYTES = 4096
"""Enough of a journal to see whose it is."""


class StateDirectoryError(OSError):
    """The directory cannot be used at all: another agent has it, or it cannot be made or written."""


class DirectoryTakenError(StateDirectoryError):
    """Another agent has the directory."""


class ForeignStateError(StateDirectoryError):
    """The directory holds the state of another view, or of another prefix."""


def check_owner(path: Path, view: str, prefix: str) -> None:
    """Refuse a directory that another view, or this one under another prefix, has kept its state in.

    What another view has kept must neither be served nor pushed out: it is what that one serves when its log is away
    (law 7). A directory that cannot be read is left to whoever takes it.

    Args:
        path: the directory, which may be missing and may be in use.
        view: the view that is to be served.
        prefix: the etcd prefix it is to be served under.

    Raises:
        ForeignStateError: with the remedy.
    """
    journals = sorted(path.glob("journal-*.log"), reverse=True) if path.is_dir() else []
    for journal in journals:
        try:
            with journal.open("rb") as file:
                owner = decode_journal(file.read(MAX_OWNER_BYTES)).owner
        except (BrokenStateError, OSError):
            continue
        if owner is not None and owner != Owned(view, prefix):
            raise ForeignStateError(
                f"{path}: holds the state of view {owner.view} under the prefix {owner.prefix}, not of view {view} "
                f"under {prefix}: choose another directory (agent.state), or empty this one if that state may go"
            )


class Loaded(NamedTuple):
    """A store as it was last served, how many steps it has taken, and from how many journals, and how large ones."""

    store: Store
    position: int
    journal_count: int = 0
    journal_bytes: int = 0
    kept_ms: int = 0
    """When the newest file was last written, Unix milliseconds: so old is what it says; 0 without files."""


class StateDirectory:
    """The directory of one agent; use it as a context manager.

    Args:
        path: made if missing.
        view: whose state it holds.
        prefix: the etcd prefix it was served under.

    Raises (on entering):
        StateDirectoryError: with the process id of the agent that has the directory, or the reason it cannot be used.
    """

    def __init__(self, path: Path, view: str, prefix: str) -> None:
        self.path = path
        self._owner = Owned(view, prefix)
        self._lock = -1
        self._journal = -1
        self._generation = 0
        self._good_bases: list[int] = []
        self.journal_bytes = 0

    def __enter__(self) -> Self:
        self.take()
        return self

    def take(self) -> None:
        """Lock the directory, until `release`.

        Raises:
            DirectoryTakenError: with the process id of the agent that has it.
            StateDirectoryError: it cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateDirectoryError(
                f"{self.path}: {error.strerror}: choose a directory the agent can write"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = -1
            raise DirectoryTakenError(
                f"{self.path}: in use by the agent with process id {owner}: stop it or choose another directory"
            ) from None
        self._sign_lock()

    def _sign_lock(self) -> None:
        """Write the process id for the message above; a full disk leaves the lock valid but nameless."""
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            LOGGER.warning("%s: the lock could not be signed: %s", self.path, error.strerror)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the directory: the next agent may have it. Nothing is written any more."""
        self._close_journal()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def load(self, reveal: Reveal) -> Loaded:
        """Bring back the store as it was last served. What cannot be used is reported and passed over."""
        written_ns = [path.stat().st_mtime_ns for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        return self._load(reveal)._replace(kept_ms=max(written_ns, default=0) // 1_000_000)

    def _load(self, reveal: Reveal) -> Loaded:
        generations = self._generations()
        bases, journals = sorted(generations["base"], reverse=True), sorted(generations["journal"])
        self._generation = max((*bases, *journals), default=0)
        for base in self._by_preference(bases, journals):
            loaded = self._load_from(base, journals, reveal)
            if loaded is not None and loaded.position >= self._position_of(bases[0]):
                self._good_bases = [base]
                return loaded
        for base in bases:
            loaded = self._load_from(base, journals, reveal)
            if loaded is not None:
                self._good_bases = [base]
                return loaded
        return self._load_journals(Base(Image(), 0), journals, reveal)

    def _by_preference(self, bases: list[int], journals: list[int]) -> list[int]:
        """Put the older of two bases first if little was replayed since: then watchers have a history to resume in."""
        if len(bases) > 1:
            paths = [self._journal_path(journal) for journal in journals if journal >= bases[1]]
            if sum(path.stat().st_size for path in paths) <= MAX_HISTORY_BYTES:
                return [bases[1], bases[0]]
        return bases[:1]

    def _position_of(self, base: int) -> int:
        try:
            with self._base_path(base).open("rb") as file:
                return position_of(file.read(64))
        except OSError:
            return -1

    def _load_from(self, base: int, journals: list[int], reveal: Reveal) -> Loaded | None:
        found = self._load_base(base, reveal)
        if found is None:
            return None
        return self._load_journals(found, [journal for journal in journals if journal >= base], reveal)

    def _load_journals(self, base: Base, journals: list[int], reveal: Reveal) -> Loaded:
        store, position = Store(self._owner.prefix, reveal, image=base.image), base.position
        for journal in journals:
            position = self._load_journal(journal, store, position)
        return Loaded(store, position, len(journals), self._size_of(journals))

    def _size_of(self, journals: list[int]) -> int:
        return sum(self._journal_path(journal).stat().st_size for journal in journals)

    def _generations(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {"base": set(), "journal": set()}
        for entry in self.path.iterdir():
            match = _NAME.fullmatch(entry.name)
            if match:
                found[match[1]].add(int(match[2]))
        return found

    def _load_base(self, generation: int, reveal: Reveal) -> Base | None:
        path = self._base_path(generation)
        try:
            return decode_base(path.read_bytes(), self._owner.view, self._owner.prefix, reveal)
        except (BrokenStateError, OSError) as error:
            LOGGER.error("%s: not used: %s; an older one or the log takes its place", path, error)  # noqa: TRY400 - the reason is the message, the trace says nothing more
            return None

    def _load_journal(self, generation: int, store: Store, position: int) -> int:
        """Take the steps of a journal again if it goes on where the state is; returns the new position."""
        path = self._journal_path(generation)
        try:
            journal: Journal = decode_journal(path.read_bytes())
        except (BrokenStateError, OSError) as error:
            LOGGER.error("%s: not used: %s; the log fills the gap", path, error)  # noqa: TRY400 - as above
            return position
        if journal.owner not in {None, self._owner}:
            LOGGER.error("%s: not used: it is of another view or prefix; the log takes its place", path)
            return position
        if journal.position != position:
            LOGGER.error(
                "%s: not used: it begins at step %d, the state is at %d; the log fills the gap",
                path,
                journal.position,
                position,
            )
            return position
        if journal.is_torn:
            LOGGER.warning("%s: its end is cut off, as after a kill; the log fills the gap", path)
        store.removal = journal.removal
        take_steps_again(store, journal.steps)
        store.abandon_snapshot()
        return position + len(journal.steps)

    def begin_generation(self, position: int, removal: RemovalLimit) -> int:
        """Begin a new journal of steps that are judged by a limit; its base is written later.

        Raises:
            OSError: the journal cannot be made; there is none now.
        """
        self._close_journal()
        path = self._journal_path(self._generation + 1)
        self._journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self.journal_bytes = 0
        try:
            self.append(encode_journal_head(position, self._owner, removal))
        except OSError:
            path.unlink()
            raise
        self._generation += 1
        return self._generation

    def append(self, data: bytes) -> None:
        """Append to the journal.

        Raises:
            OSError: it was not written as a whole; the journal is closed, only a new generation can go on.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._journal, view) :]
        except OSError:
            self._close_journal()
            raise
        self.journal_bytes += len(data)

    def _close_journal(self) -> None:
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1

    def write_base(self, generation: int, data: bytes) -> None:
        """Write a base beside and rename it. May run in another thread.

        Raises:
            OSError: the disk is full or gone; the older generation stays.
        """
        path = self._base_path(generation)
        beside = path.with_suffix(".new")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - an open descriptor has no Path
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def keep_two(self, generation: int) -> None:
        """Remove what is older than the base before the one just written.

        Raises:
            OSError: a file cannot be removed.
        """
        self._good_bases = [*self._good_bases, generation][-2:]
        if len(self._good_bases) < 2:  # noqa: PLR2004 - the two generations of the name
            return
        oldest = self._good_bases[0]
        for kind, generations in self._generations().items():
            for old in generations:
                if old < oldest:
                    (self._base_path(old) if kind == "base" else self._journal_path(old)).unlink()

    def _base_path(self, generation: int) -> Path:
        return self.path / f"base-{generation:08d}.snapshot"

    def _journal_path(self, generation: int) -> Path:
        return self.path / f"journal-{generation:08d}.log"
