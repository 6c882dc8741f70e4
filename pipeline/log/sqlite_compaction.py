"""Compaction of a topic in a SQLite log, by the rules a broker's log cleaner follows.

The rules are those of Kafka's topic configurations `cleanup.policy`, `min.compaction.lag.ms`, `delete.retention.ms`
and `retention.ms`. Records younger than the lag are neither removed nor counted as successors, so that every state
within the lag can still be read. Offsets never change and are never used again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pipeline.log.sqlite_file import immediate, snapshot
from pipeline.log.sqlite_store import Topic, config_of, find_topic, truncate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

CHUNK_RECORD_COUNT: Final = 5000
"""Removed per transaction, so that a writer never waits long for the lock."""


def compact(connection: sqlite3.Connection, name: str) -> None:
    """Do what the topic's cleanup.policy says; see `Log.compact`."""
    now_ms = time.time_ns() // 1_000_000
    with snapshot(connection):
        topic = find_topic(connection, name)
        config = config_of(connection, topic.id)
        policies = {policy.strip() for policy in config["cleanup.policy"].split(",")}
    if "delete" in policies and int(config["retention.ms"]) >= 0:
        truncate(connection, name, _first_since(connection, topic, now_ms - int(config["retention.ms"])))
    if "compact" in policies:
        _compact(connection, topic, config, now_ms)
    connection.executescript("PRAGMA incremental_vacuum")  # `execute` would stop after one page


def _first_since(connection: sqlite3.Connection, topic: Topic, time_ms: int) -> int:
    """Offset of the first record written at or after a time; the topic's end if there is none."""
    row = connection.execute(
        "SELECT place FROM record WHERE place >= ? AND place < ? AND time_ms >= ? ORDER BY place LIMIT 1",
        (topic.place(0), topic.place(topic.next), time_ms),
    ).fetchone()
    return topic.next if row is None else int(row[0]) - topic.place(0)


def _compact(connection: sqlite3.Connection, topic: Topic, config: Mapping[str, str], now_ms: int) -> None:
    dirty = _first_since(connection, topic, now_ms - int(config["min.compaction.lag.ms"]) + 1)
    last: dict[str, tuple[int, bool]] = {}
    superseded: list[int] = []
    rows = connection.execute(
        "SELECT place, key, value IS NULL AND time_ms <= ? FROM record WHERE place >= ? AND place < ? ORDER BY place",
        (now_ms - int(config["delete.retention.ms"]), topic.place(0), topic.place(dirty)),
    )
    for place, key, is_expired in rows:
        if key in last:
            superseded.append(last[key][0])
        last[key] = (place, bool(is_expired))
    expired = [place for place, is_expired in last.values() if is_expired]
    # Tombstones go last: until then nobody can see an older value of their key as the newest one.
    for places in (sorted(superseded), expired):
        _delete(connection, places)


def _delete(connection: sqlite3.Connection, places: list[int]) -> None:
    for first in range(0, len(places), CHUNK_RECORD_COUNT):
        with immediate(connection):
            connection.executemany(
                "DELETE FROM record WHERE place = ?", [(place,) for place in places[first : first + CHUNK_RECORD_COUNT]]
            )
