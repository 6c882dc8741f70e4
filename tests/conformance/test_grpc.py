"""The gRPC side of the contract over sockets; its watches pass the validators together with those over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from schemas.etcd import message_class
from tests.agent.memory_log import CREATED_MS
from tests.conformance.fixture import until_ready
from tests.conformance.grpc_client import GRPCClient
from tests.conformance.running_agent import Shop, running_agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conformance.watch_client import Client

R = CREATED_MS
LARGE = b'{"a":"%b"}' % (b"x" * 300_000)


@pytest.fixture
async def rpc(client: Client, port: int) -> AsyncIterator[GRPCClient]:
    async with GRPCClient(client, port) as made:
        yield made


async def test_both_protocols_are_told_the_same_on_one_port(client: Client, shop: Shop, port: int, rpc: GRPCClient):
    over_http, over_grpc = await client.watch(port), await rpc.watch()
    await client.range(port)
    for number in range(20):
        await shop.route(f"n{number}")
        assert await over_http.line() == await over_grpc.line()
    await shop.remove("http/n3")
    assert await over_http.line() == await over_grpc.line()
    await client.range(port)
    again = await rpc.watch(start_revision=R + 5)
    assert len((await again.line()).events) == 18


async def test_large_lines_pass_the_windows_and_the_connection_still_answers(shop: Shop, rpc: GRPCClient):
    watches = [await rpc.watch() for _ in range(3)]
    for number in range(20):
        await shop.put(f"big{number}", {f"/routes/big{number}": LARGE})
    found = await rpc.ask("KV/Range", "RangeRequest", "RangeResponse", key=b"/apisix/routes/1")
    assert found.count == 1
    for watch in watches:
        told: list[int] = []
        while len(told) < 20:
            told += [event.mod_revision for event in (await watch.line()).events]
        assert told == list(range(R + 2, R + 22))


async def test_a_stale_start_is_compacted_and_the_revision_it_names_is_accepted(shop: Shop, rpc: GRPCClient):
    watch = await rpc.watch(start_revision=5)
    line = await watch.line()
    assert line.is_canceled
    again = await rpc.watch(start_revision=line.compact_revision)
    await shop.route("2")
    assert len((await again.line()).events) == 1


async def test_a_future_start_is_waited_for_in_silence(shop: Shop, rpc: GRPCClient):
    watch = await rpc.watch(start_revision=R + 4)
    for number in range(4):
        await shop.route(f"n{number}")
    line = await watch.line()
    assert next(event.mod_revision for event in line.events) == R + 4


async def test_a_stream_without_more_requests_goes_on(shop: Shop, rpc: GRPCClient):
    watch = await rpc.watch()
    await watch.call.done_writing()
    await shop.route("2")
    assert len((await watch.line()).events) == 1


async def test_a_watch_that_is_given_up_is_freed(shop: Shop, rpc: GRPCClient):
    dropped, kept = await rpc.watch(), await rpc.watch()
    dropped.call.cancel()
    await shop.route("2")
    assert len((await kept.line()).events) == 1


async def test_leases_are_kept_alive_on_a_stream(rpc: GRPCClient):
    granted = await rpc.ask("Lease/LeaseGrant", "LeaseGrantRequest", "LeaseGrantResponse", TTL=30)
    call = rpc.stream("/etcdserverpb.Lease/LeaseKeepAlive")
    for lease_id, ttl_s in ((granted.ID, 30), (7, 0), (granted.ID, 30)):
        await call.write(message_class("LeaseKeepAliveRequest")(ID=lease_id).SerializeToString())
        kept = message_class("LeaseKeepAliveResponse").FromString(await call.read())
        assert ttl_s == kept.TTL
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_the_health_service(rpc: GRPCClient):
    answer = message_class("grpc.health.v1.HealthCheckResponse")
    check = rpc.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert answer.FromString(await check(b"")).status == 1
    watch = rpc.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
    assert answer.FromString(await watch.read()).status == 1
    watch.cancel()


@pytest.mark.parametrize(
    ("path", "data", "code", "details"),
    [
        ("/etcdserverpb.KV/Range", b"", "INVALID_ARGUMENT", "etcdserver: key is not provided"),
        ("/etcdserverpb.KV/Range", b"\xff", "INTERNAL", "grpc: error unmarshalling request"),
        ("/etcdserverpb.KV/Range", b"\n" + b"x" * (3 << 20), "RESOURCE_EXHAUSTED", "received message larger than max"),
        ("/etcdserverpb.KV/Range", b"\n\x01a\x20\x01", "OUT_OF_RANGE", "required revision has been compacted"),
        ("/etcdserverpb.KV/Put", b"\n\x01a", "PERMISSION_DENIED", "etcdserver: permission denied"),
        ("/etcdserverpb.KV/Nothing", b"", "UNIMPLEMENTED", "unknown method Nothing for service etcdserverpb.KV"),
        ("/etcdserverpb.Maintenance/Snapshot", b"", "UNIMPLEMENTED", "unknown method Snapshot"),
        ("/etcdserverpb.Auth/Authenticate", b"", "FAILED_PRECONDITION", "authentication is not enabled"),
        ("/etcdserverpb.Watch/Watch", b"\xff", "INTERNAL", "grpc: error unmarshalling request"),
    ],
)
async def test_errors_have_the_code_and_the_text(rpc: GRPCClient, path: str, data: bytes, code: str, details: str):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await rpc.channel.unary_unary(path)(data)
    assert error.value.code().name == code
    assert details in error.value.details()
    assert (await rpc.ask("KV/Range", "RangeRequest", "RangeResponse", key=b"a")).count == 0


async def test_an_agent_without_a_state_is_unavailable(client: Client, tmp_path: Path):
    shop = Shop()
    await shop.open()
    shop.log.is_reachable = False
    async with running_agent(shop.log, tmp_path) as port, GRPCClient(client, port) as rpc:
        for method, request in (("KV/Range", {"key": b"a"}), ("Watch/Watch", {})):
            name = "RangeRequest" if request else "WatchRequest"
            fields: dict[str, Any] = request or {"create_request": message_class("WatchCreateRequest")(key=b"a")}
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await rpc.ask(method, name, "RangeResponse", **fields)
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_deaf_watcher_does_not_grow_the_agent_and_is_disconnected(client: Client, shop: Shop, tmp_path: Path):
    """What a client does not read stays in windows and one slice; after four heartbeats the connection is closed."""
    async with running_agent(shop.log, tmp_path, heartbeat_s=0.15) as port:
        await until_ready(client, port)
        async with GRPCClient(client, port) as deaf, GRPCClient(client, port) as prompt:
            call = deaf.stream()
            create = message_class("WatchCreateRequest")(key=b"/apisix/", range_end=b"/apisix0")
            await call.write(message_class("WatchRequest")(create_request=create).SerializeToString())
            watch = await prompt.watch()
            for number in range(40):
                await shop.put(f"big{number % 3}", {f"/routes/big{number % 3}": LARGE[:-2] + b'%d"}' % number})
                await watch.line()
            async with asyncio.timeout(10):
                assert (await call.code()) is grpc.StatusCode.UNAVAILABLE
