from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent import replica as replica_module
from agent.replica import MAX_JOURNALS, Replica
from agent.state_directory import StateDirectory
from agent.store.bundle import identity
from agent.store.store import GenesisChangedError
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, genesis
from tests.agent.test_state_directory import opened, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agent.store.delta import Change


class Bed:
    """A replica on a directory, and what it published."""

    def __init__(self, directory: StateDirectory) -> None:
        self.published: list[list[int]] = []
        self.replica = Replica(directory.load(identity), directory, self._publish)
        self.replica.open_journal()

    def _publish(self, changes: Sequence[Change]) -> None:
        self.published.append([change.revision - CREATED_MS for change in changes])

    def replay(self, *offsets: int) -> None:
        self.replica.replay([record(offset) for offset in offsets])

    def write_base(self) -> None:
        write = self.replica.begin_base("shop")
        if write is None:
            return
        try:
            self.replica.end_base(write())
        except OSError as error:
            self.replica.fail_base(error)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with opened(tmp_path) as directory:
        yield Bed(directory)


@contextmanager
def full_disk(max_file_bytes: int) -> Iterator[None]:
    """No file grows above a size: every write beyond it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_records_of_one_call_are_published_together(bed: Bed):
    bed.replay(0, 1, 2)
    bed.replica.replay([(3, "unknown", None)])
    assert bed.published == [[1, 2], []]


def test_what_came_before_a_failure_is_published(bed: Bed):
    with pytest.raises(GenesisChangedError):
        bed.replica.replay([record(0), record(1), (2, GENESIS_KEY, genesis(life="life-2")), record(3)])
    assert bed.published == [[1]]


def test_a_full_read_is_published_when_it_is_finished(bed: Bed):
    bed.replay(0, 1, 2)
    bed.replica.begin_snapshot()
    bed.replay(0, 2, 3)
    bed.replica.finish_snapshot()
    assert bed.published[1:] == [[], [], [3]]


def test_a_base_is_due_when_the_journal_is_long(bed: Bed, monkeypatch: pytest.MonkeyPatch):
    bed.replay(0, 1)
    assert not bed.replica.wants_base
    monkeypatch.setattr(replica_module, "MIN_JOURNAL_BYTES", 50)
    assert bed.replica.wants_base
    bed.write_base()
    assert not bed.replica.wants_base
    bed.replica.begin_snapshot()
    bed.replay(0, *range(2, 30))
    assert not bed.replica.wants_base
    bed.replica.finish_snapshot()
    assert bed.replica.wants_base


def test_a_base_is_due_when_there_are_many_journals(tmp_path: Path):
    for _ in range(MAX_JOURNALS):
        with opened(tmp_path) as directory:
            Bed(directory)
    with opened(tmp_path) as directory:
        bed = Bed(directory)
        assert bed.replica.wants_base

        bed.write_base()
        assert not bed.replica.wants_base
    with opened(tmp_path) as directory:
        assert not Bed(directory).replica.wants_base


def test_a_base_is_due_when_the_journals_of_a_killed_agent_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with opened(tmp_path) as directory:
        Bed(directory).replay(0, 1, 2)
    monkeypatch.setattr(replica_module, "MIN_JOURNAL_BYTES", 16)
    with opened(tmp_path) as directory:
        bed = Bed(directory)
        assert bed.replica.wants_base
        bed.write_base()
        assert not bed.replica.wants_base


def test_a_full_disk_is_reported_once_and_healed_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with opened(tmp_path) as directory:
        bed = Bed(directory)
        bed.replay(0, 1)
        with full_disk(100):
            for offset in range(2, 6):
                bed.replay(offset)
                assert bed.replica.wants_base

                bed.write_base()
        assert bed.published[1:] == [[2], [3], [4], [5]]
        assert caplog.text.count("the state is served but not kept") == 1
        bed.write_base()
        assert not bed.replica.wants_base
        bed.replay(6)
    with opened(tmp_path) as directory:
        bed = Bed(directory)
        assert bed.replica.store.revision == CREATED_MS + 6
        assert len(bed.replica.store.image.keys) == 6


def test_a_disk_without_room_for_a_journal_still_serves(tmp_path: Path):
    with opened(tmp_path) as directory, full_disk(0):
        bed = Bed(directory)
        bed.replay(0, 1)
        bed.write_base()
        assert bed.published == [[1]]
        assert bed.replica.wants_base
        assert list((tmp_path / "state").glob("journal-*")) == []


def test_an_old_generation_that_cannot_be_removed_is_reported(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(StateDirectory, "keep_two", refuse)
    bed.replay(0)
    bed.write_base()
    assert "Operation not permitted" in caplog.text
