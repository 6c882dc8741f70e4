"""A follower over gRPC, as clientv3 does it: a Range once, then watches from the revision after the last one told."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from schemas.etcd import message_class
from tests.agent.torture.follower_client import PLACEHOLDER, RETRY_S
from tests.conformance.grpc_client import WATCH, read_line
from tests.conformance.validators import Line, Reading, Recording
from tests.conformance.watch_client import DEADLINE_S, PREFIX, PREFIX_END

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
]
_COMES_BACK = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class GRPCFollower:
    """Follows over gRPC with a channel of its own; see FollowerClient for its attributes."""

    def __init__(self, port: int, number: int) -> None:
        self.values: dict[bytes, bytes] = {}
        self.revision = 0
        self.recordings: list[Recording] = []
        self.readings: list[Reading] = []
        self.headers: list[int] = []
        self._port = port
        self._node = f"follower-{number}"

    async def follow(self) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options=_OPTIONS) as channel:
            while True:
                try:
                    if not self.revision:
                        await self._read_all(channel)
                    await self._watch(channel)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _COMES_BACK:
                        raise
                except (TimeoutError, asyncio.InvalidStateError):  # a stream that ended while it was written to
                    pass
                await asyncio.sleep(RETRY_S)

    async def _read_all(self, channel: grpc.aio.Channel) -> None:
        request = message_class("RangeRequest")(key=PREFIX, range_end=PREFIX_END)
        data = await channel.unary_unary("/etcdserverpb.KV/Range")(request.SerializeToString(), timeout=DEADLINE_S)
        found = message_class("RangeResponse").FromString(data)
        self.values = {kv.key: kv.value for kv in found.kvs if kv.value != PLACEHOLDER}
        self.revision = found.header.revision
        self.headers.append(self.revision)
        self.readings.append(Reading(self.revision, self.values.copy()))

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        start = self.revision + 1
        create = message_class("WatchCreateRequest")(key=PREFIX, range_end=PREFIX_END, start_revision=start)
        call: Any = channel.stream_stream(WATCH)()
        try:
            await call.write(message_class("WatchRequest")(create_request=create).SerializeToString())
            recording = Recording(PREFIX, PREFIX_END, start, self._node)
            while await self._line(call, recording):
                pass
        finally:
            call.cancel()

    async def _line(self, call: Any, recording: Recording) -> bool:
        async with asyncio.timeout(DEADLINE_S):
            data = await call.read()
        if data is grpc.aio.EOF:
            raise TimeoutError
        line = read_line(message_class("WatchResponse").FromString(data))
        if not recording.lines:
            self.recordings.append(recording)
        recording.lines.append(line)
        if line.is_canceled:
            self.revision = 0
            return False
        self._take(line)
        return True

    def _take(self, line: Line) -> None:
        self.headers.append(line.header_revision)
        for event in line.events:
            if event.value is None:
                self.values.pop(event.key, None)
            else:
                self.values[event.key] = event.value
        if line.events:
            self.revision = line.header_revision
