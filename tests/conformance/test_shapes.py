"""etcd-contract.md section 7, as section 12 corrects it: each row is put to the agent and to a real etcd 3.4.

A row's name is how it begins in the contract. What the agent answers differently on purpose is in `DEVIATIONS`, with
the reason and the place that says so; a deviation that is none any more fails.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest

from agent.etcd.auth import User
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import running_agent
from tests.conformance.served import Served, ServedAgent, ServedEtcd, Shape, masked, shape
from tests.conformance.watch_client import (
    PREFIX,
    PREFIX_END,
    Client,
    b64,
    close,
    read_chunk,
    read_head,
    request,
)
from tests.peers.real_etcd import RealEtcd, find_etcd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.conformance.running_agent import Shop

    Prepare = Callable[[Served], Awaitable[dict[str, Any]]]

RANGE, PUT, TXN = "/v3/kv/range", "/v3/kv/put", "/v3/kv/txn"
ROUTE = b64(b"/apisix/routes/1")
ROUTES = {"key": b64(b"/apisix/routes/"), "range_end": b64(b"/apisix/routes0")}
ALL = {"key": b64(PREFIX), "range_end": b64(PREFIX_END)}
INIT_DIR = b64(b"init_dir")
CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "post, get, options, put, delete",
    "access-control-allow-headers": "accept, content-type, authorization",
}
JSON = {"content-type": "application/json", **CORS}
GRPC_JSON = {"content-type": "application/json", "grpc-metadata-content-type": "application/grpc", **CORS}
TEXT = {"content-type": "text/plain; charset=utf-8", **CORS}
HEALTHY = '{"health":"true","reason":""}'
VALUE = b64(b'{"uri":"/"}')
HEADER = '"header":{"cluster_id":"*","member_id":"*","revision":"*","raft_term":"*"}'


class Row(NamedTuple):
    """A request.

    Attributes:
        path: where to.
        body: an object, bytes as they are, or what prepares the server and gives the object.
        method: the HTTP method.
    """

    path: str
    body: dict[str, Any] | bytes | Prepare = b""
    method: str = "POST"


async def at_an_old_revision(served: Served) -> dict[str, Any]:
    revision = await served.revision()
    await served.put({"/routes/1": b'{"uri":"/new"}'})
    return {"key": ROUTE, "revision": revision}


async def at_a_future_revision(served: Served) -> dict[str, Any]:
    return {"key": ROUTE, "revision": await served.revision() + 100}


async def at_a_compacted_revision(served: Served) -> dict[str, Any]:
    await served.compact()
    return {"key": ROUTE, "revision": "5"}


async def after_an_update(served: Served) -> dict[str, Any]:
    await served.put({"/routes/1": b'{"uri":"/new"}'})
    return {"key": ROUTE}


async def of_a_lease(served: Served) -> dict[str, Any]:
    await served.ask("/v3/lease/grant", {"TTL": 60, "ID": "123"})
    return {"ID": "123", "TTL": 60, "keys": True}


async def of_a_leased_key(served: Served) -> dict[str, Any]:
    await of_a_lease(served)
    key = b64(b"/apisix/data_plane/server_info/1")
    await served.ask(PUT, {"key": key, "value": b64(b"{}"), "lease": "123"})
    return {"key": key}


ROWS: dict[str, Row] = {
    "GET /version": Row("/version", method="GET"),
    "POST /version": Row("/version"),
    "put": Row(PUT, {"key": b64(b"/apisix/routes/"), "value": INIT_DIR}),
    "put prev_kv": Row(PUT, {"key": b64(b"/apisix/routes/"), "value": INIT_DIR, "prev_kv": True}),
    "put a resource": Row(PUT, {"key": ROUTE, "value": b64(b"{}")}),
    "range one key": Row(RANGE, {"key": ROUTE}),
    "range prefix": Row(RANGE, ROUTES),
    "range everything": Row(RANGE, ALL),
    "range from a key on": Row(RANGE, {"key": b64(b"/apisix/s"), "range_end": b64(b"\0")}),
    "range missing": Row(RANGE, {"key": b64(b"/apisix/none")}),
    "range an empty interval": Row(RANGE, {"key": b64(b"/b"), "range_end": b64(b"/a")}),
    "range after an update": Row(RANGE, after_an_update),
    "range descending": Row(RANGE, {**ROUTES, "sort_order": "DESCEND", "sort_target": "KEY"}),
    "limit 2": Row(RANGE, {**ALL, "limit": 2}),
    "limit larger than what there is": Row(RANGE, {**ROUTES, "limit": "9"}),
    "keys_only": Row(RANGE, {**ROUTES, "keys_only": True}),
    "count_only": Row(RANGE, {**ROUTES, "count_only": True}),
    "count_only of nothing": Row(RANGE, {"key": b64(b"/apisix/none"), "count_only": True}),
    "leased key": Row(RANGE, of_a_leased_key),
    "old revision": Row(RANGE, at_an_old_revision),
    "future rev": Row(RANGE, at_a_future_revision),
    "compacted rev": Row(RANGE, at_a_compacted_revision),
    "no key": Row(RANGE, {}),
    "empty body": Row(RANGE),
    "null body": Row(RANGE, b"null"),
    "null key": Row(RANGE, {"key": None}),
    "bad JSON": Row(RANGE, b'{"key":'),
    "bad JSON, an array": Row(RANGE, b"[]"),
    "more after the object": Row(RANGE, orjson.dumps({"key": ROUTE}) + b" trailing"),
    "bad base64": Row(RANGE, {"key": "!"}),
    "unpadded base64": Row(RANGE, {"key": ROUTE.rstrip("=")}),
    "number for bytes": Row(RANGE, {"key": 1}),
    "bool for int64": Row(RANGE, {"key": ROUTE, "limit": True}),
    "1e0 for int64": Row(RANGE, b'{"key":"%b","limit":1e0}' % ROUTE.encode()),
    "too large put": Row(PUT, {"key": b64(b"/apisix/routes/"), "value": b64(b"x" * 1_600_000)}),
    "far too large put": Row(PUT, {"key": b64(b"/apisix/routes/"), "value": b64(b"x" * 2_359_300)}),
    "GET on a POST route": Row(RANGE, method="GET"),
    "PUT on a POST route": Row(RANGE, {}, method="PUT"),
    "GET on a watch": Row("/v3/watch", method="GET"),
    "OPTIONS": Row(RANGE, method="OPTIONS"),
    "a query": Row(f"{RANGE}?x=1", {"key": ROUTE}),
    "unknown /v3/x": Row("/v3/nothing", {}),
    "unknown /v3/kv/range/": Row("/v3/kv/range/", {}),
    "unknown /foo": Row("/foo", method="GET"),
    "/v3alpha": Row("/v3alpha/kv/range", {}),
    "/v3beta": Row("/v3beta/kv/range", ROUTES),
    "deleterange": Row("/v3/kv/deleterange", {"key": ROUTE, "prev_kv": True}),
    "deleterange, nothing deleted": Row("/v3/kv/deleterange", {"key": b64(b"/apisix/none")}),
    "txn ok": Row(TXN, {"success": [{"requestPut": {"key": ROUTE, "value": b64(b"{}")}}]}),
    "txn range": Row(TXN, {"success": [{"request_range": {"key": ROUTE}}]}),
    "txn compare false": Row(TXN, {"compare": [{"target": "VERSION", "key": ROUTE, "version": "7"}]}),
    "lease grant": Row("/v3/lease/grant", {"TTL": 60, "ID": "123"}),
    "lease grant, duplicate id": Row("/v3/lease/grant", of_a_lease),
    "keepalive": Row("/v3/lease/keepalive", of_a_lease),
    "keepalive, unknown id": Row("/v3/lease/keepalive", {"ID": "7"}),
    "timetolive": Row("/v3/kv/lease/timetolive", of_a_lease),
    "timetolive, unknown id": Row("/v3/kv/lease/timetolive", {"ID": "7"}),
    "leases": Row("/v3/lease/leases", of_a_lease),
    "revoke": Row("/v3/lease/revoke", of_a_lease),
    "revoke, unknown id": Row("/v3/lease/revoke", {"ID": "7"}),
    "put with an unknown lease": Row(
        PUT, {"key": b64(b"/apisix/data_plane/server_info/1"), "value": INIT_DIR, "lease": "7"}
    ),
    "status": Row("/v3/maintenance/status", {}),
    "member list": Row("/v3/cluster/member/list", {}),
    "GET /health": Row("/health", method="GET"),
    "POST /health": Row("/health", {}),
    "GET /livez": Row("/livez", method="GET"),
    "GET /readyz": Row("/readyz", method="GET"),
    "auth disabled": Row("/v3/auth/authenticate", {"name": "a", "password": "b"}),
    "watch: bad JSON": Row("/v3/watch", b"{"),
    "watch: bad base64": Row("/v3/watch", {"create_request": {"key": "!"}}),
}


class Deviation(NamedTuple):
    """What the agent answers instead, and why."""

    why: str
    answer: Shape


def refused(status: int, code: int, text: str) -> Shape:
    return Shape(status, JSON, orjson.dumps({"error": text, "message": text, "code": code}).decode())


NO_STATE_CHANGED = Shape(200, GRPC_JSON, f"{{{HEADER}}}")
READ_ONLY = Deviation("section 2.4: resources are read-only", refused(403, 7, "etcdserver: permission denied"))
FOUND = Shape(
    200,
    GRPC_JSON,
    f'{{{HEADER},"kvs":[{{"key":"{ROUTE}","create_revision":"*","mod_revision":"*","version":"1","value":"{VALUE}"}}],'
    '"count":"1"}',
)
DEVIATIONS: dict[str, Deviation] = {
    "put a resource": READ_ONLY,
    "deleterange": READ_ONLY,
    "deleterange, nothing deleted": READ_ONLY,
    "txn ok": READ_ONLY,
    "unpadded base64": Deviation("section 12.3: 3.4 refuses it, 3.6 and 3.7 take it", FOUND),
    "1e0 for int64": Deviation("section 4.7: Lua writes large numbers so", FOUND),
    "GET /health": Deviation("section 7: the reason is there from 3.5 on", Shape(200, TEXT, HEALTHY)),
    "GET /livez": Deviation("section 7: there from 3.5 on", Shape(200, TEXT, "ok\n")),
    "GET /readyz": Deviation(
        "section 7: there from 3.5 on; ours says which state is served", Shape(200, TEXT, "live\n")
    ),
    "auth disabled": Deviation(
        "section 7: 412 on 3.4 alone", refused(400, 9, "etcdserver: authentication is not enabled")
    ),
    "lease grant, duplicate id": Deviation(
        "section 7: 412 on 3.4 alone", refused(400, 9, "etcdserver: lease already exists")
    ),
    "leased key": Deviation("rule 6: the put under the lease is swallowed, so there is no such key", NO_STATE_CHANGED),
}


@pytest.fixture
async def agent(client: Client, shop: Shop, port: int) -> ServedAgent:
    """An agent with the tree."""
    return ServedAgent(client, port, shop, await client.watch(port))


@pytest.fixture
async def real(etcd: RealEtcd) -> AsyncIterator[ServedEtcd]:
    """A real etcd with the tree."""
    client = Client()
    served = ServedEtcd(client, etcd.port)
    await served.fill()
    yield served
    await client.close()


async def answer_of(served: Served, row: Row) -> Shape:
    body = row.body
    if callable(body):
        body = await body(served)
    sent = body if isinstance(body, bytes) else orjson.dumps(body)
    return shape(await served.client.ask(served.port, row.path, sent, row.method))


@pytest.mark.parametrize("name", ROWS)
async def test_an_answer_has_the_shape_of_etcd_s(agent: ServedAgent, real: ServedEtcd, name: str):
    ours, theirs = await answer_of(agent, ROWS[name]), await answer_of(real, ROWS[name])
    if name in DEVIATIONS:
        assert ours == DEVIATIONS[name].answer
        assert ours != theirs, f"{name} is no deviation any more"
    else:
        assert ours == theirs


async def chunks_of(served: Served, body: bytes, count: int) -> list[str]:
    """Open a watch with a body of several objects and read its first chunks."""
    reader, writer = await served.client.connect(served.port)
    writer.write(request("POST", "/v3/watch", body))
    async with asyncio.timeout(10):
        status, headers = await read_head(reader)
        told = [masked(await read_chunk(reader)) for _ in range(count)]
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert headers["content-type"] == "application/json"
    await close(writer)
    return told


async def watch_of(served: Served, count: int, **fields: Any) -> list[str]:
    """Give the first chunks of a watch."""
    watch = await served.client.watch(served.port, **fields)
    for _ in range(count - 1):
        await watch.line()
    return [masked(chunk) for chunk in watch.chunks]


async def live(served: Served, step: Callable[[], Awaitable[None]], count: int = 1, **fields: Any) -> list[str]:
    """Give the chunks that a watch is told when something changes."""
    watch = await served.client.watch(served.port, **fields)
    await step()
    for _ in range(count):
        await watch.line()
    return [masked(chunk) for chunk in watch.chunks]


async def created(served: Served) -> list[str]:
    return await watch_of(served, 1)


async def a_put(served: Served) -> list[str]:
    return await live(served, lambda: served.put({"/routes/2": b"{}"}))


async def an_update(served: Served) -> list[str]:
    return await live(served, lambda: served.put({"/routes/1": b'{"a":1}'}))


async def a_delete(served: Served) -> list[str]:
    return await live(served, lambda: served.remove("/routes/1"))


async def a_txn_of_2(served: Served) -> list[str]:
    return await live(served, lambda: served.put({"/routes/3": b"{}", "/routes/2": b"{}"}))


async def a_catch_up(served: Served) -> list[str]:
    start = await served.revision() + 1
    await served.put({"/routes/2": b"{}"})
    await served.put({"/routes/1": b'{"a":1}'})
    await served.remove("/routes/2")
    return await watch_of(served, 2, start_revision=start)


async def prev_kv(served: Served) -> list[str]:
    told = await live(served, lambda: served.put({"/routes/1": b'{"a":1}'}), prev_kv=True)
    told += await live(served, lambda: served.put({"/routes/2": b"{}"}), prev_kv=True)
    return told + await live(served, lambda: served.remove("/routes/1"), prev_kv=True)


async def watch_id_7(served: Served) -> list[str]:
    return await live(served, lambda: served.put({"/routes/2": b"{}"}), watch_id="7")


async def filters(served: Served) -> list[str]:
    async def change() -> None:
        await served.put({"/routes/2": b"{}"})
        await served.remove("/routes/2")

    return await live(served, change, filters=["NOPUT"]) + await live(served, change, filters=[1])


async def one_key(served: Served) -> list[str]:
    async def change() -> None:
        await served.put({"/routes/2": b"{}"})
        await served.put({"/routes/1": b'{"a":1}'})

    return await live(served, change, key=b"/apisix/routes/1", range_end=b"")


async def compacted(served: Served) -> list[str]:
    await served.compact()
    return await watch_of(served, 2, start_revision=5)


async def negative_start(served: Served) -> list[str]:
    return await watch_of(served, 2, start_revision=-5)


async def client_cancel_request(served: Served) -> list[str]:
    return await chunks_of(served, orjson.dumps({"create_request": ALL}) + b'{"cancel_request":{"watch_id":0}}', 2)


WATCHES = {
    "create": created,
    "put": a_put,
    "put of a key that is there": an_update,
    "delete": a_delete,
    "txn of 2": a_txn_of_2,
    "catch-up": a_catch_up,
    "prev_kv": prev_kv,
    "watch_id 7 requested": watch_id_7,
    "filters": filters,
    "one key": one_key,
    "compacted": compacted,
    "negative start": negative_start,
    "client cancel_request": client_cancel_request,
}


@pytest.mark.parametrize("name", WATCHES)
async def test_a_watch_has_the_lines_of_etcd_s(agent: ServedAgent, real: ServedEtcd, name: str):
    ours, theirs = await WATCHES[name](agent), await WATCHES[name](real)
    assert ours == theirs
    assert all(line.endswith("}\n") for line in ours)


async def test_a_future_start_is_compacted_where_etcd_waits_in_silence(agent: ServedAgent, real: ServedEtcd):
    """Rule 9: APISIX would be deaf until that revision comes."""
    for served in (agent, real):
        watch = await served.client.watch(served.port, start_revision=await served.revision() + 3)
        for name in "234":
            await served.put({f"/routes/{name}": b"{}"})
        line = await watch.line()
        assert [event.key for event in line.events] == ([] if served is agent else [b"/apisix/routes/4"])
        assert line.is_canceled == (served is agent)


async def test_progress_is_told_by_etcd_alone(agent: ServedAgent, real: ServedEtcd):
    """Rule 13: a line without events makes APISIX throw."""
    asked = orjson.dumps({"create_request": ALL}) + b'{"progress_request":{}}'
    assert len(await chunks_of(real, asked, 2)) == 2
    reader, writer = await agent.client.connect(agent.port)
    writer.write(request("POST", "/v3/watch", asked))
    async with asyncio.timeout(10):
        await read_head(reader)
        assert b"created" in await read_chunk(reader)
        await agent.put({"/routes/2": b"{}"})
        assert b"events" in await read_chunk(reader)


async def test_a_watch_without_a_request_is_refused_where_etcd_hangs(agent: ServedAgent, real: ServedEtcd):
    answer = await agent.client.ask(agent.port, "/v3/watch")
    assert shape(answer) == refused(500, 2, "EOF")
    reader, writer = await real.client.connect(real.port)
    writer.write(request("POST", "/v3/watch"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await read_head(reader)


async def test_an_empty_value_is_left_out_by_etcd_and_never_served_by_the_agent(
    agent: ServedAgent, real: ServedEtcd, shop: Shop
):
    """Rule 12: APISIX would take it as a delete."""
    await real.put({"/routes/2": b""})
    found = await real.ask(RANGE, {"key": b64(b"/apisix/routes/2")})
    assert list(found.json["kvs"][0]) == ["key", "create_revision", "mod_revision", "version"]
    await shop.put("http/2", {"/routes/2": b""})
    await agent.put({"/routes/3": b"{}"})
    assert shape(await agent.ask(RANGE, {"key": b64(b"/apisix/routes/2")})) == NO_STATE_CHANGED


async def test_metrics_are_text_in_the_same_format(agent: ServedAgent, real: ServedEtcd):
    ours, theirs = [await served.client.ask(served.port, "/metrics", method="GET") for served in (agent, real)]
    assert ours.status == theirs.status == 200
    for answer in (ours, theirs):
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert answer.body.startswith(b"# HELP ")


async def test_a_head_request_is_answered_where_etcd_says_405(agent: ServedAgent, real: ServedEtcd):
    statuses = []
    for served in (agent, real):
        reader, writer = await served.client.connect(served.port)
        writer.write(request("HEAD", "/version") + request("GET", "/version"))
        statuses.append((await read_head(reader))[0])
        assert (await read_head(reader))[0] == 200  # no body came with the first
    assert statuses == [200, 405]


async def test_etcd_ends_its_watches_with_an_error_line_and_the_agent_with_a_closed_connection(
    client: Client, shop: Shop, tmp_path: Path
):
    """Section 5.3: an abrupt close is what every APISIX takes silently."""
    async with running_agent(shop.log, tmp_path / "state") as port:
        await until_ready(client, port)
        watch = await client.watch(port)
    assert await watch.is_closed()
    (tmp_path / "etcd").mkdir()
    real = RealEtcd(tmp_path / "etcd", [find_etcd()])
    others = Client()
    try:
        reader, writer = await others.connect(real.port)
        writer.write(request("POST", "/v3/watch", orjson.dumps({"create_request": ALL})))
        await read_head(reader)
        await read_chunk(reader)
    finally:
        await asyncio.to_thread(real.stop)
    ended = (await reader.readuntil(b"}}"))[2:].strip()
    assert orjson.loads(ended)["error"]["http_code"] == 503
    await others.close()


# Users


USERS = (User("apisix", "hush", (b"/apisix",)),)
USER_ROWS: dict[str, Row] = {
    "auth ok": Row("/v3/auth/authenticate", {"name": "apisix", "password": "hush"}),
    "auth, bad password": Row("/v3/auth/authenticate", {"name": "apisix", "password": "x"}),
    "auth, bad user": Row("/v3/auth/authenticate", {"name": "x", "password": "hush"}),
    "no token": Row(RANGE, {"key": ROUTE}),
    "bad token": Row(RANGE, {"key": ROUTE}),
    "denied": Row(RANGE, {"key": b64(b"/other")}),
    "denied, a range": Row(RANGE, {"key": b64(b"\0"), "range_end": b64(b"\0")}),
    "denied, a put": Row(PUT, {"key": b64(b"/other"), "value": INIT_DIR}),
    "allowed": Row(RANGE, {"key": b64(b"/apisix/none")}),
}
TOKENS = {"no token": "", "bad token": "made.up"}


@pytest.fixture(scope="module")
def guarded_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEtcd]:
    running = RealEtcd(tmp_path_factory.mktemp("guarded"), [find_etcd()])
    yield running
    running.stop()


async def guard(served: ServedEtcd) -> None:
    """Make the same user, and root, without whom there are none."""
    permission = {"permType": "READWRITE", "key": b64(b"/apisix"), "range_end": b64(b"/apisiy")}
    for path, body in (
        ("user/add", {"name": "root", "password": "secret"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("user/add", {"name": "apisix", "password": "hush"}),
        ("role/add", {"name": "apisix"}),
        ("role/grant", {"name": "apisix", "perm": permission}),
        ("user/grant", {"user": "apisix", "role": "apisix"}),
        ("enable", {}),
    ):
        await served.ask(f"/v3/auth/{path}", body)


@pytest.mark.parametrize("name", USER_ROWS)
async def test_users_are_answered_as_etcd_does(
    client: Client, shop: Shop, tmp_path: Path, guarded_etcd: RealEtcd, name: str
):
    others = Client()
    await guard(ServedEtcd(others, guarded_etcd.port))
    shapes = []
    async with running_agent(shop.log, tmp_path / "state", users=USERS) as port:
        await until_ready(client, port)
        for served in (ServedEtcd(client, port), ServedEtcd(others, guarded_etcd.port)):
            login = await served.ask("/v3/auth/authenticate", {"name": "apisix", "password": "hush"})
            served.client.token = TOKENS.get(name, login.json["token"])
            shapes.append(await answer_of(served, USER_ROWS[name]))
    assert shapes[0] == shapes[1]
