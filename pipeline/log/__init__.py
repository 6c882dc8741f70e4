"""The log: the contract that Kafka and SQLite both fulfil, and the way to open one by URL.

architecture.md section 9. There are two implementations with one contract suite (tests/pipeline/log/test_contract.py)
and no third. Everything that reads or writes records goes through these types; only the files that do I/O import this.
"""

from __future__ import annotations

from pipeline.log.contract import (
    BrokenTopicError,
    Ends,
    Lead,
    Log,
    LogUnreachableError,
    NewRecord,
    OffsetBelowStartError,
    Record,
    TopicSpec,
    TopicState,
    Transform,
    Writer,
    WriterFencedError,
)
from pipeline.log.url import open_log

__all__ = [
    "BrokenTopicError",
    "Ends",
    "Lead",
    "Log",
    "LogUnreachableError",
    "NewRecord",
    "OffsetBelowStartError",
    "Record",
    "TopicSpec",
    "TopicState",
    "Transform",
    "Writer",
    "WriterFencedError",
    "open_log",
]
