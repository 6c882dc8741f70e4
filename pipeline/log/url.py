"""Open a log by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.log.contract import Log


def open_log(url: str) -> Log:
    """Make the log a URL names; it connects when entered.

    Args:
        url: `sqlite:///var/lib/meshferry/log.db` (an absolute path, as in any file URL) or `kafka://host:9092,host2:9092?security=…`.

    Raises:
        ValueError: the URL names no log, with the two forms as the remedy.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        from pipeline.log.sqlite import SQLiteLog  # noqa: PLC0415 - a role loads only the log it uses

        return SQLiteLog.from_url(url)
    if scheme == "kafka":
        from pipeline.log.kafka import KafkaLog  # noqa: PLC0415 - aiokafka is slow to import

        return KafkaLog.from_url(url)
    raise ValueError(f"log URL with scheme {scheme!r}: use sqlite:///path/log.db or kafka://host:9092,host2:9092")


def embedded_log_url(file: Path) -> str:
    """Give the URL of the embedded log in a file, which is named by an absolute path."""
    return f"sqlite://{quote(str(file))}"
