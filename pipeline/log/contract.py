"""What a log is: topics of one partition, ordered offsets, transactions, and exactly-once transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from types import TracebackType

Headers = tuple[tuple[str, bytes], ...]


class LogUnreachableError(ConnectionError):
    """The log cannot be reached now; what was read before stays valid. Exit code 69."""


class WriterFencedError(RuntimeError):
    """A newer writer of the same name has taken over; this one is finished."""


class OffsetBelowStartError(LookupError):
    """The reader asked for records that the log no longer holds.

    Attributes:
        start: the first offset that can be read.
    """

    def __init__(self, topic: str, offset: int, start: int) -> None:
        super().__init__(f"{topic}: offset {offset} is gone, the log starts at {start}")
        self.start = start


class BrokenTopicError(ValueError):
    """A topic or log file is not what meshferry needs (missing, cleanup.policy, partitions, version). Exit code 78."""


class NewRecord(NamedTuple):
    """A record to be written; value None is a tombstone."""

    key: str
    value: bytes | None
    headers: Headers = ()


class Record(NamedTuple):
    """A record as read."""

    offset: int
    key: str
    value: bytes | None
    time_ms: int
    headers: Headers = ()


class Ends(NamedTuple):
    """The first offset a reader can get and the offset after the last committed one."""

    start: int
    next: int


class TopicSpec(NamedTuple):
    """A topic with the configuration meshferry needs it to have; every topic has one partition.

    `replication_factor` counts when a broker creates the topic; -1 takes the broker's default.
    """

    name: str
    config: Mapping[str, str]
    replication_factor: int = 1


class TopicState(NamedTuple):
    """A topic as it is; `is_present` False says it does not exist."""

    name: str
    is_present: bool
    partition_count: int
    config: Mapping[str, str]


class Writer(Protocol):
    """The one writer of its name: opening it fences every older writer of the same name."""

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[int]:
        """Append records in one transaction and return their offsets.

        Raises:
            WriterFencedError: a newer writer of this name exists.
            LogUnreachableError: the log went away. A commit that was on its way to a broker may or may not have
                happened, so the writer is finished: open a new one and read back what is there.
            BrokenTopicError: no such topic.
            ValueError: a record exceeds the topic's max.message.bytes; nothing was written.
        """
        ...

    async def close(self) -> None:
        """Give up the name."""
        ...


class Transform(Protocol):
    """A running consume-translate-produce loop; see `Log.transform`."""

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            LogUnreachableError: the log went away; call `run` on a new transform to go on.
            WriterFencedError: another worker took a topic over from this one.
            BrokenTopicError: a source or sink topic does not exist.
        """
        ...

    async def close(self) -> None:
        """Leave the group; another worker takes over."""
        ...


class Lead(Protocol):
    """A candidate for leading a topic; see `Log.lead`."""

    async def take(self) -> None:
        """Wait until this candidate leads; at once when it does.

        Raises:
            LogUnreachableError: the log went away; go on with a new candidate.
            BrokenTopicError: no such topic.
        """
        ...

    async def is_held(self) -> bool:
        """Ask the log whether this candidate leads at this moment.

        Asked after the writer was opened, it closes the gap in which a leader that was stopped could fence its
        successor.

        Raises:
            LogUnreachableError: the log went away.
        """
        ...

    async def lost(self) -> None:
        """Wait until this candidate, which has taken the lead, leads no longer; then it may `take` again.

        Raises:
            LogUnreachableError: the log went away.
        """
        ...

    async def close(self) -> None:
        """Give the lead up, or no longer wait for it; the next candidate takes it."""
        ...


class Log(Protocol):
    """A log. Use it as an async context manager; users of one process may share it, each entering it for itself.

    Whoever shares it closes writers, transforms and candidates when done: the log does so only when all have left.
    """

    async def __aenter__(self) -> Self:
        """Open what is local; a log that is elsewhere is first asked when something is read or written.

        Raises:
            BrokenTopicError: a local log that cannot be used.
        """
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, when the last of those who have entered leaves; what is still open is closed."""
        ...

    async def describe(self, names: Sequence[str]) -> list[TopicState]:
        """Tell how topics are configured, in the order asked for."""
        ...

    async def apply(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that are missing and set the configuration of those that are not.

        Raises:
            BrokenTopicError: a topic has more than one partition or another cleanup.policy; it is not changed.
        """
        ...

    async def ends(self, topic: str) -> Ends:
        """Tell the readable range, seen as a reader of committed records.

        Raises:
            BrokenTopicError: no such topic.
        """
        ...

    def read(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        """Read committed records from `start` up to the end at the time of the call, in batches of at least one.

        Offsets rise but need not be dense: compaction and transaction markers leave gaps.

        Raises:
            OffsetBelowStartError: `start` lies below the first record the log can still give.
            BrokenTopicError: no such topic, or `start` lies past its end: the reader knows another log.
        """
        ...

    def follow(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        """Read committed records from `start` and go on as they are written, for ever.

        Raises:
            OffsetBelowStartError, BrokenTopicError: as for `read`.
            LogUnreachableError: the log went away.
        """
        ...

    async def writer(self, name: str) -> Writer:
        """Open the writer of a name (the Kafka transactional.id), fencing its predecessor."""
        ...

    def lead(self, topic: str, group: str) -> Lead:
        """Stand for the lead of a topic: of the candidates of a group, in all processes, one has it at a time.

        A process that ends in whatever way gives the lead up; on a broker also one that hangs, after the session
        timeout. The lead says who is to work, it is no fence: who was stopped learns late that he was replaced. Open
        the writer after `take`, ask `is_held`, and read what there is after that.

        Args:
            topic: what is led.
            group: candidates of other groups lead it independently.
        """
        ...

    def transform(
        self,
        sinks: Mapping[str, str],
        group: str,
        step: Callable[[str, Sequence[Record]], Sequence[NewRecord]],
    ) -> Transform:
        """Consume topics and produce into others, exactly once.

        Args:
            sinks: source topic -> the topic its results go to.
            group: workers of one group share the source topics; each topic has one worker at a time, and taking a
                topic over fences the worker that had it.
            step: called with the source topic and a batch of its records, in order; its results and the consumed
                offset are committed in one transaction. Called in a worker thread. A batch that raised is not
                committed.
        """
        ...

    async def compact(self, topic: str) -> None:
        """Keep the last record of each key, as the topic's configuration allows; a broker does this by itself."""
        ...

    async def truncate(self, topic: str, before_offset: int) -> None:
        """Drop the records below an offset; the log then starts there. Never moves the start back."""
        ...
