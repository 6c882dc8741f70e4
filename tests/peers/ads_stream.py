"""One stream of one client of tests/peers/ads.py, in either variant."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from schemas import xds
from tests.peers.misbehaviour import Nonces

if TYPE_CHECKING:
    from tests.peers.ads import ADSPeer

WILDCARD_TYPES = {xds.CLUSTER, xds.LISTENER}
WILDCARD = "*"
REQUEST = xds.message_class("envoy.service.discovery.v3.DiscoveryRequest")
RESPONSE = xds.message_class("envoy.service.discovery.v3.DiscoveryResponse")
DELTA_REQUEST = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryRequest")
DELTA_RESPONSE = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
RESOURCE = xds.message_class("envoy.service.discovery.v3.Resource")
ANY = xds.message_class("google.protobuf.Any")
HUGE_NONCE_CHARS = 100_000


class Stream(ABC):
    """What is asked for, and what was answered last.

    Attributes:
        peer: whose it is.
        resources: what it is served, by type and name.
        node_id: who asked for it.
        names: what is subscribed to, by type; a type that is in here was asked for.
        nonces: the last one sent, by type.
        end: set it to end the stream.
        ended: it has ended.
    """

    request_class = REQUEST

    def __init__(self, peer: ADSPeer, context, resources: dict[str, dict[str, object]]) -> None:
        self.peer = peer
        self.context = context
        self.resources = resources
        self.node_id = ""
        self.names: dict[str, list[str]] = {}
        self.nonces: dict[str, str] = {}
        self.end: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._waiting: list[str] = []
        self._response_count = 0
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Serve until the client has enough or `end` is set."""
        while True:
            reading = asyncio.ensure_future(self.context.read())
            await asyncio.wait({reading, self.end}, return_when=asyncio.FIRST_COMPLETED)
            if self.end.done():
                reading.cancel()
                code, details = self.end.result()
                if code is grpc.StatusCode.OK:
                    return
                await self.context.abort(code, details)
            body = reading.result()
            if body is grpc.aio.EOF:
                return
            await self._receive(self.request_class.FromString(body))

    async def _receive(self, request) -> None:
        self.node_id = request.node.id or self.node_id
        is_first_of_stream = not self.names
        is_due = self._take(request)
        self.peer.record(request)
        if is_first_of_stream:
            for unasked in self.peer.misbehaviour.sends_unasked:
                await self.push(unasked)
        if not is_due:
            return
        self._waiting.append(request.type_url)
        if len(self.names) >= self.peer.misbehaviour.answers_backwards:
            waiting, self._waiting = self._waiting[::-1], []
            for type_url in waiting:
                await self.push(type_url, is_answer=True)

    async def push(self, type_url: str, *, is_answer: bool = False) -> None:
        """Send what there is of a type, unless there is nothing to say."""
        if type_url in self.peer.misbehaviour.silent or type_url not in self.resources:
            return
        response = self.response(type_url, is_answer=is_answer)
        if response is not None:
            await self.send(response)

    async def send(self, response) -> None:
        """Send a response as it is."""
        self.nonces[response.type_url] = response.nonce
        await self.write(response.SerializeToString())
        self._response_count += 1
        if self._response_count == self.peer.misbehaviour.shuts_after:
            self.shut(grpc.StatusCode.OK, "")

    async def write(self, body: bytes) -> None:
        """Send bytes that may be anything; to nobody, when the client has gone in the meantime."""
        async with self._writing:
            with suppress(grpc.aio.BaseError):
                await self.context.write(body)

    def shut(self, code: grpc.StatusCode, details: str) -> None:
        """End the stream from this side."""
        if not self.end.done():
            self.end.set_result((code, details))

    def nonce(self, type_url: str) -> str:
        """Give the nonce of the next response."""
        fresh = self.peer.next_nonce()
        match self.peer.misbehaviour.nonces:
            case Nonces.FRESH:
                return fresh
            case Nonces.SAME:
                return "same"
            case Nonces.OLD:
                return self.nonces.get(type_url, "old")
            case Nonces.EMPTY:
                return ""
            case Nonces.HUGE:
                return fresh.ljust(HUGE_NONCE_CHARS, "n")

    def chosen(self, type_url: str) -> dict[str, object]:
        """Give the resources of a type that this client is served."""
        held = self.resources[type_url]
        names = self.names.get(type_url, [])
        gives_all = type_url in WILDCARD_TYPES or WILDCARD in names or self.peer.misbehaviour.sends_everything
        return held if gives_all else {name: held[name] for name in names if name in held}

    @abstractmethod
    def _take(self, request) -> bool:
        """Note what a request wants; tell whether it is to be answered."""

    @abstractmethod
    def response(self, type_url: str, *, is_answer: bool = False):
        """Make the next response of a type; None when there is nothing to say."""

    @abstractmethod
    def made(self, type_url: str, messages: list, removed: list[str]):
        """Make a response of exactly these resources."""


class SotWStream(Stream):
    """Answers the first request of a type and every change of names; ignores requests with a stale nonce."""

    def _take(self, request) -> bool:
        behaviour = self.peer.misbehaviour
        type_url = request.type_url
        names = list(request.resource_names)
        is_first, is_changed = type_url not in self.names, self.names.get(type_url) != names
        is_stale = not is_first and request.response_nonce != self.nonces.get(type_url, "")
        if is_stale and behaviour.nonces is Nonces.FRESH:
            return False
        self.names[type_url] = names
        if type_url not in WILDCARD_TYPES and not names:
            return False
        is_like_first = behaviour.nonces is Nonces.EMPTY and not request.response_nonce
        is_resent = behaviour.resends_on_nack and request.HasField("error_detail")
        return is_first or is_changed or is_like_first or is_resent

    def response(self, type_url: str, *, is_answer: bool = False):  # noqa: ARG002 - whatever the cause, it is all
        return self.made(type_url, list(self.chosen(type_url).values()), [])

    def made(self, type_url: str, messages: list, removed: list[str]):  # noqa: ARG002 - nothing says what is gone
        behaviour = self.peer.misbehaviour
        packed = [self.peer.packed(message)[0] for message in messages]
        if type_url in behaviour.doubles:
            packed *= 2
        if type_url in behaviour.garbles:
            packed += garbage(type_url)
        return RESPONSE(
            type_url=type_url,
            version_info=str(self.peer.versions[type_url]),
            nonce=self.nonce(type_url),
            resources=packed,
        )


class DeltaStream(Stream):
    """Answers with what the client lacks, and is silent when it lacks nothing or does not exist."""

    request_class = DELTA_REQUEST

    def __init__(self, peer: ADSPeer, context, resources: dict[str, dict[str, object]]) -> None:
        super().__init__(peer, context, resources)
        self._given: dict[str, dict[str, str]] = {}
        self._last: dict[str, set[str]] = {}

    def _take(self, request) -> bool:
        behaviour = self.peer.misbehaviour
        type_url, more = request.type_url, list(request.resource_names_subscribe)
        is_first = type_url not in self.names
        if is_first:
            self.names[type_url] = more or [WILDCARD]
            given = {} if behaviour.ignores_versions else request.initial_resource_versions
            self._given[type_url] = dict(given)
            return True
        less = set(request.resource_names_unsubscribe)
        if behaviour.nonces is Nonces.EMPTY and not (request.response_nonce or more or less):
            self._given[type_url].clear()  # like a first one
            return True
        self.names[type_url] = [name for name in self.names[type_url] if name not in less] + more
        for name in [*more, *less]:
            self._given[type_url].pop(name, None)
        if request.HasField("error_detail") and behaviour.resends_on_nack:
            for name in self._last.get(type_url, ()):
                self._given[type_url].pop(name, None)
            return True
        return bool(more)

    def response(self, type_url: str, *, is_answer: bool = False):
        chosen, given = self.chosen(type_url), self._given.setdefault(type_url, {})
        versions = {name: self.version(message) for name, message in chosen.items()}
        changed = [message for name, message in chosen.items() if given.get(name) != versions[name]]
        removed = [name for name in given if name not in chosen]
        is_first_of_wildcard = is_answer and type_url not in self._last and WILDCARD in self.names[type_url]
        if not (changed or removed or is_first_of_wildcard):
            return None
        return self.made(type_url, changed, removed)

    def made(self, type_url: str, messages: list, removed: list[str]):
        behaviour = self.peer.misbehaviour
        resources = [self.wrapped(message) for message in messages]
        given = self._given.setdefault(type_url, {})
        given.update({resource.name: resource.version for resource in resources})
        for name in removed:
            given.pop(name, None)
        self._last[type_url] = {resource.name for resource in resources}
        if type_url in behaviour.doubles:
            resources *= 2
        if type_url in behaviour.garbles:
            resources += [RESOURCE(resource=body) for body in garbage(type_url)]
        return DELTA_RESPONSE(
            type_url=type_url,
            system_version_info=str(self.peer.versions[type_url]),
            nonce=self.nonce(type_url),
            resources=resources,
            removed_resources=[*removed, *behaviour.removes],
        )

    def wrapped(self, message):
        """Give a resource as delta sends it."""
        name = self.peer.name_of(message)
        return RESOURCE(name=name, version=self.version(message), resource=self.peer.packed(message)[0])

    def version(self, message) -> str:
        """Give the version of a resource: a new one when its content or the peer's mind has changed."""
        return f"{self.peer.bumps[xds.type_url_of(message)]}-{self.peer.packed(message)[1]}"


def garbage(type_url: str) -> list:
    """Give what is no resource of a type: not its bytes, not its type, no type at all."""
    other = xds.SECRET if type_url != xds.SECRET else xds.CLUSTER
    return [ANY(type_url=type_url, value=b"\xff"), ANY(type_url=other, value=b""), ANY(value=b"\x00\xff")]
