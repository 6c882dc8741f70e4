from __future__ import annotations

import asyncio
import base64
import os
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from agent import server as server_module
from agent.server import LAST_REQUESTS_S, Handover, raise_file_limit
from agent.state_directory import DirectoryTakenError, StateDirectory, StateDirectoryError
from agent.wire.http1 import HTTPConnection
from agent.wire.listening_socket import ListenError
from pipeline.log.contract import NewRecord, TopicSpec, WriterFencedError
from pipeline.log.url import open_log
from schemas.codec import decode
from schemas.keys import GENESIS_KEY
from schemas.records import NodeStatus
from tests.agent.memory_log import CREATED_MS, bundle, genesis
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import BUNDLES, DEADLINE_S, STATUS, Shop, running_agent
from tests.conformance.validators import Position
from tests.conformance.watch_client import read_answer, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline.log.contract import Log
    from tests.conformance.watch_client import Client

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def process(directory: Path, url: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """An agent that is killed with SIGKILL at the end, if it still lives."""
    arguments = [sys.executable, "-m", "tests.agent.agent_process", str(directory), *([url] if url else [])]
    made = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert made.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield made, int(await made.stdout.readline())
    finally:
        if made.returncode is None:
            made.kill()
        await made.wait()


def told(shop: Shop) -> list[tuple[str, NodeStatus]]:
    return [(key, decode(value, NodeStatus)) for _, key, value, *_ in shop.log.topics.get(STATUS, [])]


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what an agent does by itself and tells nobody."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_true():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.005)


async def fill(log: Log, first: int, last: int) -> None:
    writer = await log.writer("test")
    records = [
        NewRecord(f"u{number % 7}", bundle(f"u{number % 7}", number, {f"/routes/{number % 5}": b'{"v":%d}' % number}))
        for number in range(first, last)
    ]
    for record in records:
        await writer.append(BUNDLES, [record])


async def test_a_killed_agent_comes_back_the_same_without_the_log(client: Client, tmp_path: Path):
    url = f"sqlite://{tmp_path}/log.db"
    async with open_log(url) as log:
        await log.apply([TopicSpec(name, {"cleanup.policy": "compact"}) for name in (BUNDLES, STATUS)])
        await (await log.writer("test")).append(BUNDLES, [NewRecord(GENESIS_KEY, genesis())])
        await fill(log, 1, 20)
        async with process(tmp_path / "state", url) as (agent, port):
            await until_ready(client, port)
            watch = await client.watch(port)
            await fill(log, 20, 40)
            before = await client.range(port)
            while before["header"]["revision"] != str(CREATED_MS + 39):
                await watch.line()
                before = await client.range(port)
            agent.send_signal(signal.SIGKILL)
            assert await watch.is_closed()
    async with process(tmp_path / "state") as (_, port):
        after = await client.range(port)
        assert after == before
        assert (await client.ask(port, "/readyz", method="GET")).body.startswith(b"last-known-good from /")
        again = await client.watch(port, start_revision=watch.recording.last_revision)
        assert (await again.line()).header_revision == watch.recording.last_revision


async def test_two_nodes_give_one_offset_one_revision(client: Client, shop: Shop, tmp_path: Path):
    async with (
        running_agent(shop.log, tmp_path / "1", node="node-1") as first,
        running_agent(shop.log, tmp_path / "2", node="node-2") as second,
    ):
        for port in (first, second):
            await until_ready(client, port)
        watches = [await client.watch(first, node="node-1"), await client.watch(second, node="node-2")]
        for number in range(5):
            offset = await shop.route(f"n{number}")
            for watch in watches:
                line = await watch.line()
                client.positions.append(Position(watch.recording.node, offset, line.header_revision))
    assert len(client.positions) == 10


async def test_a_client_that_goes_away_frees_its_watch_at_once(client: Client, shop: Shop, tmp_path: Path, monkeypatch):
    fronts: list[server_module.Front] = []
    made = server_module.Front

    def remember(*arguments: object, **options: object) -> server_module.Front:
        fronts.append(made(*arguments, **options))
        return fronts[0]

    monkeypatch.setattr(server_module, "Front", remember)
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        watch = await client.watch(port)
        assert fronts[0].watcher_count == 1
        await watch.close()
        await until(lambda: not fronts[0].watcher_count)


async def test_watches_are_closed_without_a_last_chunk_when_the_agent_stops(client: Client, shop: Shop, tmp_path: Path):
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        watches = [await client.watch(port) for _ in range(120)]
    assert all([await watch.is_closed() for watch in watches])


async def test_the_status_says_what_is_served(client: Client, shop: Shop, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(server_module, "MIN_STATUS_AGE_S", 0.01)
    await shop.log.put(BUNDLES, "http/bad", b"no")
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        await until(lambda: any(status.is_live for _, status in told(shop)))
    key, status = told(shop)[-1]
    assert (key, status.node, status.view) == ("node-1", "node-1", "shop")
    assert (status.applied_revision, status.target_revision) == (CREATED_MS + 2, CREATED_MS + 2)
    assert [unit.unit_key for unit in status.rejected] == ["http/bad"]


async def test_a_second_agent_with_the_same_node_id_is_told(client: Client, shop: Shop, tmp_path: Path, caplog):
    async def fenced(*_: object) -> list[int]:
        raise WriterFencedError("a newer writer")

    shop.log.append = fenced  # type: ignore[method-assign]  # the log of a fenced writer
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        await until(lambda: "another agent has the same node id" in caplog.text)


async def test_a_base_is_written_by_itself(client: Client, shop: Shop, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(server_module, "BASE_CHECK_S", 0.01)
    monkeypatch.setattr("agent.replica.MIN_JOURNAL_BYTES", 10)
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        await until(lambda: bool(list(tmp_path.glob("base-*.snapshot"))))
        assert (await client.range(port))["count"] == "16"


async def test_a_taken_directory_and_a_taken_port_are_refused(shop: Shop, tmp_path: Path):
    async with running_agent(shop.log, tmp_path / "1") as port:
        with pytest.raises(StateDirectoryError, match=str(os.getpid())):
            async with running_agent(shop.log, tmp_path / "1"):
                pass
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another address"):
            async with running_agent(shop.log, tmp_path / "2", listen_port=port):
                pass


def test_the_file_limit_is_raised():
    raise_file_limit()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


async def test_the_state_is_let_go_of_before_the_watches_are_closed(
    client: Client, shop: Shop, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(server_module, "CLOSE_AT_ONCE", 1)
    order: list[str] = []
    aborted, released = HTTPConnection.abort, StateDirectory.release
    monkeypatch.setattr(HTTPConnection, "abort", lambda self: (order.append("closed"), aborted(self)))
    monkeypatch.setattr(StateDirectory, "release", lambda self: (order.append("released"), released(self)))
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        watches = [await client.watch(port) for _ in range(3)]
    assert all([await watch.is_closed() for watch in watches])
    assert order[:4] == ["released", "closed", "closed", "closed"]


async def test_a_request_that_has_arrived_is_answered_though_the_agent_stops(
    client: Client, shop: Shop, tmp_path: Path
):
    reader = None
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        reader, writer = await client.connect(port)
        writer.write(request("GET", "/version"))
    assert (await read_answer(reader)).status == 200
    assert await reader.read() == b""


async def test_a_successor_waits_until_the_state_is_let_go_of(client: Client, shop: Shop, tmp_path: Path):
    prepared = asyncio.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        async with running_agent(shop.log, tmp_path, sockets=(held,)) as port:
            await until_ready(client, port)
            watch = await client.watch(port)
            successor = AsyncExitStack()
            handover = Handover(prepared.set, DEADLINE_S)
            entering = asyncio.create_task(
                successor.enter_async_context(running_agent(shop.log, tmp_path, sockets=(held,), handover=handover))
            )
            await prepared.wait()
            assert not entering.done()
        assert await watch.is_closed()
        assert await entering == port
        async with successor:
            await client.watch(port, watch.recording.lines[-1].header_revision + 1)


async def test_a_successor_whose_predecessor_keeps_the_state_gives_up(shop: Shop, tmp_path: Path):
    handover = Handover(lambda: None, 0.02)
    async with running_agent(shop.log, tmp_path):
        with pytest.raises(DirectoryTakenError, match="in use by the agent with process id"):
            async with running_agent(shop.log, tmp_path, handover=handover):
                pass


async def test_watches_above_the_rate_are_told_to_come_back(client: Client, shop: Shop, tmp_path: Path):
    async with running_agent(shop.log, tmp_path, max_new_watches_per_s=0.001) as port:
        await until_ready(client, port)
        await client.watch(port)
        answer = await client.ask(port, "/v3/watch", b'{"create_request":{"key":"Lw=="}}')
        assert (answer.status, answer.json["code"]) == (503, 14)


async def test_metrics_say_what_is_served(client: Client, shop: Shop, tmp_path: Path):
    await shop.route("a")
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(client, port)
        found = await client.ask(port, "/metrics", method="GET")
    assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = found.body.decode().splitlines()
    assert "meshferry_agent_live 1.0" in lines
    assert any(line.startswith("meshferry_agent_objects ") and not line.endswith(" 0.0") for line in lines)


async def test_the_status_says_what_the_apisix_beside_it_has(client: Client, shop: Shop, tmp_path: Path):
    routes = b"[]"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        body = routes if path == b"/v1/routes" else b"{}"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    offset = await shop.route("only")
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as apisix:
        url = f"http://127.0.0.1:{apisix.sockets[0].getsockname()[1]}"
        async with running_agent(shop.log, tmp_path, control_api=url) as port:
            await until_ready(client, port)
            await until(lambda: told(shop) and told(shop)[-1][1].apisix is not None)
            before = told(shop)[-1][1].apisix
            keys = [
                (base64.b64decode(kv["key"]).decode(), kv["mod_revision"]) for kv in (await client.range(port))["kvs"]
            ]
            image = [(key, int(revision)) for key, revision in keys if "/routes/" in key and not key.endswith("/")]
            routes = orjson.dumps([{"key": key, "modifiedIndex": revision} for key, revision in image])
            await until(lambda: told(shop)[-1][1].apisix.behind == 0)
    assert before.is_reachable
    assert before.behind == len(image)
    assert told(shop)[-1][1].apisix.applied_revision == CREATED_MS + offset


async def test_a_connection_that_has_said_nothing_yet_is_answered_at_the_end(
    client: Client, shop: Shop, tmp_path: Path
):
    await shop.route("a")
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(running_agent(shop.log, tmp_path))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until_ready(client, port)  # by then the one before is accepted
        leaving = asyncio.create_task(stack.pop_all().aclose())
        await asyncio.sleep(2 * LAST_REQUESTS_S)
        writer.write(request("GET", "/version", b""))
        assert (await read_answer(reader)).status == 200
        await leaving
        writer.close()
