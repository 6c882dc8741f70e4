"""A state-of-the-world ADS server of our own, over a real grpc.aio server, that misbehaves on demand.

What it does when it behaves is what go-control-plane's snapshot cache does: it answers the first request of a type and
every change of names, ignores requests with a stale nonce, and pushes when its resources change.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
WILDCARD_TYPES = {xds.CLUSTER, xds.LISTENER}
NAME_FIELDS = {xds.CLUSTER_LOAD_ASSIGNMENT: "cluster_name"}
REQUEST = xds.message_class("envoy.service.discovery.v3.DiscoveryRequest")
RESPONSE = xds.message_class("envoy.service.discovery.v3.DiscoveryResponse")


def build(type_url, data):
    """Make a resource from proto3 JSON data."""
    return xds.from_json(data, xds.message_class(type_url)())


def name_of(message) -> str:
    return getattr(message, NAME_FIELDS.get(xds.type_url_of(message), "name"))


@dataclass
class Misbehaviour:
    """What the peer does wrong; everything off by default."""

    silent: set[str] = field(default_factory=set)
    """Types that are never answered."""
    repeats_nonce: bool = False
    """Every response carries the same nonce, and no request's nonce is looked at."""
    doubles: set[str] = field(default_factory=set)
    """Types whose responses hold every resource twice."""
    resends_on_nack: bool = False
    """A NACK is answered at once with the same again, as go-control-plane does."""
    sends_unasked: list[str] = field(default_factory=list)
    """Types pushed, in this order, before the first request of a stream is answered."""
    sends_everything: bool = False
    """Named types are answered with resources that were not asked for too."""


class Stream:
    """One stream of one client."""

    def __init__(self, peer: ADSPeer, context) -> None:
        self.peer = peer
        self.context = context
        self.node_id = ""
        self.names: dict[str, list[str]] = {}
        self.nonces: dict[str, str] = {}
        self.end: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        while True:
            reading = asyncio.ensure_future(self.context.read())
            await asyncio.wait({reading, self.end}, return_when=asyncio.FIRST_COMPLETED)
            if self.end.done():
                reading.cancel()
                await self.context.abort(*self.end.result())
            body = reading.result()
            if body is grpc.aio.EOF:
                return
            await self._receive(REQUEST.FromString(body))

    async def _receive(self, request) -> None:
        self.node_id = request.node.id or self.node_id
        behaviour = self.peer.misbehaviour
        is_first_of_stream = not self.names
        type_url = request.type_url
        names = list(request.resource_names)
        is_first, is_changed = type_url not in self.names, self.names.get(type_url) != names
        is_stale = not is_first and request.response_nonce != self.nonces.get(type_url, "")
        if not (is_stale and not behaviour.repeats_nonce):
            self.names[type_url] = names
        self.peer.record(request)
        if is_first_of_stream:
            for unasked in behaviour.sends_unasked:
                await self.push(unasked)
        if is_stale and not behaviour.repeats_nonce:
            return
        is_nack = request.HasField("error_detail")
        if type_url not in WILDCARD_TYPES and not names:
            return
        if is_first or is_changed or (is_nack and behaviour.resends_on_nack):
            await self.push(type_url)

    async def push(self, type_url: str) -> None:
        if type_url not in self.peer.misbehaviour.silent and type_url in self.peer.resources:
            await self.send(self.peer.response(type_url, self.names.get(type_url, [])))

    async def send(self, response) -> None:
        self.nonces[response.type_url] = response.nonce
        async with self._writing:
            await self.context.write(response.SerializeToString())


class ADSPeer:
    """The server: settable resources, a record of all requests, and misbehaviour."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, object]] = {}
        self.versions: dict[str, int] = defaultdict(int)
        self.misbehaviour = Misbehaviour()
        self.refuses: grpc.StatusCode | None = None
        self.requests: list = []
        self.metadata: list[dict[str, str]] = []
        self.streams: list[Stream] = []
        self.port = 0
        self._nonces = count(1)
        self._server: grpc.aio.Server | None = None
        self._recorded = asyncio.Condition()
        self._notices: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """Listen on the port it had before, or on a free one."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        handler = grpc.stream_stream_rpc_method_handler(self._serve)
        handlers = grpc.method_handlers_generic_handler(SERVICE, {"StreamAggregatedResources": handler})
        self._server.add_generic_rpc_handlers((handlers,))
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

    async def _serve(self, _requests, context) -> None:
        stream = Stream(self, context)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        self.streams.append(stream)
        if self.refuses is not None:
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
        self.resources[type_url] = {name_of(message): message for message in messages}
        await self.bump(type_url)

    async def bump(self, type_url: str) -> None:
        """Push a type again under a new version, whether its content changed or not."""
        self.versions[type_url] += 1
        for stream in list(self.streams):
            if type_url in stream.names:
                await stream.push(type_url)

    async def send(self, response) -> None:
        """Send a response of the test's own making on every stream."""
        for stream in list(self.streams):
            await stream.send(response)

    def kick(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, details: str = "kicked") -> None:
        """Reset every stream."""
        for stream in self.streams:
            if not stream.end.done():
                stream.end.set_result((code, details))

    def response(self, type_url: str, names: list[str]):
        held = self.resources[type_url]
        gives_all = type_url in WILDCARD_TYPES or self.misbehaviour.sends_everything
        chosen = list(held.values()) if gives_all else [held[name] for name in names if name in held]
        if type_url in self.misbehaviour.doubles:
            chosen *= 2
        nonce = "same" if self.misbehaviour.repeats_nonce else f"n{next(self._nonces)}"
        return RESPONSE(
            type_url=type_url,
            version_info=str(self.versions[type_url]),
            nonce=nonce,
            resources=[xds.pack(message) for message in chosen],
        )

    # What a test looks at

    def record(self, request) -> None:
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

    def of(self, type_url: str) -> list:
        """All requests of a type."""
        return [request for request in self.requests if request.type_url == type_url]

    def acks(self, type_url: str) -> list:
        """The requests of a type that accept a response."""
        return [r for r in self.of(type_url) if r.response_nonce and not r.HasField("error_detail")]

    def nacks(self, type_url: str) -> list:
        """The requests of a type that reject a response."""
        return [r for r in self.of(type_url) if r.HasField("error_detail")]
