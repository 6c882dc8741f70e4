"""The producer: follows a source and writes units. The only file here that knows the log and the clock."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.backoff import Backoff
from pipeline.headers import new_traceparent, record_headers
from pipeline.log import BrokenTopicError, LogUnreachableError, NewRecord, WriterFencedError
from pipeline.topics import MAX_MESSAGE_BYTES, refuse_unfit, view_specs
from producers.control import APPROVAL_PREFIX, Control
from producers.publication import Publication
from producers.source import Changes
from producers.units import Removal
from schemas import xds
from schemas.codec import UnreadableRecordError, decode, encode
from schemas.keys import GENESIS_KEY, TopicKind, approval_key, topic
from schemas.records import Genesis, Unit
from schemas.sealed import resealed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from pipeline.log import Lead, Log, Writer
    from pipeline.seal import Sealer
    from producers.hold import GuardLimits
    from producers.source import Note, Source

    _Outputs = asyncio.Queue["Changes | Exception | _Ended"]

logger = logging.getLogger(__name__)

BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 10.0
MAX_TRANSACTION_BYTES = 4 << 20
CATCH_UP_MS = 1000
"""What another producer wrote within this time, this one's source may still have to say: it would take it back."""
RECORD_OVERHEAD_BYTES = 4096
"""Room for key, headers and framing below the limit of a record."""


class _Ended:
    """The source has nothing more to say."""


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """What a producer needs.

    Attributes:
        view: name of the view.
        source: where the view comes from.
        log: the log, not yet entered.
        prefix: of topic names.
        sealer: seals private keys; None leaves them in the clear, which only tests want.
        build: version that goes into the provenance of units.
        guard: what is held until it is approved; None holds no more than law 1 demands.
        started: called when this producer begins to lead, and again after the log was away.
    """

    view: str
    source: Source
    log: Log
    prefix: str
    sealer: Sealer | None
    build: str
    guard: GuardLimits | None = None
    started: Callable[[], None] | None = None


async def run(options: ProducerOptions) -> None:
    """Produce until cancelled, or until the source ends; a log that goes away is waited for.

    Of the producers of a view one leads and writes; the others stand by: they follow their sources and write nothing.

    Raises:
        BrokenTopicError: the units topic is missing, would lose records (cleanup.policy), or holds records this build
            cannot read.
    """
    xds.make_classes()  # a translator in this process uses them in other threads
    outputs: _Outputs = asyncio.Queue(maxsize=1)
    following = asyncio.create_task(_follow(options, outputs))
    producer = _Producer(options, outputs)
    backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, random.random)
    try:
        while True:
            try:
                async with options.log as log:
                    return await producer.produce(log, backoff)
            except LogUnreachableError as error:
                delay_s = backoff.next_s()
                text = "producer %s: %s; trying again in %.1f s, published units stay as they are"
                logger.warning(text, options.view, error, delay_s)
            except WriterFencedError as error:
                delay_s = backoff.next_s()
                logger.warning("producer %s: deposed: %s", options.view, error)
            await producer.stand_by(asyncio.sleep(delay_s))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        producer.close()


async def _follow(options: ProducerOptions, outputs: _Outputs) -> None:
    """Hand over changes one at a time: while the log is away the source waits, not the memory. Problems are logged."""
    stream = options.source.changes()
    try:
        async for output in stream:
            if isinstance(output, Changes):
                await outputs.put(output)
            else:
                logger.error("producer %s: %s; the last good state stays", options.view, output)
        await outputs.put(_Ended())
    except Exception as error:  # noqa: BLE001 - raised again by whoever takes it from the queue
        await outputs.put(error)
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


class _Producer:
    def __init__(self, options: ProducerOptions, outputs: _Outputs) -> None:
        self._options = options
        self._outputs = outputs
        self._units = topic(options.prefix, options.view, TopicKind.UNITS)
        seal = options.sealer.seal if options.sealer else None
        self._control_topic = topic(options.prefix, options.view, TopicKind.CONTROL)
        self._publication = Publication(options.view, seal, options.build, options.guard)
        self._control = Control()
        self._has_approvals = asyncio.Event()
        self._getting: asyncio.Task[Changes | Exception | _Ended] | None = None
        self._notes: frozenset[Note] = frozenset()
        self._name = f"{options.prefix}{options.view}.producer"
        self._role = ""
        self._has_ended = False
        self._is_done = False

    async def produce(self, log: Log, backoff: Backoff) -> None:
        """Lead whenever it is this producer's turn; return when the source has ended and all of it is written."""
        specs = [spec for spec in view_specs(self._options.prefix, self._options.view) if spec.name == self._units]
        refuse_unfit(specs, await log.describe([self._units]))
        lead = log.lead(self._units, self._name)
        try:
            while not self._is_done:
                await self.stand_by(lead.take())
                await self._publish(log, lead, backoff)
        finally:
            await lead.close()

    async def stand_by(self, until: Coroutine[Any, Any, None]) -> None:
        """Follow the source without writing until something has come about; its errors are raised."""
        self._publication.stand_by()
        self._turn_to("stands by")
        waiting = asyncio.create_task(until)
        try:
            while not waiting.done():
                self._take(await self._next(waiting))
            waiting.result()
        finally:
            await _cancelled(waiting)

    async def _publish(self, log: Log, lead: Lead, backoff: Backoff) -> None:
        """Bring the log to the state of the source and keep it there, as long as this producer leads."""
        writer = await log.writer(self._name)  # fences who led before; what he wrote is there to be read from now on
        losing = asyncio.create_task(lead.lost())
        try:
            if not await lead.is_held():
                return
            published, written_ms = await self._read_back(log, writer)
            fresh_ms = min(written_ms + CATCH_UP_MS - _now_ms(), CATCH_UP_MS)  # the log's clock may be ahead
            if fresh_ms > 0:
                await self.stand_by(asyncio.sleep(fresh_ms / 1000))
            self._turn_to("leads")
            control = asyncio.create_task(self._follow_control(log, await self._read_control(log)))
            try:
                units = self._publication.resume(published, _now_ms(), self._control.held.values())
                await self._settle(writer, units)
                backoff.reset()
                if self._options.started is not None:
                    self._options.started()
                await self._keep_up(writer, losing, control)
            finally:
                await _cancelled(control)
        finally:
            await _cancelled(losing)
            await writer.close()

    async def _keep_up(self, writer: Writer, losing: asyncio.Task[None], control: asyncio.Task[None]) -> None:
        while not self._has_ended:
            approving = asyncio.create_task(self._has_approvals.wait())
            try:
                units = self._take(await self._next(approving, losing, control))
            finally:
                approving.cancel()
            if control.done():
                control.result()
            if losing.done():
                losing.result()
                return  # what is not written now is found missing when this producer leads again
            await self._settle(writer, units)
        self._is_done = True

    async def _next(self, *others: asyncio.Task[Any]) -> Changes | None:
        """Wait for the source, until something held is due, or for one of the others; None for the latter two."""
        waiting: set[asyncio.Task[Any]] = set(others)
        if not self._has_ended:
            self._getting = self._getting or asyncio.create_task(self._outputs.get())
            waiting.add(self._getting)
        due_ms = self._publication.due_ms()
        timeout_s = None if due_ms is None else max(0, due_ms - _now_ms()) / 1000
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self._getting is None or not self._getting.done():
            return None
        output, self._getting = self._getting.result(), None
        if isinstance(output, Exception):
            raise output
        if isinstance(output, _Ended):
            self._has_ended = True
            return None
        return output

    def _turn_to(self, role: str) -> None:
        if role != self._role:
            self._role = role
            logger.info("producer %s: %s", self._options.view, role)

    def _take(self, changes: Changes | None) -> list[Unit | Removal]:
        if changes is None:
            return self._publication.release(_now_ms())
        units, problems = self._publication.apply(changes, _now_ms())
        self._say((*changes.notes, *self._publication.notes))
        for problem in problems:
            logger.error("producer %s: %s; its last good state stays", self._options.view, problem)
        return units

    async def _settle(self, writer: Writer, units: Sequence[Unit | Removal]) -> None:
        """Write units, and which others are held: that first, so that no restart takes a hold for nothing."""
        self._has_approvals.clear()
        await self._write_held(writer)
        await self._write(writer, units)
        if not self._publication.is_complete:
            return
        for fingerprint in list(self._control.approvals):
            released = self._publication.approve(fingerprint, _now_ms())
            if released is None:
                logger.warning("producer %s: approval %s: nothing such is held", self._options.view, fingerprint)
            await self._write(writer, released or ())
            await writer.append(self._control_topic, [NewRecord(approval_key(fingerprint), None)])
            self._control.approvals.pop(fingerprint, None)
            await self._write_held(writer)

    async def _write_held(self, writer: Writer) -> None:
        if not self._publication.is_complete:
            return
        for key, held in self._control.hold(self._publication.held()).items():
            if held is not None:
                text = "producer %s: %s held: %s; see `meshferry approve --list`"
                logger.warning(text, self._options.view, held.kind, held.reason)
            await writer.append(self._control_topic, [NewRecord(key, None if held is None else encode(held))])

    async def _read_control(self, log: Log) -> int:
        """Read what is held and what was approved meanwhile; give the offset to follow from."""
        ends = await log.ends(self._control_topic)
        self._control = Control()
        async for batch in log.read(self._control_topic, ends.start):
            for record in batch:
                self._control.replay(record.key, record.value)
        return ends.next

    async def _follow_control(self, log: Log, start: int) -> None:
        async for batch in log.follow(self._control_topic, start):
            for record in batch:
                if record.key.startswith(APPROVAL_PREFIX) and record.value is not None:
                    self._control.replay(record.key, record.value)
                    self._has_approvals.set()

    def close(self) -> None:
        """Stop waiting for the source."""
        if self._getting is not None:
            self._getting.cancel()

    def _say(self, notes: Iterable[Note]) -> None:
        """Log each note once while it lasts."""
        now = frozenset(notes)
        for note in sorted(now - self._notes, key=lambda note: (note.type_url, note.name, note.path)):
            place = f"{note.type_url.rpartition('.')[2]} {note.name}: {note.path}"
            logger.warning("producer %s: %s: %s: %s", self._options.view, note.code, place, note.message)
        self._notes = now

    async def _read_back(self, log: Log, writer: Writer) -> tuple[list[Unit], int]:
        """Give the units in the log, and when the newest record was written; 0 for an empty log, which is begun."""
        published: dict[str, Unit] = {}
        written_ms = 0
        async for batch in log.read(self._units, (await log.ends(self._units)).start):
            for record in batch:
                written_ms = record.time_ms
                if record.value is None:
                    published.pop(record.key, None)
                elif record.key != GENESIS_KEY:
                    published[record.key] = self._readable(record.key, record.value)
        if not written_ms:
            genesis = Genesis(self._options.view, _now_ms(), secrets.token_hex(8))
            await writer.append(self._units, [NewRecord(GENESIS_KEY, encode(genesis))])
        if self._options.sealer is not None:
            for unit in published.values():
                for resource in unit.resources:
                    self._options.sealer.remember(resource.body)
        return list(published.values()), written_ms

    def _readable(self, key: str, value: bytes) -> Unit:
        try:
            return decode(value, Unit)
        except UnreadableRecordError as error:
            raise BrokenTopicError(f"{self._units}: {key}: {error}; run the newer build, or empty the topic") from error

    async def _write(self, writer: Writer, units: Sequence[Unit | Removal]) -> None:
        trace_id, time_ms = secrets.token_bytes(16), _now_ms()
        records = [self._record(unit, f"{trace_id.hex()}-{n}", trace_id, time_ms) for n, unit in enumerate(units)]
        for batch in _batches([record for record in records if self._fits(record)]):
            await self._append(writer, batch)
        if units:
            removed_count = sum(isinstance(unit, Removal) for unit in units)
            text = "producer %s: %d units written, %d removed"
            logger.info(text, self._options.view, len(units) - removed_count, removed_count)

    def _record(self, unit: Unit | Removal, event_id: str, trace_id: bytes, time_ms: int) -> NewRecord:
        traceparent = new_traceparent(trace_id, secrets.token_bytes(8))
        source = f"/views/{self._options.view}/producer"
        headers = record_headers("unit", source, event_id, time_ms, traceparent)
        return NewRecord(unit.key, None if isinstance(unit, Removal) else encode(self._resealed(unit)), headers)

    def _resealed(self, unit: Unit) -> Unit:
        """Give a unit the tokens of the log: while standing by, this process has made its own for the same keys."""
        if self._options.sealer is None:
            return unit
        bodies = [resealed(resource.body, self._options.sealer.settled) for resource in unit.resources]
        pairs = zip(unit.resources, bodies, strict=True)
        resources = tuple(msgspec.structs.replace(resource, body=body) for resource, body in pairs)
        return msgspec.structs.replace(unit, resources=resources)

    def _fits(self, record: NewRecord) -> bool:
        if _size(record) <= MAX_MESSAGE_BYTES:
            return True
        self._report_size(record)
        return False

    async def _append(self, writer: Writer, batch: list[NewRecord]) -> None:
        """Write a batch; where the topic takes smaller records than ours, only those that are too large stay out."""
        try:
            await writer.append(self._units, batch)
        except BrokenTopicError:
            raise
        except ValueError:
            if len(batch) == 1:
                self._report_size(batch[0])
                return
            for record in batch:
                await self._append(writer, [record])

    def _report_size(self, record: NewRecord) -> None:
        text = "producer %s: OUT-SIZE: unit %s has %d bytes; its last good state stays; split it or raise %s"
        logger.error(text, self._options.view, record.key, _size(record), "max.message.bytes")


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _batches(records: Iterable[NewRecord]) -> Iterator[list[NewRecord]]:
    """Split into transactions; what belongs to one change is one transaction unless it is very large."""
    batch: list[NewRecord] = []
    size = 0
    for record in records:
        if batch and size + _size(record) > MAX_TRANSACTION_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += _size(record)
    if batch:
        yield batch


def _size(record: NewRecord) -> int:
    return len(record.key) + len(record.value or b"") + RECORD_OVERHEAD_BYTES


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
