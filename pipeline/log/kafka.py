"""The log on Kafka: one partition per topic, committed records only, exactly-once transforms.

Followers and bounded reads use a consumer of their own, assigned by hand; writers and transforms a transactional
producer each. A client that has failed is thrown away, never repaired: the next one starts from the bootstrap
addresses, so that brokers may have moved meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from pipeline.log import kafka_admin
from pipeline.log.kafka_lead import KafkaLead
from pipeline.log.kafka_producer import TransactionalProducer
from pipeline.log.kafka_reader import follow, read_ends, read_to_end
from pipeline.log.kafka_transform import KafkaTransform
from pipeline.log.kafka_url import KafkaAddress, parse_kafka_url
from pipeline.log.refusal import DEFAULT_MAX_MESSAGE_BYTES, check_sizes, no_such_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from types import TracebackType

    from pipeline.log.contract import Ends, NewRecord, Record, TopicSpec, TopicState


class _Closable(Protocol):
    async def close(self) -> None: ...


class KafkaLog:
    """A log on Kafka; see `pipeline.log.contract.Log`."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._max_bytes: dict[str, int] = {}
        self._ends_written: dict[str, int] = {}
        self._open: set[_Closable] = set()
        self._user_count = 0

    @classmethod
    def from_url(cls, url: str) -> KafkaLog:
        """Make the log of a URL such as `kafka://host:9092,host2:9092?security=ssl&ca=/etc/ca.pem`.

        Raises:
            ValueError: an address or option that is none; see `parse_kafka_url`.
        """
        return cls(parse_kafka_url(url))

    async def __aenter__(self) -> Self:
        """Nothing yet: each operation connects for itself, so that an agent can start without brokers (law 7)."""
        self._user_count += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is still open, when the last user leaves."""
        self._user_count -= 1
        while self._open and not self._user_count:
            await next(iter(self._open)).close()

    async def describe(self, names: Sequence[str]) -> list[TopicState]:
        """Tell how topics are configured, inherited values included."""
        async with kafka_admin.open_admin(self._address, "describing topics") as admin:
            return await kafka_admin.describe(admin, names)

    async def apply(self, specs: Sequence[TopicSpec]) -> None:
        """Create topics and set their configuration."""
        async with kafka_admin.open_admin(self._address, "applying topics") as admin:
            await kafka_admin.apply(admin, specs)

    async def ends(self, topic: str) -> Ends:
        """Tell the readable range."""
        await self.require(topic)
        return await read_ends(self._address, topic, self._ends_written.get(topic, 0))

    async def read(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        """Read from `start` to the present end."""
        await self.require(topic)
        async for records in read_to_end(self._address, topic, start, self._ends_written.get(topic, 0)):
            yield records

    async def follow(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        """Read from `start` and go on as records are written."""
        await self.require(topic)
        async for records in follow(self._address, topic, start, self._ends_written.get(topic, 0)):
            yield records

    async def writer(self, name: str) -> KafkaWriter:
        """Open the writer of a name, fencing its predecessor."""
        writer = KafkaWriter(self, await TransactionalProducer.open(self._address, name))
        self._open.add(writer)
        return writer

    def lead(self, topic: str, group: str) -> KafkaLead:
        """Stand for the lead of a topic, as a member of a consumer group."""
        lead = KafkaLead(self._address, topic, group, self)
        self._open.add(lead)
        return lead

    def transform(
        self, sinks: Mapping[str, str], group: str, step: Callable[[str, Sequence[Record]], Sequence[NewRecord]]
    ) -> KafkaTransform:
        """Consume topics and produce into others, exactly once."""
        transform = KafkaTransform(self._address, sinks, group, step, self)
        self._open.add(transform)
        return transform

    async def compact(self, topic: str) -> None:
        """Nothing but a look whether the topic exists: the brokers' log cleaner compacts by itself."""
        await self.require(topic)

    async def truncate(self, topic: str, before_offset: int) -> None:
        """Drop the records below an offset."""
        before_offset = min(before_offset, (await self.ends(topic)).next)
        async with kafka_admin.open_admin(self._address, topic) as admin:
            await kafka_admin.truncate(admin, topic, before_offset)

    def note_written(self, topic: str, offsets: Sequence[int]) -> None:
        """Remember the end of what was written here: reads of this log wait until it can be read."""
        self._ends_written[topic] = max(self._ends_written.get(topic, 0), *(offset + 1 for offset in offsets), 0)

    def forget(self, closed: _Closable) -> None:
        """Something was closed by its user."""
        self._open.discard(closed)

    async def require(self, *topics: str) -> None:
        """Make sure that topics exist, before a client asks for them in a way that may create them.

        Raises:
            BrokenTopicError: a topic does not exist.
        """
        unknown = [topic for topic in topics if topic not in self._max_bytes]
        for state in await self.describe(unknown) if unknown else ():
            if not state.is_present:
                raise no_such_topic(state.name)
            self._max_bytes[state.name] = int(state.config.get("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES))

    async def check(self, topic: str, records: Sequence[NewRecord]) -> None:
        """Make sure that a broker will take records.

        Raises:
            BrokenTopicError: the topic does not exist.
            ValueError: a record is too large for it.
        """
        await self.require(topic)
        check_sizes(topic, records, self._max_bytes[topic])


class KafkaWriter:
    """The writer of a name; see `pipeline.log.contract.Writer`."""

    def __init__(self, log: KafkaLog, producer: TransactionalProducer) -> None:
        self._log = log
        self._producer = producer

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[int]:
        """Append records in one transaction; cancelled or failed, the writer is finished."""
        await self._log.check(topic, records)
        offsets = await self._producer.transact(topic, records)
        self._log.note_written(topic, offsets)
        return offsets

    async def close(self) -> None:
        """Give the connections back."""
        self._log.forget(self)
        await self._producer.close()
