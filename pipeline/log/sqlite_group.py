"""Groups of workers on a SQLite log: who has a source topic, and how far it has got."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.log.contract import NewRecord, WriterFencedError
from pipeline.log.sqlite_file import immediate
from pipeline.log.sqlite_store import find_topic, insert, owner

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence


class Claim(NamedTuple):
    """A group's hold on a source topic: where to go on, and the epoch that proves the hold."""

    group: str
    source: str
    next_offset: int
    epoch: int


def claim(connection: sqlite3.Connection, group: str, topics: Sequence[str]) -> dict[str, Claim]:
    """Take source topics over for a group's worker, fencing the worker that had them."""
    claims = {}
    with immediate(connection):
        for name in topics:
            topic = find_topic(connection, name)
            connection.execute(
                "INSERT INTO group_offset VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET "
                "epoch = epoch + 1, pid = excluded.pid, host = excluded.host",
                (group, topic.id, topic.start, *owner()),
            )
            next_offset, epoch = connection.execute(
                "SELECT next_offset, epoch FROM group_offset WHERE group_name = ? AND topic_id = ?", (group, topic.id)
            ).fetchone()
            claims[name] = Claim(group, name, max(next_offset, topic.start), epoch)
    return claims


def commit_step(connection: sqlite3.Connection, held: Claim, sink: str, results: Sequence[NewRecord]) -> None:
    """Append a step's results and move the group's offset to `held.next_offset`, in one transaction.

    Raises:
        WriterFencedError: another worker has taken the source topic over.
    """
    with immediate(connection):
        place = (held.group, find_topic(connection, held.source).id)
        epoch, pid, host = connection.execute(
            "SELECT epoch, pid, host FROM group_offset WHERE group_name = ? AND topic_id = ?", place
        ).fetchone()
        if epoch != held.epoch:
            raise WriterFencedError(f"group {held.group}: {held.source} was taken over by process {pid} on {host}")
        insert(connection, find_topic(connection, sink), results)
        connection.execute(
            "UPDATE group_offset SET next_offset = ? WHERE group_name = ? AND topic_id = ?", (held.next_offset, *place)
        )
