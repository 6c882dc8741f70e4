"""A transactional producer whose every call ends: in a result, or in an error of the log contract."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.log.contract import LogUnreachableError
from pipeline.log.kafka_client import client_options, explained
from pipeline.log.kafka_disposal import dispose_producer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.log.contract import NewRecord
    from pipeline.log.kafka_url import KafkaAddress

PARTITION: Final = 0
MAX_BATCH_BYTES: Final = 1 << 20
MAX_REQUEST_BYTES: Final = 32 << 20
"""Before compression; the topic's max.message.bytes counts after it."""
TRANSACTION_TIMEOUT_MS: Final = 15_000
"""After this a broker aborts the transaction of a client that died, which until then hides later records."""
ABORT_TIMEOUT_S: Final = 2.0


class TransactionalProducer:
    """The producer of one transactional id; opening it fences the one before.

    After an error it is finished: whether a commit under way has happened is only known to the brokers, and the next
    producer of the id settles it.
    """

    def __init__(self, address: KafkaAddress, transactional_id: str, producer: AIOKafkaProducer) -> None:
        self._address = address
        self._id = transactional_id
        self._producer = producer
        self._turn = asyncio.Lock()
        self._is_finished = False

    @classmethod
    async def open(cls, address: KafkaAddress, transactional_id: str) -> TransactionalProducer:
        """Take the transactional id over; an unfinished transaction of its predecessor is aborted.

        Raises:
            LogUnreachableError: no broker gave the id in time.
        """
        producer = AIOKafkaProducer(
            **client_options(address),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
        )
        try:
            async with explained(address, f"writer {transactional_id}"):
                await producer.start()
        except BaseException:
            await dispose_producer(producer)
            raise
        return cls(address, transactional_id, producer)

    async def transact(
        self,
        topic: str,
        records: Sequence[NewRecord],
        consumed: Mapping[TopicPartition, int] | None = None,
        group: str = "",
    ) -> list[int]:
        """Write records, and with them the offsets a group has consumed, in one transaction.

        Args:
            topic: where the records go.
            records: in order; may be empty.
            consumed: next offset to consume, by partition of the source.
            group: the consumer group these offsets are committed for.

        Returns:
            The records' offsets.

        Raises:
            WriterFencedError, LogUnreachableError, BrokenTopicError, ValueError: see `Writer.append`.
        """
        async with self._turn:
            if self._is_finished:
                raise LogUnreachableError(f"{self._address.name}: writer {self._id} has failed before; open a new one")
            try:
                async with explained(self._address, f"writer {self._id}: {topic}"):
                    return await self._transact(topic, records, consumed, group)
            except BaseException:
                await self._give_up()
                raise

    async def _transact(
        self, topic: str, records: Sequence[NewRecord], consumed: Mapping[TopicPartition, int] | None, group: str
    ) -> list[int]:
        await self._producer.begin_transaction()
        sent: list[asyncio.Future[Any]] = []
        try:
            for record in records:
                sent.append(  # noqa: PERF401 - a send that fails leaves the ones before it in the list
                    await self._producer.send(
                        topic, record.value, record.key.encode(), PARTITION, headers=list(record.headers)
                    )
                )
            written = await asyncio.gather(*sent)
            # Not beside the records: a broker that finds the transaction just changing while it verifies a record
            # batch answers NOT_ENOUGH_REPLICAS to clients of this age, and the retry costs 100 ms.
            if consumed:
                await self._producer.send_offsets_to_transaction(dict(consumed), group)
        finally:
            for future in sent:
                if future.done() and not future.cancelled():
                    future.exception()  # seen, so asyncio does not report those after the first
        await self._producer.commit_transaction()
        return [metadata.offset for metadata in written]

    async def _give_up(self) -> None:
        """Abort if that is still possible, lest readers wait for the transaction to time out."""
        self._is_finished = True
        with suppress(KafkaError, TimeoutError, AssertionError):  # assertions guard the state machine of aiokafka
            async with asyncio.timeout(ABORT_TIMEOUT_S):
                await self._producer.abort_transaction()

    async def close(self) -> None:
        """Give the connections back; an open transaction is aborted by the next producer of the id or by time."""
        self._is_finished = True
        await dispose_producer(self._producer)
