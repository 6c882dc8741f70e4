"""Follows the bundles topic: log -> replica. Whatever happens to the log, the replica keeps what it has (law 7)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from agent.pace import RouterPace
from agent.store.store import GenesisChangedError, MissingGenesisError
from pipeline.backoff import Backoff
from pipeline.log.contract import BrokenTopicError, LogUnreachableError, OffsetBelowStartError
from schemas.codec import UnreadableRecordError, decode
from schemas.keys import GENESIS_KEY
from schemas.records import Genesis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.replica import Replica
    from pipeline.log.contract import Log, Record

LOGGER = logging.getLogger("meshferry.agent")
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 10.0
MAX_TURN_RECORDS = 256
"""Records replayed in one turn of the loop, so that other connections get theirs."""

MAX_JOINED_RECORDS = 10_000
"""Where waiting for the router's pace ends whatever it says: what waits is held in memory."""


@asynccontextmanager
async def _closing(batches: AsyncIterator[Sequence[Record]]) -> AsyncIterator[AsyncIterator[Sequence[Record]]]:
    """Let a reader go at once when its loop is left early: it may hold a connection to a broker."""
    try:
        yield batches
    finally:
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()


async def _next(batches: AsyncIterator[Sequence[Record]]) -> Sequence[Record]:
    """Make a coroutine of `anext`, which is none, so that a task can wait for it."""
    return await anext(batches)


class Patience(NamedTuple):
    """How long a topic that was created again must be quiet before units it does not mention count as gone.

    Its producer fills it record by record: what is there at first sight is only a part (law 7).
    """

    quiet_s: float = 2.0
    max_s: float = 30.0


DEFAULT_PATIENCE = Patience()


class Follower:
    """One replica's reader.

    Args:
        log: the log, connected.
        topic: the bundles topic.
        replica: written to.
        changed: called when `is_live` may have changed.
        patience: see there.
        pace: how often routes may change.

    Attributes:
        is_live: whether the log answers and everything it has was read.
        target_offset: the newest offset seen in the topic, -1 before the first answer.
    """

    def __init__(
        self,
        log: Log,
        topic: str,
        replica: Replica,
        changed: Callable[[], None],
        patience: Patience = DEFAULT_PATIENCE,
        *,
        pace: RouterPace | None = None,
    ) -> None:
        self.is_live = False
        self.target_offset = -1
        self._log = log
        self._topic = topic
        self._replica = replica
        self._changed = changed
        self._patience = patience
        self._pace = pace or RouterPace(0, replica.store.prefix)
        self._backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, random.random)
        self._reason = ""
        self._must_read_all = bool(replica.store.image.rejected)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except (OffsetBelowStartError, GenesisChangedError) as error:
                LOGGER.warning("%s: reading it all again: %s", self._topic, error)
                self._must_read_all = True
            except (LogUnreachableError, BrokenTopicError, MissingGenesisError) as error:
                self._report(error)
            self._set_live(is_live=False)
            await asyncio.sleep(self._backoff.next_s())

    def _report(self, error: Exception) -> None:
        """Say why the log gives nothing, once as long as the reason is the same."""
        reason, level = str(error).removeprefix(f"{self._topic}: "), logging.WARNING
        if isinstance(error, MissingGenesisError) and self.target_offset < 0:
            reason, level = "no translator has written yet", logging.INFO
        if reason == self._reason:
            level = logging.DEBUG
        self._reason = reason
        state = "serving the last good state" if self._replica.store.image.is_ready else "no state to serve yet"
        LOGGER.log(level, "%s: %s; %s, trying again", self._topic, reason, state)

    def _set_live(self, *, is_live: bool) -> None:
        self.is_live = is_live
        self._changed()

    async def _follow(self) -> None:
        ends = await self._log.ends(self._topic)
        if ends.next == ends.start:
            await self._wait_for_first(ends.start)
            ends = await self._log.ends(self._topic)
        self.target_offset = ends.next - 1
        provenance = self._replica.store.image.provenance
        genesis = await self._genesis(ends.start)
        is_same_life = provenance is not None and genesis is not None and provenance.genesis_id == genesis.id
        if provenance is not None and is_same_life and not self._must_read_all and provenance.offset < ends.next:
            next_offset = provenance.offset + 1
        else:
            next_offset = await self._read_all(ends.start, is_same_life=is_same_life)
        self._backoff.reset()
        self._reason = ""
        self._set_live(is_live=True)
        async with (
            _closing(self._log.follow(self._topic, next_offset)) as batches,
            _closing(self._paced(batches)) as paced,
        ):
            async for batch in paced:
                await self._replay(batch)

    async def _paced(self, batches: AsyncIterator[Sequence[Record]]) -> AsyncGenerator[Sequence[Record]]:
        """Give batches as they come; while the router must not be built again what comes is joined."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Task[Sequence[Record]] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(_next(batches))
                joined = list(await coming)
                coming = None
                while (wait_s := self._pace.wait_s(loop.time())) and len(joined) < MAX_JOINED_RECORDS:
                    coming = coming or asyncio.ensure_future(_next(batches))
                    await asyncio.wait({coming}, timeout=wait_s)
                    if coming.done():
                        joined += coming.result()
                        coming = None
                yield joined
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})

    async def _wait_for_first(self, start: int) -> None:
        """Wait until the topic has a record at all; what was served before is served on (law 7)."""
        LOGGER.info("%s: empty so far, waiting for a translator", self._topic)
        async with _closing(self._log.follow(self._topic, start)) as batches:
            await anext(batches)

    async def _genesis(self, start: int) -> Genesis | None:
        """Read the genesis, the topic's first record; None if that cannot be read."""
        async with _closing(self._log.read(self._topic, start)) as batches:
            batch = await anext(batches, None)  # an empty tuple as the default trips CPython 3.11
        if not batch or batch[0].key != GENESIS_KEY or batch[0].value is None:
            return None
        try:
            return decode(batch[0].value, Genesis)
        except UnreadableRecordError:
            return None

    async def _read_all(self, start: int, *, is_same_life: bool) -> int:
        """Read the whole topic and make the replica equal to it; returns the offset to go on from."""
        store = self._replica.store
        self._replica.begin_snapshot()
        try:
            next_offset = await self._read(start)
            if store.image.is_ready and not (is_same_life and store.has_read_units):
                next_offset = await self._read_until_quiet(next_offset)
            self._replica.finish_snapshot()
        except BaseException:
            store.abandon_snapshot()
            raise
        self._must_read_all = False
        return next_offset

    async def _read(self, start: int) -> int:
        next_offset = start
        async with _closing(self._log.read(self._topic, start)) as batches:
            async for batch in batches:
                await self._replay(batch)
                next_offset = batch[-1].offset + 1
        return next_offset

    async def _read_until_quiet(self, next_offset: int) -> int:
        """Read on until the topic has units and nothing more comes for a while; never take an empty topic for news."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._patience.max_s
        while True:
            await asyncio.sleep(self._patience.quiet_s)
            before, next_offset = next_offset, await self._read(next_offset)
            is_quiet = next_offset == before or loop.time() > deadline_s
            if is_quiet and self._replica.store.has_read_units:
                return next_offset

    async def _replay(self, batch: Sequence[Record]) -> None:
        records = iter(batch)
        while turn := list(islice(records, MAX_TURN_RECORDS)):
            self.target_offset = max(self.target_offset, turn[-1].offset)
            changes = self._replica.replay((record.offset, record.key, record.value) for record in turn)
            self._pace.count(changes, asyncio.get_running_loop().time())
            self._changed()
            if len(turn) == MAX_TURN_RECORDS:
                await asyncio.sleep(0)
