"""What a log does to its SQLite file: plain functions on one connection, each one transaction."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline.log.contract import (
    Ends,
    Headers,
    NewRecord,
    Record,
    TopicSpec,
    TopicState,
    WriterFencedError,
)
from pipeline.log.refusal import DEFAULT_MAX_MESSAGE_BYTES, cannot_truncate, check_sizes, check_start, no_such_topic
from pipeline.log.sqlite_file import immediate, snapshot
from pipeline.topics import refuse_unfit

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

TOPIC_SPAN: Final = 1 << 40
"""Places per topic; see the schema."""
BATCH_RECORD_COUNT: Final = 1000
BATCH_MAX_BYTES: Final = 8 << 20

DEFAULT_CONFIG: Final[Mapping[str, str]] = {
    "cleanup.policy": "delete",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "86400000",
    "retention.ms": "604800000",
    "max.message.bytes": str(DEFAULT_MAX_MESSAGE_BYTES),
}

_encode_headers = msgspec.msgpack.Encoder().encode
_decode_headers = msgspec.msgpack.Decoder(Headers).decode


class Topic(NamedTuple):
    """A topic's row."""

    id: int
    name: str
    start: int
    next: int

    def place(self, offset: int) -> int:
        """Key of an offset in the record table."""
        return self.id * TOPIC_SPAN + offset


def find_topic(connection: sqlite3.Connection, name: str) -> Topic:
    """Find a topic.

    Raises:
        BrokenTopicError: no such topic.
    """
    row = connection.execute("SELECT id, name, start_offset, next_offset FROM topic WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise no_such_topic(name)
    return Topic(*row)


def describe(connection: sqlite3.Connection, names: Sequence[str]) -> list[TopicState]:
    """Tell how topics are configured."""
    with snapshot(connection):
        return [_state(connection, name) for name in names]


def _state(connection: sqlite3.Connection, name: str) -> TopicState:
    row = connection.execute("SELECT id FROM topic WHERE name = ?", (name,)).fetchone()
    if row is None:
        return TopicState(name, is_present=False, partition_count=0, config={})
    return TopicState(name, is_present=True, partition_count=1, config=config_of(connection, row[0]))


def config_of(connection: sqlite3.Connection, topic_id: int) -> dict[str, str]:
    """Give a topic's configuration, with Kafka's own defaults for what was not set."""
    rows = connection.execute("SELECT name, value FROM topic_config WHERE topic_id = ?", (topic_id,))
    return {**DEFAULT_CONFIG, **dict(rows)}


def apply(connection: sqlite3.Connection, specs: Sequence[TopicSpec]) -> None:
    """Create topics and set their configuration; see `Log.apply`."""
    with immediate(connection):
        refuse_unfit(specs, [_state(connection, spec.name) for spec in specs])
        for spec in specs:
            connection.execute(
                "INSERT INTO topic (name, start_offset, next_offset) VALUES (?, 0, 0) ON CONFLICT DO NOTHING",
                (spec.name,),
            )
            topic = find_topic(connection, spec.name)
            connection.executemany(
                "INSERT INTO topic_config VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                [(topic.id, name, value) for name, value in spec.config.items()],
            )


def ends(connection: sqlite3.Connection, name: str) -> Ends:
    """Tell the readable range."""
    topic = find_topic(connection, name)
    return Ends(topic.start, topic.next)


def read(connection: sqlite3.Connection, name: str, start: int, end: int | None = None) -> list[Record]:
    """Read a batch of records from `start`, at most up to `end`.

    Raises:
        OffsetBelowStartError: records at `start` are gone.
        BrokenTopicError: no such topic, or `start` lies past its end: the reader knows another log.
    """
    with snapshot(connection):
        topic = find_topic(connection, name)
        check_start(name, start, Ends(topic.start, topic.next))
        stop = topic.next if end is None else min(end, topic.next)
        rows = connection.execute(
            "SELECT place, key, value, headers, time_ms FROM record WHERE place >= ? AND place < ? ORDER BY place",
            (topic.place(start), topic.place(stop)),
        )
        batch: list[Record] = []
        size_bytes = 0
        for place, key, value, headers, time_ms in rows:
            batch.append(
                Record(place - topic.place(0), key, value, time_ms, _decode_headers(headers) if headers else ())
            )
            size_bytes += len(value or b"")
            if len(batch) == BATCH_RECORD_COUNT or size_bytes >= BATCH_MAX_BYTES:
                break
        rows.close()
        return batch


def open_writer(connection: sqlite3.Connection, name: str) -> int:
    """Take a writer's name over and give the epoch that proves it."""
    with immediate(connection):
        connection.execute(
            "INSERT INTO writer VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE SET "
            "epoch = epoch + 1, pid = excluded.pid, host = excluded.host",
            (name, *owner()),
        )
        (epoch,) = connection.execute("SELECT epoch FROM writer WHERE name = ?", (name,)).fetchone()
    return int(epoch)


def append(
    connection: sqlite3.Connection, topic: str, records: Sequence[NewRecord], writer: str, epoch: int
) -> list[int]:
    """Append records in one transaction; see `Writer.append`.

    Raises:
        WriterFencedError: the name has a newer epoch.
    """
    with immediate(connection):
        current, pid, host = connection.execute(
            "SELECT epoch, pid, host FROM writer WHERE name = ?", (writer,)
        ).fetchone()
        if current != epoch:
            raise WriterFencedError(f"writer {writer}: taken over by process {pid} on {host}")
        return insert(connection, find_topic(connection, topic), records)


def insert(connection: sqlite3.Connection, topic: Topic, records: Sequence[NewRecord]) -> list[int]:
    """Write records at the end of a topic, in the caller's transaction, and give their offsets."""
    limit_bytes = config_of(connection, topic.id)["max.message.bytes"]
    check_sizes(topic.name, records, int(limit_bytes))
    time_ms = time.time_ns() // 1_000_000
    offsets = list(range(topic.next, topic.next + len(records)))
    connection.executemany(
        "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
        [
            (topic.place(offset), key, value, _encode_headers(headers) if headers else None, time_ms)
            for offset, (key, value, headers) in zip(offsets, records, strict=True)
        ],
    )
    connection.execute("UPDATE topic SET next_offset = ? WHERE id = ?", (topic.next + len(records), topic.id))
    return offsets


def truncate(connection: sqlite3.Connection, name: str, before_offset: int) -> None:
    """Drop the records below an offset and move the log's start there; never back, never past the end.

    Raises:
        BrokenTopicError: the topic is compacted only; as with a broker, only `delete` topics lose records by offset.
    """
    with immediate(connection):
        topic = find_topic(connection, name)
        if "delete" not in config_of(connection, topic.id)["cleanup.policy"]:
            raise cannot_truncate(name)
        start = max(topic.start, min(before_offset, topic.next))
        connection.execute("DELETE FROM record WHERE place >= ? AND place < ?", (topic.place(0), topic.place(start)))
        connection.execute("UPDATE topic SET start_offset = ? WHERE id = ?", (start, topic.id))


def owner() -> tuple[int, str]:
    """Tell who this process is, for whoever is fenced by it."""
    return os.getpid(), socket.gethostname()
