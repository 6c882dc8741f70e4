"""An ADS server of our own in both variants, over a real grpc.aio server, that misbehaves on demand.

What it does when it behaves is what go-control-plane's snapshot cache does: it answers the first request of a type and
every change of names, and pushes when its resources change: everything in the state-of-the-world variant, the
differences in delta.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from schemas import xds
from tests.peers.ads_stream import DeltaStream, SotWStream, Stream
from tests.peers.misbehaviour import Misbehaviour

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHODS = {"StreamAggregatedResources": SotWStream, "DeltaAggregatedResources": DeltaStream}
NAME_FIELDS = {xds.CLUSTER_LOAD_ASSIGNMENT: "cluster_name"}
LEAVING_S = 5.0


def build(type_url, data):
    """Make a resource from proto3 JSON data."""
    return xds.from_json(data, xds.message_class(type_url)())


class ADSPeer:
    """The server: settable resources, a record of all requests, and misbehaviour.

    Attributes:
        resources: by type and name, what is served; a type that is not in here is never answered.
        replicas: instead of `resources`, one such table for every connection in turn.
        versions: by type, the version of its next response.
        bumps: by type, how often its resources got a new version for nothing.
    """

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, object]] = {}
        self.replicas: list[dict[str, dict[str, object]]] = []
        self.versions: dict[str, int] = defaultdict(int)
        self.bumps: dict[str, int] = defaultdict(int)
        self.misbehaviour = Misbehaviour()
        self.refuses: grpc.StatusCode | None = None
        self.requests: list = []
        self.metadata: list[dict[str, str]] = []
        self.streams: list[Stream] = []
        self.port = 0
        self._packed: dict[int, tuple[object, object, str]] = {}
        self._nonces = count(1)
        self._server: grpc.aio.Server | None = None
        self._leaving: asyncio.Future[None] | None = None
        self._recorded = asyncio.Condition()
        self._notices: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen on the port it had before, or on a free one."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        handlers = {
            method: grpc.stream_stream_rpc_method_handler(self._serving(kind)) for method, kind in METHODS.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        if credentials is None:
            self.port = self._server.add_insecure_port(self.address)
        else:
            self.port = self._server.add_secure_port(self.address, credentials)
        await self._server.start()

    async def stop(self) -> None:
        """Stop at once; streams break."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
            self.streams.clear()
        if self._leaving is not None:
            await self._leaving

    async def go_away(self) -> None:
        """Tell the clients to go, as at the age limit of a connection; their streams go on, and new ones are taken."""
        leaving = self._server
        self._leaving = asyncio.ensure_future(leaving.stop(LEAVING_S))
        await asyncio.sleep(0)  # it stops to listen before it waits for its streams
        await self.start()

    def _serving(self, kind: type[Stream]):
        async def serve(_requests, context) -> None:
            await self._serve(kind, context)

        return serve

    async def _serve(self, kind: type[Stream], context) -> None:
        tables = self.replicas or [self.resources]
        stream = kind(self, context, tables[len(self.metadata) % len(tables)])
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        self.streams.append(stream)
        if self.refuses is not None:
            await context.read()  # grpc.aio loses the status when its client is still writing
            await self._notify()
            await context.abort(self.refuses, "refused")
        try:
            await stream.run()
        finally:
            stream.ended.set()
            self.streams = [other for other in self.streams if other is not stream]

    # What a test sets

    async def set(self, type_url: str, *messages) -> None:
        """Replace all resources of a type and push them to whoever asked for that type."""
        self.resources[type_url] = {self.name_of(message): message for message in messages}
        self._packed = {key: held for key, held in self._packed.items() if xds.type_url_of(held[0]) != type_url}
        await self._push(type_url)

    async def bump(self, type_url: str) -> None:
        """Push a type again under a new version, and new versions of its resources, though nothing has changed."""
        self.bumps[type_url] += 1
        await self._push(type_url)

    async def _push(self, type_url: str) -> None:
        self.versions[type_url] += 1
        for stream in self._live():
            if type_url in stream.names:
                await stream.push(type_url)

    async def replace(self, message) -> None:
        """Change one resource and push it alone, in both variants, as Istio does with endpoints."""
        type_url = xds.type_url_of(message)
        self.resources[type_url][self.name_of(message)] = message
        self.versions[type_url] += 1
        await self.say(type_url, message)

    async def say(self, type_url: str, *messages, removed: tuple[str, ...] = ()) -> None:
        """Send on every stream a response of exactly these resources, whatever is served or asked for."""
        for stream in self._live():
            await stream.send(stream.made(type_url, list(messages), list(removed)))

    async def write(self, body: bytes) -> None:
        """Send bytes that may be anything on every stream."""
        for stream in self._live():
            await stream.write(body)

    def kick(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, details: str = "kicked") -> None:
        """End every stream."""
        for stream in self._live():
            stream.shut(code, details)

    def _live(self) -> list[Stream]:
        return [stream for stream in self.streams if not stream.end.done()]

    # What its streams need

    @staticmethod
    def name_of(message) -> str:
        """Give the name of a resource."""
        return getattr(message, NAME_FIELDS.get(xds.type_url_of(message), "name"))

    def next_nonce(self) -> str:
        """Give a nonce that was never sent before."""
        return f"n{next(self._nonces)}"

    def packed(self, message) -> tuple[object, str]:
        """Give a resource as an Any, and a digest of it."""
        held = self._packed.get(id(message))
        if held is None:
            body = xds.pack(message)
            held = message, body, blake2b(body.value, digest_size=8).hexdigest()
            self._packed[id(message)] = held
        return held[1:]

    # What a test looks at

    def image(self) -> dict[tuple[str, str], object]:
        """Give everything that is served, by type and name."""
        return {(type_url, name): body for type_url, held in self.resources.items() for name, body in held.items()}

    def record(self, request) -> None:
        """Note a request."""
        self.requests.append(request)
        notice = asyncio.ensure_future(self._notify())
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    async def _notify(self) -> None:
        async with self._recorded:
            self._recorded.notify_all()

    async def until(self, predicate: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until the requests so far fulfil a predicate."""
        async with asyncio.timeout(timeout_s), self._recorded:
            await self._recorded.wait_for(predicate)

    async def until_quiet(self, window_s: float = 0.15, timeout_s: float = 10.0) -> None:
        """Wait until nobody has requested anything for a while, which somebody in a hot loop never does."""
        async with asyncio.timeout(timeout_s):
            while True:
                count_before = len(self.requests)
                try:
                    await self.until(lambda: len(self.requests) > count_before, window_s)  # noqa: B023 - used at once
                except TimeoutError:
                    return

    def of(self, type_url: str) -> list:
        """All requests of a type."""
        return [request for request in self.requests if request.type_url == type_url]

    def acks(self, type_url: str) -> list:
        """The requests of a type that accept a response."""
        return [r for r in self.of(type_url) if r.response_nonce and not r.HasField("error_detail")]

    def nacks(self, type_url: str) -> list:
        """The requests of a type that reject a response."""
        return [r for r in self.of(type_url) if r.HasField("error_detail")]
