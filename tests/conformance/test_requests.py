"""How a request may look (etcd-contract.md section 3.1) and how connections are used; over a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.agent.memory_log import CREATED_MS
from tests.conformance.watch_client import (
    PREFIX,
    PREFIX_END,
    b64,
    parse_line,
    range_body,
    read_answer,
    read_chunk,
    read_head,
    request,
)

if TYPE_CHECKING:
    from tests.conformance.running_agent import Shop
    from tests.conformance.watch_client import Client

KEY, END = b64(b"/apisix/routes/"), b64(b"/apisix/routes0")
REVISION = CREATED_MS + 1
ONE_RANGE = [
    {"key": KEY, "range_end": END, "limit": 1, "revision": REVISION, "keys_only": True, "sort_target": 0},
    {"key": KEY, "rangeEnd": END, "limit": "1", "revision": str(REVISION), "keysOnly": True, "sortTarget": "KEY"},
    {"key": KEY.rstrip("="), "rangeEnd": END.rstrip("="), "limit": 1, "keys_only": True, "sortTarget": "0"},
    {"key": KEY, "range_end": END, "limit": 1, "keys_only": True, "unknown_field": {"a": [1]}, "serializable": True},
    {"key": KEY, "range_end": END, "limit": 1, "keys_only": True, "sort_order": 0, "min_mod_revision": None},
]


@pytest.mark.parametrize("body", ONE_RANGE)
async def test_numbers_names_and_base64_are_read_in_every_form(client: Client, port: int, body: dict[str, Any]):
    plain = {"key": KEY, "range_end": END, "limit": 1, "keys_only": True}
    wanted = await client.range(port, orjson.dumps(plain))
    assert wanted["more"] is True
    assert await client.range(port, orjson.dumps(body)) == wanted


async def test_a_revision_as_lua_writes_it_is_read(client: Client, port: int):
    found = await client.ask(port, "/v3/kv/range", b'{"key":"%b","revision":1.790000000001e+12}' % KEY.encode())
    assert found.status == 200


async def test_an_escaped_slash_is_read(client: Client, port: int):
    key = b64(b"/apisix/\xff\xff\xff")
    assert "/" in key
    answer = await client.ask(port, "/v3/kv/range", b'{"key":"%b"}' % key.replace("/", "\\/").encode())
    assert set(answer.json) == {"header"}


CREATES = [
    {"create_request": {"key": b64(PREFIX), "range_end": b64(PREFIX_END), "start_revision": REVISION + 1}},
    {"createRequest": {"key": b64(PREFIX), "rangeEnd": b64(PREFIX_END), "startRevision": str(REVISION + 1)}},
    {"create_request": {"key": b64(PREFIX).rstrip("="), "rangeEnd": b64(PREFIX_END), "start_revision": 0}},
]


@pytest.mark.parametrize("path", ["/v3/watch", "/v3beta/watch", "/v3/watch?x=1"])
@pytest.mark.parametrize("body", CREATES)
async def test_a_watch_is_read_in_every_form(client: Client, shop: Shop, port: int, path: str, body: dict[str, Any]):
    reader, writer = await client.connect(port)
    writer.write(request("POST", path, orjson.dumps(body)))
    async with asyncio.timeout(10):
        await read_head(reader)
        assert parse_line(await read_chunk(reader)).is_created
        await shop.route("2")
        (event,) = parse_line(await read_chunk(reader)).events
    assert event.key == b"/apisix/routes/2"


async def test_a_watch_with_a_chunked_body_that_stays_open_is_served(client: Client, shop: Shop, port: int):
    reader, writer = await client.connect(port)
    body = orjson.dumps(CREATES[0])
    head = "POST /v3/watch HTTP/1.1\r\nHost: agent\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + b"%x\r\n%b\r\n" % (len(body), body))
    async with asyncio.timeout(10):
        await read_head(reader)
        assert parse_line(await read_chunk(reader)).is_created
        await shop.route("2")
        assert len(parse_line(await read_chunk(reader)).events) == 1


async def test_a_connection_serves_one_request_after_the_other(client: Client, port: int):
    reader, writer = await client.connect(port)
    for _ in range(3):
        writer.write(request("POST", "/v3/kv/range", range_body()))
        answer = await read_answer(reader)
        assert (answer.status, "connection" in answer.headers) == (200, False)


async def test_pipelined_requests_are_answered_in_order_and_a_watch_ends_the_line(
    client: Client, shop: Shop, port: int
):
    reader, writer = await client.connect(port)
    watch = request("POST", "/v3/watch", orjson.dumps(CREATES[0]))
    writer.write(request("GET", "/version") + request("GET", "/foo") + watch + request("GET", "/version"))
    assert [(await read_answer(reader)).status for _ in range(2)] == [200, 404]
    async with asyncio.timeout(10):
        assert (await read_head(reader))[1]["transfer-encoding"] == "chunked"
        assert parse_line(await read_chunk(reader)).is_created
        await shop.route("2")
        assert len(parse_line(await read_chunk(reader)).events) == 1


async def test_connection_close_is_honoured(client: Client, port: int):
    reader, writer = await client.connect(port)
    writer.write(request("POST", "/v3/kv/range", range_body(), "Connection: close\r\n") + request("GET", "/version"))
    answer = await read_answer(reader)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await reader.read() == b""


@pytest.mark.parametrize(("headers", "is_closed"), [("", True), ("Connection: keep-alive\r\n", False)])
async def test_http_1_0_is_answered_and_closes_unless_asked_not_to(
    client: Client,
    port: int,
    headers: str,
    is_closed: bool,  # noqa: FBT001 - a table
):
    reader, writer = await client.connect(port)
    asked = request("POST", "/v3/kv/range", range_body(), headers).replace(b"HTTP/1.1", b"HTTP/1.0")
    writer.write(asked)
    answer = await read_answer(reader)
    assert answer.json["count"] == "16"
    assert answer.headers["connection"] == ("close" if is_closed else "keep-alive")
    if is_closed:
        assert await reader.read() == b""
    else:
        writer.write(asked)
        assert (await read_answer(reader)).body == answer.body


async def test_a_watch_over_http_1_0_which_has_no_chunks_is_refused(client: Client, port: int):
    reader, writer = await client.connect(port)
    writer.write(request("POST", "/v3/watch", orjson.dumps(CREATES[0])).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (await read_answer(reader)).status == 505


async def test_head_has_the_headers_of_a_get_and_no_body(client: Client, port: int):
    reader, writer = await client.connect(port)
    writer.write(request("HEAD", "/version") + request("GET", "/version"))
    status, headers = await read_head(reader)
    answer = await read_answer(reader)
    assert (status, headers) == (answer.status, answer.headers)


@pytest.mark.parametrize("body", [b'{"key":' + b"9" * 5000, b'{"limit":' + b"9" * 5000 + b"} x", b"[" * 100_000])
async def test_json_that_only_a_parser_could_hate_is_refused(client: Client, port: int, body: bytes):
    answer = await client.ask(port, "/v3/kv/range", body)
    assert (answer.status, answer.json["code"]) == (400, 3)
