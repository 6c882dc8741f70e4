"""Clients that watch through anything and keep a copy of what they were told, as APISIX and clientv3 do."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Protocol

import orjson

from tests.conformance.validators import Reading, Recording
from tests.conformance.watch_client import PREFIX, PREFIX_END, Client, Watch, b64, close, range_body, read_head, request

RETRY_S = 0.02
PLACEHOLDER = b"init_dir"


class FollowerClient(Protocol):
    """One that follows; there may be one for each protocol the agent speaks.

    Attributes:
        values: its copy.
        revision: up to where it was told.
        recordings: its watches, in order.
        readings: its full Ranges.
        headers: the header revisions it saw, in order.
    """

    values: dict[bytes, bytes]
    revision: int
    recordings: list[Recording]
    readings: list[Reading]
    headers: list[int]

    async def follow(self) -> None:
        """Follow until cancelled."""
        ...


class HTTPFollower:
    """Follows over HTTP/1.1 and JSON: a full Range once, then watches from the revision after the last one told."""

    def __init__(self, port: int, number: int) -> None:
        self.values: dict[bytes, bytes] = {}
        self.revision = 0
        self.recordings: list[Recording] = []
        self.readings: list[Reading] = []
        self.headers: list[int] = []
        self._port = port
        self._node = f"follower-{number}"

    async def follow(self) -> None:
        while True:
            try:
                if not self.revision:
                    await self._read_all()
                await self._watch()
            except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
                pass
            await asyncio.sleep(RETRY_S)

    async def _read_all(self) -> None:
        """Read everything, as after a compaction."""
        answer = await Client().ask(self._port, "/v3/kv/range", range_body(PREFIX, PREFIX_END))
        if answer.status != 200:
            assert answer.status == 503, answer
            return
        self._take(answer.json)

    def _take(self, found: dict[str, Any]) -> None:
        values = {_bytes(kv["key"]): _bytes(kv["value"]) for kv in found["kvs"]}
        self.values = {key: value for key, value in values.items() if value != PLACEHOLDER}
        self.revision = int(found["header"]["revision"])
        self.headers.append(self.revision)
        self.readings.append(Reading(self.revision, self.values.copy()))

    async def _watch(self) -> None:
        """Watch until the connection ends or the watch is compacted."""
        if not self.revision:
            return
        start = self.revision + 1
        create = {"key": b64(PREFIX), "range_end": b64(PREFIX_END), "start_revision": start}
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(request("POST", "/v3/watch", orjson.dumps({"create_request": create})))
            async with asyncio.timeout(10):
                status, _ = await read_head(reader)
            if status != 200:
                assert status == 503, status
                return
            recording = Recording(PREFIX, PREFIX_END, start, self._node)
            watch = Watch(reader, writer, recording)
            self.recordings.append(recording)
            while await self._line(watch):
                pass
        finally:
            await close(writer)

    async def _line(self, watch: Watch) -> bool:
        line = await watch.line()
        if line.is_canceled:
            self.revision = 0
            return False
        self.headers.append(line.header_revision)
        for event in line.events:
            if event.value is None:
                self.values.pop(event.key, None)
            else:
                self.values[event.key] = event.value
        if line.events:
            self.revision = line.header_revision
        return True


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
