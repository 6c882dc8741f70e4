"""What both logs refuse, in the same words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.log.contract import BrokenTopicError, OffsetBelowStartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.log.contract import Ends, NewRecord

BATCH_OVERHEAD_BYTES: Final = 512
DEFAULT_MAX_MESSAGE_BYTES: Final = 1048588
"""Kafka's default of max.message.bytes."""


def no_such_topic(topic: str) -> BrokenTopicError:
    """A topic is missing."""
    return BrokenTopicError(f"{topic}: no such topic; create it with `meshferry topics apply`")


def cannot_truncate(topic: str) -> BrokenTopicError:
    """The start of a topic cannot be moved."""
    return BrokenTopicError(f"{topic}: records are deleted by offset only where cleanup.policy contains delete")


def check_sizes(topic: str, records: Sequence[NewRecord], limit_bytes: int) -> None:
    """Check that each record fits into a topic, however badly it compresses.

    A broker measures the compressed batch. Data that cannot be compressed grows by up to a 256th, and the batch has a
    header; the limit is kept with that room, before compression, so that a broker never has to refuse: after a
    refusal the producer's sequence numbers no longer match and the writer is lost.

    Args:
        topic: for the message.
        records: what is to be written.
        limit_bytes: the topic's max.message.bytes.

    Raises:
        ValueError: a record is too large.
    """
    for key, value, headers in records:
        size_bytes = len(key) + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
        if size_bytes + size_bytes // 256 + BATCH_OVERHEAD_BYTES > limit_bytes:
            raise ValueError(
                f"{topic}: record {key} has {size_bytes} bytes, too many for max.message.bytes={limit_bytes}"
            )


def check_start(topic: str, start: int, ends: Ends) -> None:
    """Check that a reader can start at an offset; the end itself is a good start.

    Raises:
        OffsetBelowStartError: records at `start` are gone.
        BrokenTopicError: `start` lies past the end: the reader knows another log.
    """
    if start < ends.start:
        raise OffsetBelowStartError(topic, start, ends.start)
    if start > ends.next:
        raise BrokenTopicError(
            f"{topic}: offset {start} lies past the end {ends.next}: the topic was made anew or lost records; "
            "read it from its start"
        )
