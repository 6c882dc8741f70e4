"""Stopping aiokafka's clients whatever state they are in.

`AIOKafkaProducer.stop` flushes first and its requests to the transaction coordinator repeat for ever, so with the
brokers away it never returns. `AIOKafkaConsumer.stop` may raise the CancelledError of a fetch that it cancelled itself,
and then leaves its connections open. Use of aiokafka's private parts is in this file and in
kafka_membership.py alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

POLITE_TIMEOUT_S: Final = 2.0
FORCE_INTERVAL_S: Final = 0.05
MAX_ROUND_COUNT: Final = 40
"""A task may wait for another one that has to be cancelled too; each round reaches one deeper."""


async def dispose_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer, by force where it would wait for a broker that is away."""
    is_clean = await _stop(producer, [producer._sender])  # noqa: SLF001 - see the module's docstring
    if not is_clean:
        await producer.client.close()
    _mark_seen(producer)


async def dispose_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer and leave its group; without a broker that answers, the group finds out by itself."""
    parts = [consumer._coordinator, consumer._fetcher]  # noqa: SLF001 - see the module's docstring
    is_clean = await _stop(consumer, [part for part in parts if part is not None])
    if not is_clean:
        await consumer._client.close()  # noqa: SLF001 - as above


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer, parts: list[Any]) -> bool:
    """Stop a client; False when it did not end as it should, and its connections may be open."""
    stopping = asyncio.ensure_future(client.stop())
    await asyncio.wait([stopping], timeout=POLITE_TIMEOUT_S)
    is_forced = not stopping.done()
    for _round in range(MAX_ROUND_COUNT if is_forced else 0):
        tasks = {stopping, *_tasks_of(parts)}
        for task in tasks:
            task.cancel()
        done, pending = await asyncio.wait(tasks, timeout=FORCE_INTERVAL_S)
        for task in done - {stopping}:
            if not task.cancelled():
                task.exception()  # seen: it was told to fail
        if not pending:
            break
    return stopping.done() and not stopping.cancelled() and stopping.exception() is None and not _tasks_of(parts)


def _tasks_of(parts: list[Any]) -> set[asyncio.Task[Any]]:
    """Find the tasks that run methods of a client's parts; they keep no complete list of them."""
    found = set()
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        owner = None if frame is None else frame.f_locals.get("self")
        if any(owner is part for part in parts):
            found.add(task)
    return found


def _mark_seen(producer: AIOKafkaProducer) -> None:
    """Look at the failed futures nobody awaits, or asyncio reports each of them as an error of its own."""
    accumulator = producer._message_accumulator  # noqa: SLF001 - see the module's docstring
    futures = [producer._txn_manager.wait_for_transaction_end()]  # noqa: SLF001 - as above
    for batches in accumulator._batches.values():  # noqa: SLF001 - as above
        for batch in batches:
            futures += [batch.future, batch._drain_waiter]  # noqa: SLF001 - as above
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()
