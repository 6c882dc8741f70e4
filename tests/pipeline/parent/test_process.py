from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.conformance.fixture import until_ready
from tests.conformance.watch_client import Client
from tests.pipeline.parent.supervised_agent import SupervisedAgent, gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVES = "agent: view shop as etcd v3 on"
MAX_PARENT_KB = 15 << 10
DELIVERED_S = 5.0
"""A bound for any machine; bench/handover.py has the figure."""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    await made.finish()


@pytest.fixture
async def agent(tmp_path: Path, client: Client) -> AsyncIterator[SupervisedAgent]:
    async with SupervisedAgent(tmp_path) as made:
        await made.start()
        await made.says(SERVES)
        await until_ready(client, made.port)
        yield made
        await client.close()


class Hammer:
    """Connects and asks in a loop; a request may be cut off by a kill, a connect is never refused."""

    def __init__(self, client: Client, port: int) -> None:
        self.answered = self.refused = self.cut_off = 0
        self._client = client
        self._port = port
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                await self._client.range(self._port)
            except ConnectionRefusedError:
                self.refused += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                self.cut_off += 1
            else:
                self.answered += 1

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


async def test_the_parent_is_tiny_and_accepts_nothing(agent: SupervisedAgent, client: Client):
    await client.range(agent.port)
    status, maps = agent.proc("status"), agent.proc("maps")
    assert next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) < MAX_PARENT_KB
    assert not any(name in maps for name in ("protobuf", "aiokafka", "uvloop", "msgspec", "_asyncio"))


async def test_a_killed_server_is_replaced_and_a_new_change_is_delivered(agent: SupervisedAgent, client: Client):
    watch = await client.watch(agent.port)
    hammer = Hammer(client, agent.port)
    for number in range(3):
        started_s = time.monotonic()
        os.kill(agent.child(), signal.SIGKILL)
        assert await watch.is_closed()
        await agent.route(f"after-{number}")
        watch = await client.watch(agent.port, watch.recording.lines[-1].header_revision + 1)
        (event,) = await watch.events(1)
        assert event.key == b"/apisix/routes/after-%d" % number
        assert time.monotonic() - started_s < DELIVERED_S
        await agent.says(SERVES, number + 2)
    await hammer.stop()
    assert hammer.refused == 0
    assert hammer.answered
    assert hammer.cut_off <= 3
    assert await agent.stop() == 0


async def test_a_handover_refuses_nobody_and_cuts_off_no_request(agent: SupervisedAgent, client: Client):
    watch = await client.watch(agent.port)
    hammer = Hammer(client, agent.port)
    for number in range(3):
        old = agent.child()
        agent.process.send_signal(signal.SIGHUP)
        assert await watch.is_closed()
        await agent.route(f"after-{number}")
        watch = await client.watch(agent.port, watch.recording.lines[-1].header_revision + 1)
        await watch.events(1)
        await gone(old)
    await hammer.stop()
    assert (hammer.refused, hammer.cut_off) == (0, 0)
    assert hammer.answered
    assert await agent.stop() == 0


async def test_connections_that_come_while_no_server_lives_are_served_by_the_next_one(
    agent: SupervisedAgent, client: Client
):
    os.kill(agent.process.pid, signal.SIGSTOP)  # it cannot start another one yet
    os.kill(agent.child(), signal.SIGKILL)
    asked = [asyncio.create_task(client.range(agent.port)) for _ in range(20)]
    _, waiting = await asyncio.wait(asked, timeout=0.05)
    assert len(waiting) == 20
    os.kill(agent.process.pid, signal.SIGCONT)
    answers = await asyncio.gather(*asked)
    assert {answer["count"] for answer in answers} == {"16"}


async def test_settings_that_cannot_be_used_leave_the_old_server(agent: SupervisedAgent, client: Client):
    old = agent.child()
    agent.settings.write_text("agent: {lisen: x}\n")
    agent.process.send_signal(signal.SIGHUP)
    assert "unknown field `lisen`" in await agent.says("meshferry: ")
    await agent.says("the new process ended with code 78 before it could take over; the old one goes on")
    assert agent.child() == old
    await client.range(agent.port)


async def test_an_old_server_that_hangs_is_killed_so_that_the_new_one_can_serve(agent: SupervisedAgent, client: Client):
    old = agent.child()
    os.kill(old, signal.SIGSTOP)
    agent.process.send_signal(signal.SIGHUP)
    await agent.says(f"process {old} did not end within 10 s and is killed")
    await agent.says(SERVES, 2)
    await client.range(agent.port)


async def test_a_handover_cannot_move_the_socket_and_says_so(agent: SupervisedAgent, client: Client):
    agent.write_settings(listen="127.0.0.1:1")
    agent.process.send_signal(signal.SIGHUP)
    await agent.says("changed but only read at the start: agent.listen; restart the process to use it")
    await agent.says(SERVES, 2)
    await client.range(agent.port)


async def test_a_server_that_dies_over_broken_settings_ends_with_78(agent: SupervisedAgent):
    agent.settings.write_text("agent: {lisen: x}\n")
    os.kill(agent.child(), signal.SIGKILL)
    assert await agent.ended() == 78


async def test_settings_that_changed_are_taken_by_the_server_itself(agent: SupervisedAgent, client: Client):
    old = agent.child()
    watch = await client.watch(agent.port)
    agent.write_settings(prefix="/other", state=f"{agent.settings.parent}/other")
    await agent.says("prefix /other")
    assert await watch.is_closed()
    assert agent.child() == old


async def test_a_server_ends_when_its_parent_is_killed(agent: SupervisedAgent, client: Client):
    watch, child = await client.watch(agent.port), agent.child()
    agent.process.kill()
    assert await watch.is_closed()
    await gone(child)
    with pytest.raises(ConnectionRefusedError):
        await client.range(agent.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_both_with_0(agent: SupervisedAgent, client: Client, number: signal.Signals):
    watch, child = await client.watch(agent.port), agent.child()
    agent.process.send_signal(number)
    assert await watch.is_closed()
    assert await agent.ended() == 0
    await gone(child)


async def test_a_server_that_cannot_start_ends_the_parent_with_its_code(tmp_path: Path):
    async with SupervisedAgent(tmp_path) as agent:
        agent.write_settings(state="/dev/null/agent")
        await agent.start()
        assert await agent.ended() == 1
        assert "choose a directory the agent can write" in agent.lines[-1]


async def test_it_says_what_happens_as_json_too(tmp_path: Path):
    async with SupervisedAgent(tmp_path) as agent:
        with agent.settings.open("a") as file:
            file.write("logging: {format: json}\n")
        await agent.start()
        await agent.says(SERVES)
        os.kill(agent.child(), signal.SIGKILL)
        line = await agent.says("was killed by signal 9")
        assert line.startswith('{"time": "')
        assert '"level": "WARNING", "logger": "meshferry.parent"' in line


async def test_systemd_is_told_of_the_service_as_a_whole(tmp_path: Path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as system:
        system.bind(str(tmp_path / "notify"))
        system.setblocking(False)  # noqa: FBT003 - takes no name
        loop = asyncio.get_running_loop()
        async with SupervisedAgent(tmp_path) as agent, asyncio.timeout(30):
            await agent.start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"})
            told = [f"STATUS=serving view shop on 127.0.0.1:{agent.port}", "READY=1"]
            for _ in range(2):
                heard: list[str] = []
                while not set(told) <= set(heard) or heard[-1] != "WATCHDOG=1":
                    heard += (await loop.sock_recv(system, 4096)).decode().split("\n")
                assert set(heard) == {*told, "WATCHDOG=1"}
                agent.process.send_signal(signal.SIGHUP)
            await agent.says(SERVES, 3)
            assert await agent.stop() == 0
            while (last := await loop.sock_recv(system, 4096)) != b"STOPPING=1":
                assert b"STOPPING" not in last
