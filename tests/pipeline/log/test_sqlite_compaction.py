"""Compaction of the embedded log: the rules, and the law that it never changes what a reader ends up with."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.log import Ends, NewRecord, TopicSpec
from pipeline.log import sqlite_store as store
from pipeline.log.sqlite_compaction import compact
from pipeline.log.sqlite_file import open_file

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

TOPIC = "t"
HOUR_MS = 3_600_000


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_file(tmp_path / "log.db")) as opened:
        yield opened


def make(connection: sqlite3.Connection, config: dict[str, str], records: list[tuple[str, bytes | None, int]]) -> None:
    """Write records of an age given in hours."""
    store.apply(connection, [TopicSpec(TOPIC, config)])
    epoch = store.open_writer(connection, "w")
    for key, value, age_h in records:
        (offset,) = store.append(connection, TOPIC, [NewRecord(key, value)], "w", epoch)
        place = store.find_topic(connection, TOPIC).place(offset)
        connection.execute("UPDATE record SET time_ms = time_ms - ? WHERE place = ?", (age_h * HOUR_MS, place))


def offsets(connection: sqlite3.Connection) -> list[int]:
    return [record.offset for record in store.read(connection, TOPIC, store.ends(connection, TOPIC).start)]


def test_the_last_record_of_a_key_stays_at_its_offset(connection: sqlite3.Connection):
    make(connection, {"cleanup.policy": "compact"}, [(key, b"", 1) for key in "abacab"])
    compact(connection, TOPIC)
    assert offsets(connection) == [3, 4, 5]
    assert store.ends(connection, TOPIC) == Ends(0, 6)


def test_records_within_the_lag_stay_and_supersede_nothing(connection: sqlite3.Connection):
    config = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(24 * HOUR_MS)}
    make(
        connection,
        config,
        [("a", b"", 50), ("a", b"", 49), ("b", b"", 30), ("a", b"", 20), ("a", b"", 10), ("b", b"", 1)],
    )
    compact(connection, TOPIC)
    assert offsets(connection) == [1, 2, 3, 4, 5]  # the state of 24 h ago, a at 1 and b at 2, can still be read


def test_a_tombstone_goes_when_its_retention_is_over(connection: sqlite3.Connection):
    config = {"cleanup.policy": "compact", "delete.retention.ms": str(5 * HOUR_MS)}
    make(connection, config, [("a", b"", 9), ("b", b"", 9), ("a", None, 6), ("b", None, 4)])
    compact(connection, TOPIC)
    assert offsets(connection) == [3]


def test_a_topic_that_is_not_compacted_keeps_everything_within_its_retention(connection: sqlite3.Connection):
    make(
        connection,
        {"cleanup.policy": "delete", "retention.ms": str(5 * HOUR_MS)},
        [("a", b"", h) for h in (9, 6, 4, 1)],
    )
    compact(connection, TOPIC)
    assert offsets(connection) == [2, 3]
    assert store.ends(connection, TOPIC) == Ends(2, 4)


def test_both_policies_work_together_and_an_unlimited_retention_keeps(connection: sqlite3.Connection):
    make(connection, {"cleanup.policy": "compact,delete", "retention.ms": "-1"}, [("a", b"", 9999), ("a", b"", 9998)])
    compact(connection, TOPIC)
    assert offsets(connection) == [1]
    store.apply(connection, [TopicSpec(TOPIC, {"retention.ms": str(HOUR_MS)})])
    compact(connection, TOPIC)
    assert offsets(connection) == []
    assert store.ends(connection, TOPIC) == Ends(2, 2)


def test_other_topics_are_left_alone(connection: sqlite3.Connection):
    make(connection, {"cleanup.policy": "compact"}, [("a", b"", 1), ("a", b"", 1)])
    store.apply(connection, [TopicSpec("u", {"cleanup.policy": "compact"})])
    store.append(connection, "u", [NewRecord("a", b""), NewRecord("a", b"")], "w", 1)
    compact(connection, "u")
    assert offsets(connection) == [0, 1]
    assert [record.offset for record in store.read(connection, "u", 0)] == [1]


def test_space_is_given_back(connection: sqlite3.Connection):
    make(connection, {"cleanup.policy": "compact"}, [("a", b"x" * 50_000, 1)] * 20)
    (before,) = connection.execute("PRAGMA page_count").fetchone()
    compact(connection, TOPIC)
    (after,) = connection.execute("PRAGMA page_count").fetchone()
    assert after < before / 4


KEYS = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=3))), min_size=1, max_size=4),
        st.just("compact"),
    ),
    max_size=14,
)


@given(steps=STEPS, retention_ms=st.sampled_from(["0", "86400000"]))
def test_compaction_at_any_moment_changes_no_state_and_no_suffix(
    steps: list[list[tuple[str, bytes | None]] | str], retention_ms: str
):
    """The state is the last record of each key; without tombstones that have been there long enough."""
    written: dict[int, tuple[str, bytes | None]] = {}
    with tempfile.TemporaryDirectory() as folder, closing(open_file(Path(folder) / "log.db")) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        store.apply(connection, [TopicSpec(TOPIC, {"cleanup.policy": "compact", "delete.retention.ms": retention_ms})])
        epoch = store.open_writer(connection, "w")
        for step in steps:
            if step == "compact":
                compact(connection, TOPIC)
                continue
            records = [NewRecord(*each) for each in step]
            written |= zip(store.append(connection, TOPIC, records, "w", epoch), step, strict=True)
            assert list(written) == list(range(len(written)))

            everything = store.read(connection, TOPIC, 0)
            assert all(written[record.offset] == (record.key, record.value) for record in everything)
            assert state(contents(everything)) == state(list(written.values()))
            for start in range(len(written) + 1):
                assert store.read(connection, TOPIC, start) == [r for r in everything if r.offset >= start]


def contents(records: list[store.Record]) -> list[tuple[str, bytes | None]]:
    return [(record.key, record.value) for record in records]


def state(records: list[tuple[str, bytes | None]]) -> dict[str, bytes]:
    return {key: value for key, value in dict(records).items() if value is not None}
