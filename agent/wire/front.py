"""What the port answers: the routes, and who is watching what."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent.etcd import errors
from agent.etcd.auth import Auth, Clock
from agent.etcd.json_codec import render_header
from agent.etcd.kv_json import KVJSON
from agent.etcd.lease_json import LeaseJSON
from agent.etcd.maintenance_json import MaintenanceJSON
from agent.etcd.member import SERVER_VERSION, Member
from agent.etcd.watch import render_events
from agent.store.hub import Hub
from agent.wire.admission import Admission
from agent.wire.response import GRPC_JSON, JSON, Response, chunk, failure, text
from agent.wire.wheel import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.etcd.json_codec import Identity
    from agent.store.delta import Change
    from agent.store.feed import Feed, Render, WatchSpec
    from agent.store.hub import Subscriber
    from agent.store.store import Store
    from agent.wire.request import Request

VERSION = b'{"etcdserver":"%b","etcdcluster":"3.5.0"}' % SERVER_VERSION.encode()
WATCH_PATHS = frozenset({b"/v3/watch", b"/v3beta/watch"})
_BASES = ("v3", "v3beta")
_MEMBER_LIST_PATHS = frozenset(f"/{base}/cluster/member/list".encode() for base in _BASES)
_KEEP_ALIVE_PATHS = frozenset(f"/{base}/lease/keepalive".encode() for base in _BASES)
_AUTHENTICATE_PATHS = frozenset(f"/{base}/auth/authenticate".encode() for base in _BASES)
_NO_USERS = Auth((), Clock(lambda: 0.0, lambda: 0.0))


class Readiness(NamedTuple):
    """Whether there is a state to serve, and in one line which."""

    is_ready: bool
    reason: str


class Connection(Protocol):
    """A connection, as the front sees it."""

    def beat(self) -> None:
        """A heartbeat interval has passed."""
        ...

    def retire(self) -> bool:
        """Close, unless it holds a watch: then it is closed in its turn, and True tells so.

        One that has asked nothing yet may stay for what it asks; it is closed last.
        """
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Front:
    """The etcd API of one store, for any number of connections.

    Args:
        store: what is served.
        identity: the ids in the headers.
        readiness: asked by the health routes.
        admission: asked for each new watch.
        metrics: answers `/metrics`; without it there are none.
        auth: who may name which keys.
        name: the member's name.

    Attributes:
        published_events: how many there have been.
        wheel: all open connections, for heartbeats.
        member: what both codecs answer from.
        readiness: see there.
        grpc: what the HTTP/2 connections share, once there is one.
    """

    def __init__(
        self,
        store: Store,
        identity: Identity,
        readiness: Callable[[], Readiness],
        admission: Admission | None = None,
        metrics: Callable[[], Response] | None = None,
        *,
        auth: Auth = _NO_USERS,
        name: str = "meshferry",
    ) -> None:
        self.published_events = 0
        self.store = store
        self.admission = admission or Admission(max_delay_s=0.0)
        self.auth = auth
        self.identity = identity
        self.wheel: Wheel[Connection] = Wheel()
        self.readiness = readiness
        self.member = Member(store, identity, name, time.monotonic, _first_lease_id(identity))
        self.grpc: object = None
        self._hubs = [Hub(store, partial(_render_chunk, identity))]
        self._maintenance = MaintenanceJSON(self.member)
        posts = _posts(self.member, self._maintenance) | {"auth/authenticate": self._authenticate}
        self._posts = {f"/{base}/{path}".encode(): call for base in _BASES for path, call in posts.items()}
        self._gets = {
            b"/version": lambda: Response(200, JSON, VERSION),
            b"/health": self._health,
            b"/livez": lambda: text(200, "ok\n"),
            b"/readyz": self._ready,
            **({} if metrics is None else {b"/metrics": metrics}),
        }

    def answer(self, request: Request, url: Callable[[], str] = str) -> Response:
        """Answer any request but a watch; what tells nothing of the keys needs no token.

        Args:
            request: what is asked.
            url: gives the URL by which the caller has reached this port.
        """
        method, path = request.method, request.path
        if method == b"OPTIONS":
            return Response(200, b"", b"")
        if path in self._gets:
            is_allowed = method in {b"GET", b"HEAD"}
            return self._gets[path]() if is_allowed else text(405, "Method Not Allowed\n", b"Allow: GET\r\n")
        if path in self._posts or path in _MEMBER_LIST_PATHS:
            return self._post(request, url) if method == b"POST" else text(405, "Method Not Allowed\n")
        if path in WATCH_PATHS:
            return text(405, "Method Not Allowed\n")
        if path.startswith((b"/v3/", b"/v3beta/")):
            return text(404, "Not Found\n")
        return text(404, "404 page not found\n")

    def _post(self, request: Request, url: Callable[[], str]) -> Response:
        path, body = request.path, request.body
        try:
            if self.auth.is_enabled and path not in _AUTHENTICATE_PATHS:
                self.auth.authorize(request.token).check_request(body)
            if path in _MEMBER_LIST_PATHS:
                return Response(200, GRPC_JSON, self._maintenance.member_list(body, url()))
            return Response(200, GRPC_JSON, self._posts[path](body), is_stream=path in _KEEP_ALIVE_PATHS)
        except errors.EtcdError as error:
            return failure(error)

    def _authenticate(self, body: bytes) -> bytes:
        token = self.auth.authenticate_request(body).encode()
        return b'{"header":%b,"token":"%b"}' % (render_header(self.identity, self.store.revision), token)

    def _health(self) -> Response:
        is_ready, reason = self.readiness()
        if is_ready:
            return text(200, '{"health":"true","reason":""}')
        return text(503, f'{{"health":"false","reason":"{reason}"}}')

    def _ready(self) -> Response:
        is_ready, reason = self.readiness()
        return text(200 if is_ready else 503, f"{reason}\n")

    @property
    def watcher_count(self) -> int:
        """How many watches are open."""
        return sum(hub.watcher_count for hub in self._hubs)

    @property
    def published_lines(self) -> int:
        """How many lines were made, in all encodings."""
        return sum(hub.published_lines for hub in self._hubs)

    def add_hub(self, render: Render) -> Hub:
        """Open the watches of another encoding."""
        self._hubs.append(Hub(self.store, render))
        return self._hubs[-1]

    def join(self, spec: WatchSpec, member: Subscriber) -> Feed:
        """Enter a watcher of JSON lines."""
        return self._hubs[0].join(spec, member)

    def leave(self, spec: WatchSpec, member: Subscriber) -> None:
        """Take a watcher of JSON lines out."""
        self._hubs[0].leave(spec, member)

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell every live watcher; call it after every step of the store, also one without changes."""
        self.published_events += sum(len(change.events) for change in changes)
        for hub in self._hubs:
            hub.publish(changes)


def _posts(member: Member, maintenance: MaintenanceJSON) -> dict[str, Callable[[bytes], bytes]]:
    """Name the routes below the base; some have the older names that clients still use (section 3.3)."""
    kv, lease = KVJSON(member), LeaseJSON(member)
    return {
        "kv/range": kv.range,
        "kv/put": kv.put,
        "kv/deleterange": kv.delete_range,
        "kv/txn": kv.txn,
        "kv/compaction": kv.compact,
        "lease/grant": lease.grant,
        "lease/keepalive": lease.keep_alive,
        "lease/revoke": lease.revoke,
        "lease/timetolive": lease.time_to_live,
        "lease/leases": lease.leases,
        "kv/lease/revoke": lease.revoke,
        "kv/lease/timetolive": lease.time_to_live,
        "kv/lease/leases": lease.leases,
        "maintenance/status": maintenance.status,
        "maintenance/alarm": maintenance.alarm,
        "maintenance/hash": maintenance.hash_kv,
        "maintenance/defragment": maintenance.refuse,
        "cluster/member/add": maintenance.refuse,
        "cluster/member/remove": maintenance.refuse,
        "cluster/member/update": maintenance.refuse,
        "cluster/member/promote": maintenance.refuse,
    }


def _first_lease_id(identity: Identity) -> int:
    """Begin the ids of this run where those of the last one cannot be: the member, then the time, then a count."""
    return (identity.member_id & 0x7FFF) << 48 | (time.time_ns() // 1_000_000 & 0xFFFFFFFFFF) << 8 | 1


def _render_chunk(identity: Identity, spec: WatchSpec, changes: Sequence[Change]) -> bytes:
    return chunk(render_events(identity, spec, changes))
