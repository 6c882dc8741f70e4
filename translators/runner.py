"""The translator worker: units in, bundles out, exactly once. The only file here that knows the log and the clock."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.backoff import Backoff
from pipeline.headers import derived_headers
from pipeline.log import LogUnreachableError, NewRecord, WriterFencedError
from pipeline.topics import MAX_MESSAGE_BYTES, refuse_unfit, view_specs
from schemas import xds
from schemas.codec import decode, encode
from schemas.keys import GENESIS_KEY, TopicKind, revision_of, topic
from schemas.records import Genesis
from translators.unit_record import bundle_of, oversize_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.log import Log, Record
    from translators.policy import Policy
    from translators.reference import Reference

logger = logging.getLogger(__name__)

BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 10.0
MAX_BUNDLE_BYTES = MAX_MESSAGE_BYTES - 4096
"""Leaves room for key and headers below the limit of a record."""


class UnknownGenesisError(RuntimeError):
    """The first record of a units topic has not been seen; the worker reads it and starts over."""


@dataclass(frozen=True, slots=True)
class TranslatorOptions:
    """What a worker needs.

    Attributes:
        log: the log, not yet entered.
        policies: view name -> policy; the views this group translates.
        prefix: of topic names.
        group: workers of one group share the views.
        build: version that goes into the provenance of bundles.
        reference: the schemas of the nodes; None validates against our own alone.
    """

    log: Log
    policies: dict[str, Policy]
    prefix: str
    group: str
    build: str
    reference: Reference | None = None


async def run(options: TranslatorOptions) -> None:
    """Translate until cancelled; a log that goes away is waited for.

    Raises:
        BrokenTopicError: a topic is missing, or would lose records (cleanup.policy).
    """
    xds.make_classes()  # steps of several views run in threads, and two that make a class at once make two
    backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S, random.random)
    while True:
        try:
            async with options.log as log:
                await _translate(log, options, backoff)
        except (LogUnreachableError, WriterFencedError, UnknownGenesisError) as error:
            delay_s = backoff.next_s()
            logger.warning("translator: %s; trying again in %.1f s, bundles stay as they are", error, delay_s)
            await asyncio.sleep(delay_s)


async def _translate(log: Log, options: TranslatorOptions, backoff: Backoff) -> None:
    worker = Worker(options)
    specs = [spec for view in options.policies for spec in view_specs(options.prefix, view)]
    refuse_unfit(specs, await log.describe([spec.name for spec in specs]))
    for units in worker.sinks:
        await worker.learn(log, units)
    transform = log.transform(worker.sinks, options.group, worker.step)
    backoff.reset()
    try:
        await transform.run()
    finally:
        await transform.close()


class Worker:
    """Holds what a batch of records needs beside the records: the genesis of each units topic and the policy."""

    def __init__(self, options: TranslatorOptions) -> None:
        self._options = options
        self._views = {topic(options.prefix, view, TopicKind.UNITS): view for view in options.policies}
        self._genesis_ms: dict[str, int] = {}
        self.sinks = {units: topic(options.prefix, view, TopicKind.BUNDLES) for units, view in self._views.items()}

    async def learn(self, log: Log, units: str) -> None:
        """Learn the genesis of a units topic, and give the bundles topic one of its own while it is empty."""
        async for batch in log.read(units, (await log.ends(units)).start):
            self._replay_genesis(units, batch)
            if units in self._genesis_ms:
                break
        await self._begin(log, self.sinks[units], self._views[units])

    async def _begin(self, log: Log, bundles: str, view: str) -> None:
        if await _has_records(log, bundles):
            return
        writer = await log.writer(f"{bundles}.genesis")
        try:
            if not await _has_records(log, bundles):  # opening the writer has fenced whoever else was about to
                genesis = Genesis(view, time.time_ns() // 1_000_000, secrets.token_hex(8))
                await writer.append(bundles, [NewRecord(GENESIS_KEY, encode(genesis))])
        finally:
            await writer.close()

    def step(self, units: str, records: Sequence[Record]) -> list[NewRecord]:
        """Translate a batch of one units topic (law 3: each unit one bundle, a tombstone a tombstone).

        Raises:
            UnknownGenesisError: this worker took the topic over before it had seen its first record.
        """
        self._replay_genesis(units, records)
        if units not in self._genesis_ms:
            raise UnknownGenesisError(units)
        return [self._translated(units, record) for record in records if record.key != GENESIS_KEY]

    def _translated(self, units: str, record: Record) -> NewRecord:
        view = self._views[units]
        headers = derived_headers(record.headers, "bundle", f"/views/{view}/translator")
        if record.value is None:
            return NewRecord(record.key, None, headers)
        seq = revision_of(self._genesis_ms[units], record.offset)
        policy = self._options.policies[view]
        options = self._options
        bundle = bundle_of(record.key, record.value, policy, seq, options.build, reference=options.reference)
        value = encode(bundle)
        if len(value) > MAX_BUNDLE_BYTES:
            value = encode(oversize_bundle(record.key, len(value), seq))
        return NewRecord(record.key, value, headers)

    def _replay_genesis(self, units: str, records: Sequence[Record]) -> None:
        for record in records:
            if record.key == GENESIS_KEY and record.value is not None:
                self._genesis_ms[units] = decode(record.value, Genesis).created_ms


async def _has_records(log: Log, name: str) -> bool:
    async for _ in log.read(name, (await log.ends(name)).start):
        return True
    return False
