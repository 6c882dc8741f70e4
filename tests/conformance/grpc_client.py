"""A gRPC client of the agent, on grpcio: another implementation than the one that serves. Its watches are recorded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import grpc

from schemas.etcd import message_class
from tests.conformance.validators import Event, Line, Recording
from tests.conformance.watch_client import DEADLINE_S, PREFIX, PREFIX_END

if TYPE_CHECKING:
    from tests.conformance.watch_client import Client

WATCH = "/etcdserverpb.Watch/Watch"


def read_line(response: Any) -> Line:
    """Read a WatchResponse as the line it would be over HTTP."""
    events = tuple(
        Event(event.kv.key, None if event.type == 1 else event.kv.value, event.kv.mod_revision)
        for event in response.events
    )
    return Line(response.header.revision, events, response.created, response.canceled, response.compact_revision)


class GRPCWatch:
    """One watch with a stream of its own."""

    def __init__(self, call: Any, recording: Recording) -> None:
        self.call = call
        self.recording = recording

    async def send(self, **fields: Any) -> None:
        """Send a WatchRequest."""
        await self.call.write(message_class("WatchRequest")(**fields).SerializeToString())

    async def create(self, **fields: Any) -> None:
        """Send a WatchCreateRequest."""
        await self.send(create_request=message_class("WatchCreateRequest")(**fields))

    async def response(self) -> Any:
        """Give the next WatchResponse."""
        async with asyncio.timeout(DEADLINE_S):
            data = await self.call.read()
        assert data is not grpc.aio.EOF
        return message_class("WatchResponse").FromString(data)

    async def line(self) -> Line:
        """Give the next response of the one watch, recorded."""
        line = read_line(await self.response())
        self.recording.lines.append(line)
        return line


class GRPCClient:
    """A channel to one agent.

    Args:
        client: where the recordings go, so that they are validated together with those over HTTP.
        port: of the agent.
    """

    def __init__(self, client: Client, port: int) -> None:
        self._client = client
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    async def ask(self, method: str, request: str, response: str, /, **fields: Any) -> Any:
        """Make a unary call."""
        call = self.channel.unary_unary(f"/etcdserverpb.{method}")
        data = await call(message_class(request)(**fields).SerializeToString(), timeout=DEADLINE_S)
        return message_class(response).FromString(data)

    def stream(self, path: str = WATCH) -> Any:
        """Open a bidirectional call."""
        return self.channel.stream_stream(path)()

    async def watch(self, start_revision: int = 0, node: str = "node", **fields: Any) -> GRPCWatch:
        """Open a watch of everything and read as far as its `created`."""
        recording = Recording(PREFIX, PREFIX_END, start_revision, node, is_filtered=bool(fields))
        watch = GRPCWatch(self.stream(), recording)
        await watch.create(key=PREFIX, range_end=PREFIX_END, start_revision=start_revision, **fields)
        created = await watch.line()
        assert created.is_created
        assert not created.events
        self._client.recordings.append(recording)
        self._client.headers.append(created.header_revision)
        return watch
