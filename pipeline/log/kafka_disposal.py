"""Stopping an aiokafka producer whatever state it is in.

`AIOKafkaProducer.stop` flushes first and its requests to the transaction coordinator repeat for ever, so with the
brokers away it never returns; nothing public ends it. All use of aiokafka's private parts is in this file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

POLITE_TIMEOUT_S: Final = 2.0


async def dispose(producer: AIOKafkaProducer) -> None:
    """Stop a producer, by force where it would wait for a broker that is away."""
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait([stopping], timeout=POLITE_TIMEOUT_S)
    while not stopping.done():
        for task in (stopping, *_tasks_of(producer._sender)):  # noqa: SLF001 - see the module's docstring
            task.cancel()
        await asyncio.wait([stopping], timeout=0.05)
    if stopping.cancelled() or stopping.exception() is not None:
        await producer.client.close()
    _mark_seen(producer)


def _tasks_of(sender: Any) -> list[asyncio.Task[Any]]:
    """Find the tasks that run methods of a sender; it keeps no list of them."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and frame.f_locals.get("self") is sender:
            found.append(task)
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
