"""Users and tokens over HTTP: the answers of contract section 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agent.etcd.auth import User
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import running_agent
from tests.conformance.watch_client import b64, range_body, read_answer, read_head, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conformance.running_agent import Shop
    from tests.conformance.watch_client import Answer, Client

USERS = (User("apisix", "hush", (b"/apisix",)), User("routes", "quiet", (b"/apisix/routes/",)))
OUTSIDE = {"key": b64(b"/apisix/services/"), "range_end": b64(b"/apisix/services0")}
INSIDE = {"key": b64(b"/apisix/routes/"), "range_end": b64(b"/apisix/routes0")}


@pytest.fixture
async def guarded(shop: Shop, tmp_path: Path, client: Client) -> AsyncIterator[int]:
    """An agent with users."""
    async with running_agent(shop.log, tmp_path / "guarded", users=USERS) as found:
        await until_ready(client, found)
        yield found


async def login(client: Client, port: int, name: str, password: str) -> Answer:
    answer = await client.ask(port, "/v3/auth/authenticate", orjson.dumps({"name": name, "password": password}))
    client.token = answer.json.get("token", "")
    return answer


def error_of(answer: Answer) -> tuple[int, int, str]:
    assert answer.json["error"] == answer.json["message"]
    return answer.status, answer.json["code"], answer.json["message"]


async def test_a_user_reads_and_watches_with_its_token(client: Client, shop: Shop, guarded: int):
    answer = await login(client, guarded, "apisix", "hush")
    assert list(answer.json) == ["header", "token"]
    assert int(answer.json["header"]["revision"]) > 0
    assert (await client.range(guarded))["count"] == "16"
    put = orjson.dumps({"key": b64(b"/apisix/routes/"), "value": b64(b"init_dir")})
    assert (await client.ask(guarded, "/v3/kv/put", put)).status == 200
    watch = await client.watch(guarded)
    await shop.route("2")
    assert len(await watch.events(1)) == 1


async def test_what_tells_nothing_of_the_keys_needs_no_token(client: Client, guarded: int):
    for path in ("/version", "/health", "/livez", "/readyz"):
        assert (await client.ask(guarded, path, method="GET")).status == 200


async def test_the_refusals(client: Client, guarded: int):
    no_user = (400, 3, "etcdserver: user name is empty")
    for path in ("/v3/kv/range", "/v3beta/kv/range", "/v3/kv/put", "/v3/kv/txn", "/v3/kv/deleterange"):
        assert error_of(await client.ask(guarded, path, range_body())) == no_user
    client.token = "x.1.y"
    assert error_of(await client.ask(guarded, "/v3/kv/range", range_body())) == (
        401,
        16,
        "etcdserver: invalid auth token",
    )
    for name, password in (("apisix", "quiet"), ("nobody", "hush")):
        assert error_of(await login(client, guarded, name, password)) == (
            400,
            3,
            "etcdserver: authentication failed, invalid user ID or password",
        )


async def test_keys_outside_the_prefixes_are_denied(client: Client, guarded: int):
    await login(client, guarded, "routes", "quiet")
    denied = (403, 7, "etcdserver: permission denied")
    inside = await client.ask(guarded, "/v3/kv/range", orjson.dumps(INSIDE))
    assert (inside.status, inside.json["count"]) == (200, "2")
    for body in (OUTSIDE, {**INSIDE, "range_end": b64(b"\0")}, {"key": b64(b"/apisix/routes")}):
        assert error_of(await client.ask(guarded, "/v3/kv/range", orjson.dumps(body))) == denied
    assert error_of(await client.ask(guarded, "/v3/kv/range", range_body())) == denied
    txn = orjson.dumps({"success": [{"request_range": OUTSIDE}]})
    assert error_of(await client.ask(guarded, "/v3/kv/txn", txn)) == denied


@pytest.mark.parametrize(("name", "status"), [("routes", 403), ("", 400)])
@pytest.mark.parametrize("is_complete", [True, False])
async def test_a_watch_is_refused_by_its_status(
    client: Client,
    guarded: int,
    name: str,
    status: int,
    is_complete: bool,  # noqa: FBT001 - a column
):
    """A `canceled` line would bring APISIX back 2,000 times a second (section 5.3)."""
    if name:
        await login(client, guarded, name, "quiet")
    body = orjson.dumps({"create_request": OUTSIDE})
    reader, writer = await client.connect(guarded)
    sent = request("POST", "/v3/watch", body, client.authorization)
    writer.write(sent if is_complete else sent.replace(b"Content-Length: ", b"Content-Length: 9"))
    assert (await read_answer(reader)).status == status


async def test_a_watch_that_begins_early_has_its_own_token(client: Client, shop: Shop, guarded: int):
    await login(client, guarded, "routes", "quiet")
    reader, writer = await client.connect(guarded)
    sent = request("POST", "/v3/watch", orjson.dumps({"create_request": INSIDE}), client.authorization)
    writer.write(request("GET", "/version") + sent.replace(b"Content-Length: ", b"Content-Length: 9"))
    assert (await read_answer(reader)).status == 200
    status, headers = await read_head(reader)
    assert (status, headers["transfer-encoding"]) == (200, "chunked")


async def test_each_request_of_a_connection_stands_for_itself(client: Client, guarded: int):
    await login(client, guarded, "apisix", "hush")
    reader, writer = await client.connect(guarded)
    with_token = request("POST", "/v3/kv/range", range_body(), client.authorization)
    without = request("POST", "/v3/kv/range", range_body())
    upgrade = with_token.replace(b"Host: agent", b"Host: agent\r\nConnection: upgrade\r\nUpgrade: h2c")
    writer.write(with_token + without + with_token + upgrade)
    assert [(await read_answer(reader)).status for _ in range(4)] == [200, 400, 200, 200]


async def test_a_token_outlives_the_agent(client: Client, shop: Shop, tmp_path: Path):
    """lua-resty-etcd asks for no other one before three minutes have passed."""
    for directory in ("first", "wiped"):
        async with running_agent(shop.log, tmp_path / directory, users=USERS) as port:
            await until_ready(client, port)
            if not client.token:
                await login(client, port, "apisix", "hush")
            assert (await client.range(port))["count"] == "16"


async def test_without_users_there_is_no_authentication(client: Client, port: int):
    assert error_of(await login(client, port, "apisix", "hush")) == (
        400,
        9,
        "etcdserver: authentication is not enabled",
    )
    client.token = "whatever"
    assert (await client.range(port))["count"] == "16"
