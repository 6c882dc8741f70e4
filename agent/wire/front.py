"""What the port answers: the routes, and who is watching what."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agent.etcd import errors
from agent.etcd.auth import Auth, Clock
from agent.etcd.json_codec import render_header
from agent.etcd.kv import KV
from agent.etcd.watch import render_events
from agent.store.feed import Feed, Lines, WatchSpec
from agent.store.watcher import ChangesPublished, SendLines
from agent.wire.admission import Admission
from agent.wire.response import GRPC_JSON, JSON, Response, chunk, failure, text
from agent.wire.wheel import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.etcd.json_codec import Identity
    from agent.store.delta import Change
    from agent.store.store import Store
    from agent.store.watcher import Event as WatchEvent

VERSION = b'{"etcdserver":"3.5.0","etcdcluster":"3.5.0"}'
WATCH_PATHS = frozenset({b"/v3/watch", b"/v3beta/watch"})
_AUTHENTICATE_PATHS = frozenset({b"/v3/auth/authenticate", b"/v3beta/auth/authenticate"})
_NO_USERS = Auth((), Clock(lambda: 0.0, lambda: 0.0))


class Readiness(NamedTuple):
    """Whether there is a state to serve, and in one line which."""

    is_ready: bool
    reason: str


class Subscriber(Protocol):
    """A connection, as the front sees it."""

    def deliver(self, event: WatchEvent) -> None:
        """Hand an event to the connection's watcher and do what it orders."""
        ...

    def beat(self) -> None:
        """A heartbeat interval has passed."""
        ...

    def retire(self) -> bool:
        """Close, unless it holds a watch: then it is closed in its turn, and True tells so."""
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

    Attributes:
        published_lines, published_events: how many there have been.
        wheel: all open connections, for heartbeats.
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
    ) -> None:
        self.published_lines = self.published_events = 0
        self.store = store
        self.admission = admission or Admission(max_delay_s=0.0)
        self.auth = auth
        self.identity = identity
        self.wheel: Wheel[Subscriber] = Wheel()
        self._readiness = readiness
        self._lines = Lines(partial(_render_chunk, identity))
        self._feeds: dict[WatchSpec, tuple[Feed, set[Subscriber]]] = {}
        kv = KV(store, identity)
        posts: dict[str, Callable[[bytes], bytes]] = {
            "kv/range": kv.range,
            "kv/put": kv.put,
            "kv/deleterange": kv.refuse,
            "kv/txn": kv.refuse,
            "auth/authenticate": self._authenticate,
        }
        self._posts = {f"/{base}/{path}".encode(): call for base in ("v3", "v3beta") for path, call in posts.items()}
        self._gets = {
            b"/version": lambda: Response(200, JSON, VERSION),
            b"/health": self._health,
            b"/livez": lambda: text(200, "ok\n"),
            b"/readyz": self._ready,
            **({} if metrics is None else {b"/metrics": metrics}),
        }

    def answer(self, method: bytes, path: bytes, body: bytes, token: str = "") -> Response:
        """Answer any request but a watch; what tells nothing of the keys needs no token."""
        if method == b"OPTIONS":
            return Response(200, b"", b"")
        if path in self._gets:
            is_allowed = method in {b"GET", b"HEAD"}
            return self._gets[path]() if is_allowed else text(405, "Method Not Allowed\n", b"Allow: GET\r\n")
        if path in self._posts:
            return self._post(path, body, token) if method == b"POST" else text(405, "Method Not Allowed\n")
        if path in WATCH_PATHS:
            return text(405, "Method Not Allowed\n")
        if path.startswith((b"/v3/", b"/v3beta/")):
            return text(404, "Not Found\n")
        return text(404, "404 page not found\n")

    def _post(self, path: bytes, body: bytes, token: str) -> Response:
        try:
            if self.auth.is_enabled and path not in _AUTHENTICATE_PATHS:
                self.auth.authorize(token).check_request(body)
            return Response(200, GRPC_JSON, self._posts[path](body))
        except errors.EtcdError as error:
            return failure(error)

    def _authenticate(self, body: bytes) -> bytes:
        token = self.auth.authenticate_request(body).encode()
        return b'{"header":%b,"token":"%b"}' % (render_header(self.identity, self.store.revision), token)

    def _health(self) -> Response:
        is_ready, reason = self._readiness()
        if is_ready:
            return text(200, '{"health":"true","reason":""}')
        return text(503, f'{{"health":"false","reason":"{reason}"}}')

    def _ready(self) -> Response:
        is_ready, reason = self._readiness()
        return text(200 if is_ready else 503, f"{reason}\n")

    @property
    def watcher_count(self) -> int:
        """How many watches are open."""
        return sum(len(members) for _, members in self._feeds.values())

    def join(self, spec: WatchSpec, member: Subscriber) -> Feed:
        """Enter a connection as a watcher; the feed is shared with all of the same spec."""
        if spec not in self._feeds:
            self._feeds[spec] = (Feed(spec, self.store, self._lines), set())
        feed, members = self._feeds[spec]
        members.add(member)
        return feed

    def leave(self, spec: WatchSpec, member: Subscriber) -> None:
        """Take a watcher out; the feed goes with its last one."""
        members = self._feeds[spec][1]
        members.discard(member)
        if not members:
            del self._feeds[spec]

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell every live watcher in one line, or a few if there is much to tell.

        Call it after every step of the store, also one without changes.
        """
        self.published_events += sum(len(change.events) for change in changes)
        for feed, members in tuple(self._feeds.values()):
            for line, next_revision in feed.slices(changes, self.store.revision + 1):
                feed.next_revision = next_revision
                if line:
                    self.published_lines += 1
                    event = ChangesPublished((SendLines(line),))
                    for member in tuple(members):
                        member.deliver(event)


def _render_chunk(identity: Identity, spec: WatchSpec, changes: Sequence[Change]) -> bytes:
    return chunk(render_events(identity, spec, changes))
