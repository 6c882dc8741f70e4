"""etcd-contract.md section 1, rule by rule, over a socket."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path

import orjson
import pytest

from agent.store.directory import DIRECTORIES
from agent.store.feed import MAX_SLICE_BYTES
from agent.wire.admission import Admission
from agent.wire.certificate import TLSContext
from tests.agent.memory_log import CREATED_MS, MemoryLog
from tests.conformance.authority import Authority
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import BUNDLES, Shop, running_agent
from tests.conformance.watch_client import (
    PREFIX,
    PREFIX_END,
    Client,
    b64,
    parse_line,
    range_body,
    read_answer,
    read_chunk,
    read_head,
    request,
)


def test_every_rule_has_a_test_of_its_name():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = {
        int(number)
        for name in re.findall(r"def test_(?:must|must_not|should)_(\d+(?:_and_\d+)?)", text)
        for number in name.split("_and_")
    }
    assert named == set(range(1, 17))


async def test_must_1_the_port_serves_tls_without_alpn_and_sni(client: Client, shop: Shop, tmp_path: Path):
    authority = Authority(tmp_path)
    client.tls = authority.client(alpn=())
    async with running_agent(shop.log, tmp_path / "state", tls=TLSContext(authority.issue("agent"))) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        await shop.route("2")
        assert len(await watch.events(1)) == 1


async def test_must_2_version(client: Client, port: int):
    answer = await client.ask(port, "/version", method="GET")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == b'{"etcdserver":"3.5.0","etcdcluster":"3.5.0"}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v3/kv/range", {"key": b64(b"/apisix/nothing")}),
        ("/v3/kv/put", {"key": b64(b"/apisix/routes/"), "value": b64(b"init_dir")}),
        ("/v3beta/kv/range", {"key": b64(b"/apisix/routes/1")}),
    ],
)
async def test_must_3_header_revision_is_a_decimal_string(client: Client, port: int, path: str, body: dict):
    answer = await client.ask(port, path, orjson.dumps(body))
    assert answer.status == 200
    header = answer.json["header"]
    assert header["revision"] == str(CREATED_MS + 1)
    assert all(isinstance(value, str) for value in header.values())


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("/v3/kv/range", b"{}", (400, 3, "etcdserver: key is not provided")),
        ("/v3/kv/range", b"", (400, 3, "etcdserver: key is not provided")),
        ("/v3/kv/range", b'{"key":', (400, 3, "unexpected EOF")),
        ("/v3/kv/range", b'{"key":"!"}', (400, 3, "illegal base64 data at input byte 0")),
        ("/v3/kv/range", b'{"key":1}', (400, 3, "json: cannot unmarshal number into Go value of type []uint8")),
        (
            "/v3/kv/range",
            range_body(revision=CREATED_MS + 99),
            (400, 11, "etcdserver: mvcc: required revision is a future revision"),
        ),
        ("/v3/kv/range", range_body(revision=5), (400, 11, "etcdserver: mvcc: required revision has been compacted")),
        ("/v3/kv/put", b'{"key":"L2FwaXNpeC9yb3V0ZXMvMQ=="}', (403, 7, "etcdserver: permission denied")),
        ("/v3/kv/deleterange", b'{"key":"L2FwaXNpeC9yb3V0ZXMvMQ=="}', (403, 7, "etcdserver: permission denied")),
        (
            "/v3/kv/txn",
            b'{"success":[{"requestDeleteRange":{"key":"L2FwaXNpeC9yb3V0ZXMvMQ=="}}]}',
            (403, 7, "etcdserver: permission denied"),
        ),
        ("/v3/auth/authenticate", b'{"name":"a"}', (400, 9, "etcdserver: authentication is not enabled")),
        ("/v3/watch", b"{", (500, 2, "unexpected EOF")),
    ],
)
async def test_must_3_errors_have_error_code_and_message(
    client: Client, port: int, path: str, body: bytes, refusal: tuple[int, int, str]
):
    status, code, message = refusal
    answer = await client.ask(port, path, body)
    assert answer.status == status
    assert answer.json == {"error": message, "code": code, "message": message}


async def test_must_4_range_is_sorted_and_has_no_empty_kvs(client: Client, shop: Shop, port: int):
    await shop.put("http/b", {"/routes/b": b"{}", "/routes/a": b"{}", "/upstreams/1": b"{}"})
    await until_route(client, port, b"/apisix/routes/b")
    found = await client.range(port)
    keys = [base64.b64decode(kv["key"]) for kv in found["kvs"]]
    assert keys == sorted(keys)
    assert {b"/apisix/routes/a", b"/apisix/routes/b", b"/apisix/upstreams/1"} <= set(keys)
    for kv in found["kvs"]:
        assert {kv["create_revision"].isdigit(), kv["mod_revision"].isdigit(), kv["version"].isdigit()} == {True}
    assert found["count"] == str(len(keys))
    nothing = await client.ask(port, "/v3/kv/range", orjson.dumps({"key": b64(b"/other")}))
    assert set(nothing.json) == {"header"}


async def test_must_5_every_directory_has_a_placeholder(client: Client, port: int):
    found = await client.range(port)
    placeholders = {base64.b64decode(kv["key"]): kv for kv in found["kvs"] if kv["value"] == b64(b"init_dir")}
    assert set(placeholders) == {f"/apisix/{directory}/".encode() for directory in DIRECTORIES}
    assert {kv["mod_revision"] for kv in placeholders.values()} == {"1"}
    routes = await client.ask(port, "/v3/kv/range", range_body(b"/apisix/routes", b"/apisix/routet"))
    assert routes.json["kvs"][0]["value"] == b64(b"init_dir")
    assert routes.json["count"] == "2"


@pytest.mark.parametrize("path", ["routes/", "plugins", "plugins/", "gen_id", "data_plane/server_info/x"])
async def test_must_6_puts_apisix_makes_by_itself_are_swallowed(client: Client, port: int, path: str):
    watch = await client.watch(port)
    lease = (await client.ask(port, "/v3/lease/grant", b'{"TTL":60}')).json["ID"]
    body = orjson.dumps({"key": b64(b"/apisix/" + path.encode()), "value": b64(b"anything"), "lease": lease})
    answer = await client.ask(port, "/v3/kv/put", body)
    assert answer.status == 200
    assert b"error" not in answer.body
    assert (await client.range(port))["count"] == str(len(DIRECTORIES) + 1)
    assert watch.recording.lines[1:] == []


async def test_must_7_created_comes_alone_in_its_own_chunk(client: Client, shop: Shop, port: int):
    watch = await client.watch(port)
    assert len(watch.chunks) == 1
    assert orjson.loads(watch.chunks[0])["result"].keys() == {"header", "created"}
    await shop.route("2")
    line = await watch.line()
    assert [event.key for event in line.events] == [b"/apisix/routes/2"]
    assert watch.chunks[-1].endswith(b"}\n")


async def test_must_8_one_revision_is_in_one_line_with_its_own_header(client: Client, shop: Shop, port: int):
    watch = await client.watch(port, start_revision=CREATED_MS + 2)
    await shop.put("http/many", {"/routes/2": b"{}", "/routes/3": b"{}", "/upstreams/3": b"{}"})
    first = await watch.line()
    await shop.put("http/many", {"/routes/2": b'{"uri":"/"}'})
    second = await watch.line()
    assert [len(first.events), len(second.events)] == [3, 3]
    assert [first.header_revision, second.header_revision] == [CREATED_MS + 2, CREATED_MS + 3]
    assert [event.value for event in second.events] == [b'{"uri":"/"}', None, None]


async def test_must_8_a_batch_of_the_log_is_one_line_with_only_what_changed(client: Client, shop: Shop, port: int):
    await shop.batch({"http/2": {"/routes/2": b"{}"}, "cluster/2": {"/upstreams/2": b"{}"}})
    await until_route(client, port, b"/apisix/upstreams/2")
    watch = await client.watch(port)
    await client.range(port)
    await shop.batch({"http/2": None, "http/1": {"/routes/1": b'{"uri":"/2"}'}, "view": {}, "cluster/2": None})
    line = await watch.line()
    assert [(event.key, event.value, event.mod_revision - CREATED_MS) for event in line.events] == [
        (b"/apisix/routes/2", None, 4),
        (b"/apisix/routes/1", b'{"uri":"/2"}', 5),
        (b"/apisix/upstreams/2", None, 7),
    ]
    assert line.header_revision == CREATED_MS + 7
    await client.range(port)
    await shop.route("3")
    assert [event.key for event in (await watch.line()).events] == [b"/apisix/routes/3"]


async def test_must_8_every_revision_of_a_key_is_told_in_one_line(client: Client, shop: Shop, port: int):
    watch = await client.watch(port)
    values = [b'{"uri":"/a"}', b'{"uri":"/b"}', None, b'{"uri":"/c"}']
    await shop.batch(*({"http/2": None if value is None else {"/routes/2": value}} for value in values))
    line = await watch.line()
    assert [event.value for event in line.events] == values
    assert [event.mod_revision for event in line.events] == list(range(CREATED_MS + 2, CREATED_MS + 6))


async def test_must_8_a_catch_up_of_many_small_revisions_is_one_line_in_order(client: Client, shop: Shop, port: int):
    live = await client.watch(port)
    for number in range(500):
        await shop.route(f"n{number % 50}", uri=f"/{number}")
    await live.events(500)
    late = await client.watch(port, start_revision=CREATED_MS + 2)
    line = await late.line()
    assert [event.mod_revision for event in line.events] == list(range(CREATED_MS + 2, CREATED_MS + 502))
    assert line.header_revision == CREATED_MS + 501
    await shop.route("next")
    assert [(await watch.line()).header_revision for watch in (live, late)] == [CREATED_MS + 502] * 2


async def test_must_8_a_long_line_is_cut_between_revisions(client: Client, shop: Shop, port: int):
    live = await client.watch(port)
    large = b'{"a":"%b"}' % (b"x" * (MAX_SLICE_BYTES // 4))
    await shop.batch(*({f"http/{at}": {f"/routes/{at}{half}": large for half in "ab"}} for at in range(2, 8)))
    await live.events(12)
    late = await client.watch(port, start_revision=CREATED_MS + 3)
    await late.events(10)
    for watch, joined in ((live, [[2, 3], [4, 5], [6, 7]]), (late, [[3, 4], [5, 6], [7]])):
        lines = [line for line in watch.recording.lines if line.events]
        told = [[event.mod_revision - CREATED_MS for event in line.events] for line in lines]
        assert told == [[revision for revision in revisions for _ in "ab"] for revisions in joined]
        assert [line.header_revision - CREATED_MS for line in lines] == [revisions[-1] for revisions in joined]


@pytest.mark.parametrize("start_revision", [1, -5, CREATED_MS, CREATED_MS + 3, 9 * 10**13])
async def test_must_9_a_start_out_of_reach_is_compacted(client: Client, shop: Shop, port: int, start_revision: int):
    watch = await client.watch(port, start_revision=start_revision)
    line = await watch.line()
    assert line.is_canceled
    assert not line.is_created
    again = await client.watch(port, start_revision=line.compact_revision)
    await shop.route("2")
    assert [event.key for event in (await again.line()).events] == [b"/apisix/routes/2"]


async def test_must_9_a_start_of_0_and_one_of_the_next_revision_are_from_now_on(client: Client, shop: Shop, port: int):
    watches = [await client.watch(port, start_revision=start) for start in (0, CREATED_MS + 2)]
    await shop.route("2")
    for watch in watches:
        line = await watch.line()
        assert [event.mod_revision for event in line.events] == [line.header_revision] == [CREATED_MS + 2]


async def test_must_10_the_revision_never_falls_when_the_topic_is_created_again(
    client: Client, shop: Shop, tmp_path: Path
):
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        before = int((await client.range(port))["header"]["revision"])
    shop.log.create_again(BUNDLES)
    await shop.open(created_ms=CREATED_MS - 1_000_000, life="life-2")
    await shop.route("1", uri="/new")
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        found = await client.range(port)
    assert before < int(found["header"]["revision"]) < 10**14
    assert b64(b'{"uri":"/new"}') in {kv["value"] for kv in found["kvs"]}


async def test_must_11_mod_revision_changes_only_with_the_value(client: Client, shop: Shop, port: int):
    key = range_body(b"/apisix/routes/1", b"")
    before = (await client.range(port, key))["kvs"][0]
    watch = await client.watch(port)
    await shop.route("1")
    await shop.route("2")
    assert [event.key for event in (await watch.line()).events] == [b"/apisix/routes/2"]
    assert (await client.range(port, key))["kvs"][0] == before
    await shop.route("1", uri="/other")
    line = await watch.line()
    after = (await client.range(port, key))["kvs"][0]
    assert after["mod_revision"] == str(line.header_revision)
    assert (after["create_revision"], after["version"]) == (before["create_revision"], "2")


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{", b'"x"', b"1"])
async def test_must_12_a_value_apisix_would_take_as_a_delete_is_refused(
    client: Client, shop: Shop, port: int, value: bytes
):
    watch = await client.watch(port)
    await shop.put("http/1", {"/routes/1": value})
    await shop.route("2")
    assert [event.key for event in (await watch.line()).events] == [b"/apisix/routes/2"]
    assert len((await client.range(port, range_body(b"/apisix/routes/1", b"")))["kvs"]) == 1


async def test_must_not_13_progress_is_not_told_even_when_asked(client: Client, shop: Shop, port: int):
    watch = await client.watch(port, progress_notify=True, fragment=True)
    watch.send(b'{"progress_request":{}}')
    await shop.put("view", {})
    await shop.route("2")
    assert (await watch.line()).events


@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/watch"])
async def test_must_not_13_nothing_is_compressed(client: Client, port: int, path: str):
    spec = {"key": b64(PREFIX), "range_end": b64(PREFIX_END)}
    reader, writer = await client.connect(port)
    writer.write(request("POST", path, orjson.dumps({**spec, "create_request": spec}), "Accept-Encoding: gzip\r\n"))
    status, headers = await read_head(reader)
    assert status == 200
    assert "content-encoding" not in headers


async def test_must_not_13_a_large_line_is_not_told_in_fragments(client: Client, shop: Shop, port: int):
    watch = await client.watch(port, fragment=True)
    large = {f"/routes/{at}": b'{"a":"%b"}' % (b"x" * MAX_SLICE_BYTES) for at in range(4)}
    await shop.put("http/large", large)
    line = await watch.line()
    assert len(line.events) == 4
    assert b'"fragment"' not in watch.chunks[-1]


@pytest.mark.parametrize("start_revision", [1, 9 * 10**13])
async def test_must_not_13_a_cancel_of_the_agent_s_always_says_where_to_go_on(
    client: Client, port: int, start_revision: int
):
    watch = await client.watch(port, start_revision=start_revision)
    line = await watch.line()
    assert (line.is_canceled, line.compact_revision) == (True, CREATED_MS + 2)
    assert orjson.loads(watch.chunks[-1])["result"].keys() == {"header", "canceled", "compact_revision"}


async def test_should_14_an_idle_watch_gets_a_space_in_a_chunk(client: Client, shop: Shop, tmp_path: Path):
    async with running_agent(shop.log, tmp_path, heartbeat_s=0.05) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        assert [await watch.chunk(), await watch.chunk()] == [b" ", b" "]


@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/watch", "/v3/kv/put"])
async def test_should_15_without_a_state_everything_is_503(client: Client, tmp_path: Path, path: str):
    async with running_agent(MemoryLog(), tmp_path) as port:
        create = {"create_request": {"key": b64(PREFIX)}, "key": b64(b"/apisix/routes/")}
        answer = await client.ask(port, path, orjson.dumps(create))
        assert answer.status == 503
        assert answer.json["code"] == 14
        ready = await client.ask(port, "/readyz", method="GET")
        assert (ready.status, ready.body) == (503, b"no state yet\n")
        health = await client.ask(port, "/health", method="GET")
        assert (health.status, health.json["health"]) == (503, "false")


async def test_should_15_watches_above_the_rate_are_told_503_at_different_times(
    client: Client, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    delays_s: list[float] = []
    delay_s = Admission.delay_s

    def remember(admission: Admission) -> float:
        delays_s.append(delay_s(admission) / 10)
        return delays_s[-1]

    monkeypatch.setattr(Admission, "delay_s", remember)
    async with running_agent(shop.log, tmp_path, max_new_watches_per_s=0.001) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        create = orjson.dumps({"create_request": {"key": b64(PREFIX)}})
        answers = await asyncio.gather(*(client.ask(port, "/v3/watch", create) for _ in range(20)))
        assert [(answer.status, answer.json["code"]) for answer in answers] == [(503, 14)] * 20
        assert len(set(delays_s)) == 20
        assert (await client.ask(port, "/v3/kv/range", range_body())).status == 200
        await shop.route("2")
        assert len(await watch.events(1)) == 1


async def test_should_16_catch_up_comes_with_created(client: Client, shop: Shop, port: int):
    live = await client.watch(port)
    for number in range(3):
        await shop.route(f"n{number}")
        await live.line()
    create = {"key": b64(PREFIX), "range_end": b64(PREFIX_END), "start_revision": CREATED_MS + 2}
    reader, writer = await client.connect(port)
    writer.write(request("POST", "/v3/watch", orjson.dumps({"create_request": create})))
    await read_head(reader)
    assert b'"created":true' in await read_chunk(reader)
    assert reader._buffer.endswith(b"}\n\r\n")  # type: ignore[attr-defined]  # it came in the same segment as `created`
    line = parse_line(await read_chunk(reader))
    assert [event.mod_revision - CREATED_MS for event in line.events] == [2, 3, 4]
    assert line.header_revision == CREATED_MS + 4


async def test_unknown_paths_and_methods_answer_as_etcd(client: Client, port: int):
    for method, path, status, body in (
        ("POST", "/version", 405, b"Method Not Allowed\n"),
        ("GET", "/v3/kv/range", 405, b"Method Not Allowed\n"),
        ("GET", "/v3/watch", 405, b"Method Not Allowed\n"),
        ("POST", "/v3/nothing", 404, b"Not Found\n"),
        ("GET", "/foo", 404, b"404 page not found\n"),
        ("POST", "/v3alpha/kv/range", 404, b"404 page not found\n"),
        ("OPTIONS", "/v3/kv/range", 200, b""),
        ("GET", "/livez", 200, b"ok\n"),
        ("GET", "/health", 200, b'{"health":"true","reason":""}'),
    ):
        answer = await client.ask(port, path, method=method)
        assert (answer.status, answer.body) == (status, body)
        assert answer.headers["access-control-allow-origin"] == "*"


async def until_route(client: Client, port: int, key: bytes) -> None:
    """Wait for a key by watching it."""
    watch = await client.watch(port, start_revision=CREATED_MS + 2, key=key, range_end=b"")
    await watch.line()


async def test_answers_come_in_the_order_of_the_requests(client: Client, port: int):
    reader, writer = await client.connect(port)
    missing = orjson.dumps({"key": b64(b"/x")})
    writer.write(request("GET", "/version") + request("POST", "/v3/kv/range", missing) + request("GET", "/nothing"))
    answers = [await read_answer(reader) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 404]
    assert "connection" not in answers[0].headers
