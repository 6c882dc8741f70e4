"""Flow control over sockets, on the standard loop and on uvloop, which is the loop of production; with TLS too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from agent.store.feed import MAX_SLICE_BYTES
from agent.wire.certificate import TLSContext
from agent.wire.http1 import HTTPConnection
from tests.agent.memory_log import CREATED_MS
from tests.conformance.authority import Authority
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import Shop, running_agent
from tests.conformance.watch_client import Client, range_body, read_answer, request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Scenario = Callable[[Client, Shop, int], Awaitable[None]]

LARGE = b'{"a":"%b"}' % (b"x" * 100_000)


@pytest.fixture(
    params=[(loop, is_tls) for loop in (asyncio.new_event_loop, uvloop.new_event_loop) for is_tls in (False, True)],
    ids=["asyncio", "asyncio-tls", "uvloop", "uvloop-tls"],
)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario against an agent and validates what its watches saw."""
    loop_factory, is_tls = request.param
    authority = Authority(tmp_path)
    tls = TLSContext(authority.issue("agent")) if is_tls else None

    async def bed(scenario: Scenario) -> None:
        shop, client = Shop(), Client()
        client.tls = authority.client() if is_tls else None
        await shop.open()
        await shop.put("big", {"/routes/big": LARGE})
        async with running_agent(shop.log, tmp_path / "state", tls=tls) as port:
            try:
                await until_ready(client, port)
                await scenario(client, shop, port)
            finally:
                await client.close()
        await client.finish()

    def runs(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(bed(scenario))

    return runs


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[HTTPConnection]:
    """The connections that could not take more at some time."""
    found: list[HTTPConnection] = []
    pause_writing = HTTPConnection.pause_writing

    def remember(connection: HTTPConnection) -> None:
        found.append(connection)
        pause_writing(connection)

    monkeypatch.setattr(HTTPConnection, "pause_writing", remember)
    return found


def test_a_watcher_that_reads_late_is_told_every_revision(run, paused: list[HTTPConnection]):
    async def scenario(client: Client, shop: Shop, port: int) -> None:
        late, prompt = await client.watch(port), await client.watch(port)
        for number in range(150):
            await shop.put(f"big{number}", {f"/routes/big{number}": LARGE})
            await prompt.line()
        assert len(paused) > 0
        told = [event.mod_revision for event in await late.events(150)]
        assert told == list(range(CREATED_MS + 2, CREATED_MS + 152))
        event_counts = [len(line.events) for line in late.recording.lines[1:]]
        assert max(event_counts) == MAX_SLICE_BYTES // len(LARGE) + 1
        assert event_counts.index(max(event_counts)) > 0

    run(scenario)


def test_a_publication_larger_than_the_buffer_is_told_whole_to_who_reads_late(run, paused: list[HTTPConnection]):
    async def scenario(client: Client, shop: Shop, port: int) -> None:
        late, prompt = await client.watch(port), await client.watch(port)
        await shop.batch(*({f"big{number}": {f"/routes/big{number}": LARGE}} for number in range(150)))
        for watch in (prompt, late):
            told = [event.mod_revision for event in await watch.events(150)]
            assert told == list(range(CREATED_MS + 2, CREATED_MS + 152))
            assert all(len(line.events) <= MAX_SLICE_BYTES // len(LARGE) + 1 for line in watch.recording.lines)
        assert len(paused) > 0
        await shop.route("after")
        for watch in (prompt, late):
            assert (await watch.line()).header_revision == CREATED_MS + 152

    run(scenario)


def test_a_watcher_the_history_left_behind_is_compacted_and_can_start_again(run, paused: list[HTTPConnection]):
    async def scenario(client: Client, shop: Shop, port: int) -> None:
        late, prompt = await client.watch(port), await client.watch(port)
        for number in range(300):
            await shop.put(f"big{number}", {f"/routes/big{number}": LARGE})
            await prompt.line()
        assert len(paused) > 0
        while not (line := await late.line()).is_canceled:
            pass
        again = await client.watch(port, start_revision=line.compact_revision)
        await shop.route("2")
        assert len((await again.line()).events) == 1

    run(scenario)


def test_a_client_that_asks_and_does_not_read_waits_for_its_answers(run, paused: list[HTTPConnection]):
    async def scenario(client: Client, _: Shop, port: int) -> None:
        reader, writer = await client.connect(port)
        writer.write(request("POST", "/v3/kv/range", range_body()) * 200 + request("GET", "/version"))
        async with asyncio.timeout(10):
            while not paused:  # noqa: ASYNC110 - the server says nothing when it stops reading
                await asyncio.sleep(0)
        answers = [await read_answer(reader) for _ in range(201)]
        assert [answer.status for answer in answers] == [200] * 201
        assert len({answer.body for answer in answers}) == 2

    run(scenario)
