from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.replica import Replica
from agent.state_directory import ForeignStateError, StateDirectory, StateDirectoryError, check_owner
from agent.store.bundle import identity
from agent.store.removal import UNLIMITED, RemovalLimit
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

if TYPE_CHECKING:
    from pathlib import Path

    from agent.state_directory import Loaded


def record(offset: int) -> tuple[int, str, bytes | None]:
    if not offset:
        return offset, GENESIS_KEY, genesis()
    return offset, f"u{offset}", bundle(f"u{offset}", offset, {f"/routes/{offset}": b"{}"})


class Life:
    """One run of an agent on a directory, as far as its files go."""

    def __init__(self, directory: StateDirectory, removal: RemovalLimit = UNLIMITED) -> None:
        self.directory = directory
        self.loaded: Loaded = directory.load(identity)
        self.store = self.loaded.store
        self.replica = Replica(self.loaded, directory, lambda _: None, removal)
        self.replica.open_journal()

    def replay(self, *offsets: int) -> None:
        self.replica.replay([record(offset) for offset in offsets])

    def write_base(self) -> None:
        write = self.replica.begin_base("shop")
        assert write is not None
        self.replica.end_base(write())

    @property
    def offsets(self) -> list[int]:
        return [int(key.rpartition(b"/")[2]) for key in self.store.image.keys]


def opened(path: Path) -> StateDirectory:
    return StateDirectory(path / "state", "shop", "/apisix")


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path / "state").iterdir())


def test_a_new_directory_is_empty_and_private(tmp_path: Path):
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == []
        assert names(tmp_path) == ["journal-00000001.log", "lock"]
        assert (tmp_path / "state").stat().st_mode & 0o77 == 0
        assert (tmp_path / "state" / "journal-00000001.log").stat().st_mode & 0o77 == 0


def test_a_killed_agent_comes_back_from_its_journals(tmp_path: Path):
    with opened(tmp_path) as directory:
        Life(directory).replay(0, 1, 2)
    with opened(tmp_path) as directory:
        life = Life(directory)
        assert (life.offsets, life.store.revision) == ([1, 2], CREATED_MS + 2)
        assert life.store.history.floor == CREATED_MS
        life.replay(3)
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1, 2, 3]


def test_a_torn_end_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with opened(tmp_path) as directory:
        Life(directory).replay(0, 1, 2)
    journal = tmp_path / "state" / "journal-00000001.log"
    journal.write_bytes(journal.read_bytes()[:-3])
    with opened(tmp_path) as directory:
        life = Life(directory)
        assert life.offsets == [1]
        life.replay(2)
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1, 2]
    assert "its end is cut off" in caplog.text


def test_two_generations_are_kept(tmp_path: Path):
    with opened(tmp_path) as directory:
        life = Life(directory)
        for offset in range(4):
            life.replay(offset)
            life.write_base()
    assert names(tmp_path) == [
        "base-00000004.snapshot",
        "base-00000005.snapshot",
        "journal-00000004.log",
        "journal-00000005.log",
        "lock",
    ]


def test_the_older_of_two_bases_gives_watchers_a_history(tmp_path: Path):
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.write_base()
        life.replay(2)
        life.write_base()
    with opened(tmp_path) as directory:
        life = Life(directory)
        assert life.offsets == [1, 2]
        assert life.store.history.floor == CREATED_MS + 1


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_base_is_replaced_by_the_older_one(tmp_path: Path, damage: bytes | None, caplog):
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.write_base()
        life.replay(2)
        life.write_base()
        life.replay(3)
    newest = tmp_path / "state" / "base-00000003.snapshot"
    newest.write_bytes(newest.read_bytes()[:-9] if damage is None else damage)
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1, 2, 3]


def test_a_damaged_older_base_is_not_needed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.write_base()
        life.replay(2)
        life.write_base()
        life.replay(3)
    (tmp_path / "state" / "base-00000002.snapshot").write_bytes(b"garbage")
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1, 2, 3]
    assert "base-00000002.snapshot: not used: it is cut off after 7 bytes" in caplog.text


def test_a_missing_journal_leaves_an_older_but_whole_state(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for offset in range(4):
        with opened(tmp_path) as directory:
            Life(directory).replay(offset)
    (tmp_path / "state" / "journal-00000003.log").unlink()
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1]
    assert "journal-00000004.log: not used: it begins at step 3, the state is at 2" in caplog.text


def test_the_newest_base_counts_when_the_older_one_does_not_reach_it(tmp_path: Path):
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.write_base()
        life.replay(2)
        life.write_base()
        life.replay(3)
    (tmp_path / "state" / "journal-00000002.log").write_bytes(b"garbage")
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1, 2, 3]


def test_everything_damaged_is_an_empty_state(tmp_path: Path):
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.write_base()
    for entry in (tmp_path / "state").iterdir():
        entry.write_bytes(b"garbage")
    with opened(tmp_path) as directory:
        life = Life(directory)
        assert life.offsets == []
        life.replay(0, 1)
    with opened(tmp_path) as directory:
        assert Life(directory).offsets == [1]


def test_a_large_journal_makes_the_newest_base_the_first_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.state_directory.MAX_HISTORY_BYTES", 10)
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.write_base()
        life.replay(2)
        life.write_base()
    with opened(tmp_path) as directory:
        assert Life(directory).store.history.floor == CREATED_MS + 2


def test_a_second_agent_is_refused_with_the_first_ones_process_id(tmp_path: Path):
    with (
        opened(tmp_path),
        pytest.raises(StateDirectoryError, match=f"process id {os.getpid()}: stop it"),
        opened(tmp_path),
    ):
        pass
    with opened(tmp_path):
        pass


def test_the_state_of_another_view_or_prefix_is_told_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "state"
    check_owner(path, "shop", "/apisix")
    with opened(tmp_path) as directory:
        Life(directory).replay(0, 1)
        check_owner(path, "shop", "/apisix")
        (path / "journal-00000000.log").write_bytes(b"damaged")
        for view, prefix in (("other", "/apisix"), ("shop", "/other")):
            with pytest.raises(ForeignStateError, match="holds the state of view shop under the prefix /apisix, not"):
                check_owner(path, view, prefix)
    with StateDirectory(path, "other", "/apisix") as directory:
        assert Life(directory).offsets == []
    assert "it is of another view or prefix" in caplog.text


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateDirectoryError, match="choose a directory the agent can write"), opened(tmp_path):
        pass


def test_a_half_read_topic_is_dropped_at_the_next_start(tmp_path: Path):
    with opened(tmp_path) as directory:
        life = Life(directory)
        life.replay(0, 1)
        life.replica.begin_snapshot()
        life.replay(0, 2)
    with opened(tmp_path) as directory:
        life = Life(directory)
        assert (life.offsets, life.store.is_reading) == ([1], False)
        assert life.loaded.position == 5


@pytest.mark.parametrize("is_base_written", [False, True])
def test_what_was_rejected_by_one_limit_is_not_taken_by_the_next_one_in_its_place(
    tmp_path: Path,
    is_base_written: bool,  # noqa: FBT001 - a table
):
    with opened(tmp_path) as directory:
        life = Life(directory, RemovalLimit(0.5, 1))
        life.replay(0, 1)
        if is_base_written:
            life.write_base()
        life.replica.replay([(2, "u1", None)])
        assert life.offsets == [1]
    with opened(tmp_path) as directory:
        life = Life(directory)
        assert (life.offsets, life.store.revision, set(life.store.image.rejected)) == ([1], CREATED_MS + 2, {"u1"})
