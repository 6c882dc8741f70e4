"""A log in memory: offsets that rise, one topic or more, a switch that makes it unreachable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from pipeline.log.contract import (
    BrokenTopicError,
    Ends,
    LogUnreachableError,
    NewRecord,
    OffsetBelowStartError,
    Record,
)
from schemas.codec import encode
from schemas.records import Bundle, BundleClass, EtcdObject, Genesis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CREATED_MS = 1_790_000_000_000


def genesis(created_ms: int = CREATED_MS, life: str = "life-1") -> bytes:
    return encode(Genesis("shop", created_ms, life))


def bundle(key: str, seq: int, objects: dict[str, bytes]) -> bytes:
    carried = tuple(EtcdObject(name, value) for name, value in objects.items())
    return encode(Bundle(key, BundleClass.ROUTING, seq, carried, ()))


class MemoryLog:
    """What the agent needs of `pipeline.log.contract.Log`."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Record]] = {}
        self.starts: dict[str, int] = {}
        self.is_reachable = True
        self._grown = asyncio.Condition()
        self._next: dict[str, int] = {}

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[int]:
        self._check()
        offsets = []
        for record in records:
            offset = self._next.get(topic, 0)
            self._next[topic] = offset + 1
            self.topics.setdefault(topic, []).append(Record(offset, record.key, record.value, 0, record.headers))
            offsets.append(offset)
        async with self._grown:
            self._grown.notify_all()
        return offsets

    async def put(self, topic: str, key: str, value: bytes | None) -> int:
        return (await self.append(topic, [NewRecord(key, value)]))[0]

    def create_again(self, topic: str) -> None:
        self.topics[topic], self._next[topic] = [], 0

    async def cut_off(self) -> None:
        self.is_reachable = False
        async with self._grown:
            self._grown.notify_all()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def writer(self, _name: str) -> MemoryLog:
        self._check()
        return self

    async def close(self) -> None:
        return None

    async def ends(self, topic: str) -> Ends:
        self._check()
        if topic not in self.topics:
            raise BrokenTopicError(f"{topic}: no such topic")
        return Ends(self._start(topic), self._next.get(topic, 0))

    async def read(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        self._check()
        self._check_start(topic, start)
        found = [record for record in self.topics[topic] if record.offset >= start]
        for first in range(0, len(found), 100):
            yield found[first : first + 100]

    async def follow(self, topic: str, start: int) -> AsyncIterator[Sequence[Record]]:
        self._check_start(topic, start)
        while True:
            self._check()
            found = [record for record in self.topics[topic] if record.offset >= start]
            if found:
                start = found[-1].offset + 1
                yield found
                continue
            async with self._grown:
                while self.is_reachable and self._next.get(topic, 0) <= start:
                    await self._grown.wait()

    def compact(self, topic: str) -> None:
        last = {record.key: record for record in self.topics[topic]}
        self.topics[topic] = sorted(last.values())

    def _start(self, topic: str) -> int:
        return self.topics[topic][0].offset if self.topics[topic] else self._next.get(topic, 0)

    def _check_start(self, topic: str, start: int) -> None:
        if start < self._start(topic):
            raise OffsetBelowStartError(topic, start, self._start(topic))

    def _check(self) -> None:
        if not self.is_reachable:
            raise LogUnreachableError("the log is cut off")
