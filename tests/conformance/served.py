"""The same tree on an agent and on a real etcd, so that a test can put the same question to both."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from agent.store.directory import DIRECTORIES
from tests.conformance.watch_client import Client, b64

if TYPE_CHECKING:
    from tests.conformance.running_agent import Shop
    from tests.conformance.watch_client import Answer, Watch

COMPARED_HEADERS = (
    "content-type",
    "grpc-metadata-content-type",
    "allow",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
)
"""Not compared: Date, Content-Length against chunks, Trailer, X-Content-Type-Options, which no client reads."""
_MASKS = (
    (
        re.compile(
            r'"(cluster_id|member_id|revision|raft_term|create_revision|mod_revision|compact_revision'
            r'|raftIndex|raftTerm|raftAppliedIndex|leader|dbSize|dbSizeInUse)":"-?\d+"'
        ),
        r'"\1":"*"',
    ),
    (re.compile(r'"TTL":"(59|60)"'), '"TTL":"60"'),
    (re.compile(r'"ID":"\d{12,}"'), '"ID":"*"'),
    (re.compile(r'"name":"[^"]*"'), '"name":"*"'),
    (re.compile(r'"(peerURLs|clientURLs)":\[[^\]]*\]'), r'"\1":["*"]'),
    (re.compile(r'"token":"[^"]+"'), '"token":"*"'),
    (re.compile(r"\d+\.\d+\.\d+"), "X.Y.Z"),
    (re.compile(r"\(\d+ vs\. \d+\)"), "(X vs. Y)"),
)


def masked(data: bytes) -> str:
    """Give a text without what differs between any two servers, such as ids, revisions, versions and tokens."""
    text = data.decode()
    for pattern, put_instead in _MASKS:
        text = pattern.sub(put_instead, text)
    return text


class Shape(NamedTuple):
    """What of an answer has to be the same."""

    status: int
    headers: dict[str, str]
    body: str


def shape(answer: Answer) -> Shape:
    """Reduce an answer to what is compared; the order of its fields counts."""
    kept = {name: answer.headers[name] for name in COMPARED_HEADERS if name in answer.headers}
    return Shape(answer.status, kept, masked(answer.body))


class Served(Protocol):
    """A server with the placeholders and the route 1."""

    client: Client
    port: int

    async def put(self, objects: dict[str, bytes]) -> None:
        """Put keys below /apisix in one revision."""
        ...

    async def remove(self, path: str) -> None:
        """Delete a key that was put alone."""
        ...

    async def compact(self) -> None:
        """See to it that revision 5 is compacted."""
        ...

    async def revision(self) -> int:
        """Give the header revision."""
        ...

    async def ask(self, path: str, body: dict[str, Any]) -> Answer:
        """Ask anything."""
        ...


class _Asked:
    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self.port = port

    async def ask(self, path: str, body: dict[str, Any]) -> Answer:
        return await self.client.ask(self.port, path, orjson.dumps(body))

    async def revision(self) -> int:
        found = await self.ask("/v3/kv/range", {"key": b64(b"/none")})
        return int(found.json["header"]["revision"])


class ServedAgent(_Asked):
    """An agent and the log it follows; each change is waited for."""

    def __init__(self, client: Client, port: int, shop: Shop, watch: Watch) -> None:
        super().__init__(client, port)
        self._shop = shop
        self._watch = watch

    async def put(self, objects: dict[str, bytes]) -> None:
        await self._shop.put(_unit(next(iter(objects))), objects)
        await self._watch.events(len(objects))

    async def remove(self, path: str) -> None:
        await self._shop.remove(_unit(path))
        await self._watch.events(1)

    async def compact(self) -> None:
        """What came before an agent's first full read is always compacted."""


class ServedEtcd(_Asked):
    """A real etcd."""

    async def fill(self) -> None:
        """Make the tree anew."""
        await self._sure("/v3/kv/deleterange", {"key": b64(b"\0"), "range_end": b64(b"\0")})
        leases = (await self._sure("/v3/lease/leases", {})).json.get("leases", [])
        for lease in leases:
            await self._sure("/v3/lease/revoke", lease)
        await self.put({f"/{directory}/": b"init_dir" for directory in DIRECTORIES})
        await self.put({"/routes/1": b'{"uri":"/"}'})

    async def put(self, objects: dict[str, bytes]) -> None:
        puts = [{"request_put": {"key": _key(path), "value": b64(value)}} for path, value in objects.items()]
        await self._sure("/v3/kv/txn", {"success": puts})

    async def remove(self, path: str) -> None:
        await self._sure("/v3/kv/deleterange", {"key": _key(path)})

    async def compact(self) -> None:
        await self._sure("/v3/kv/compaction", {"revision": await self.revision()})

    async def _sure(self, path: str, body: dict[str, Any]) -> Answer:
        answer = await self.ask(path, body)
        assert answer.status == 200, answer.body
        return answer


def _key(path: str) -> str:
    return b64(b"/apisix" + path.encode())


def _unit(path: str) -> str:
    return f"http/{path.rpartition('/')[2]}"


def keys_of(answer: Answer) -> list[bytes]:
    """Name the keys that a Range gave."""
    return [base64.b64decode(kv["key"]) for kv in answer.json.get("kvs", ())]
