"""The agent without a parent: on a socket of systemd's, and on one of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.conformance.fixture import until_ready
from tests.conformance.watch_client import Client
from tests.pipeline.parent.supervised_agent import SupervisedAgent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SERVES = "agent: view shop as etcd v3 on"
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="meshferry-agent.socket")
os.execv(sys.executable, [sys.executable, "-m", "pipeline.cli", "agent", *sys.argv[2:]])
"""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    await made.finish()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[SupervisedAgent]:
    async with SupervisedAgent(tmp_path) as made:
        yield made


async def activate(agent: SupervisedAgent, held: socket.socket) -> None:
    """Start the agent as systemd does."""
    await agent.start(program=("-c", ACTIVATE, str(held.fileno())), fds=(held.fileno(),))


async def test_a_socket_of_systemd_is_served_without_a_parent_and_outlives_the_agent(
    agent: SupervisedAgent, client: Client
):
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as held:
        agent.port = held.getsockname()[1]
        for _ in range(2):
            await activate(agent, held)
            waiting = asyncio.create_task(client.ask(agent.port, "/version", method="GET"))
            await agent.says(f"serves on the socket it was given, 127.0.0.1:{agent.port}")
            assert (await waiting).status == 200
            assert agent.children() == []
            assert await agent.stop() == 0
            agent.lines.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", agent.port)  # held, not refused
        writer.close()


async def test_a_reload_begins_anew_on_the_same_socket(agent: SupervisedAgent, client: Client):
    await agent.start("--no-supervise")
    await agent.says(SERVES)
    await until_ready(client, agent.port)
    watch = await client.watch(agent.port)
    agent.process.send_signal(signal.SIGHUP)
    await agent.says(SERVES, 2)
    assert await watch.is_closed()
    await client.range(agent.port)
    assert await agent.stop() == 0


async def test_a_reload_with_settings_that_cannot_be_used_changes_nothing(agent: SupervisedAgent, client: Client):
    await agent.start("--no-supervise")
    await agent.says(SERVES)
    await until_ready(client, agent.port)
    agent.settings.write_text("agent: {lisen: x}\n")
    agent.process.send_signal(signal.SIGHUP)
    await agent.says("unknown field `lisen`")
    await client.range(agent.port)


async def test_what_the_agent_does_not_use_and_what_it_reads_once_is_told(agent: SupervisedAgent, client: Client):
    await agent.start("--no-supervise")
    await agent.says(SERVES)
    await until_ready(client, agent.port)
    agent.settings.write_text(agent.settings.read_text() + "translator: {group: other}\n")
    await agent.says("settings read again: nothing of this role's has changed")
    agent.write_settings(listen="127.0.0.1:1", prefix="/other", state=f"{agent.settings.parent}/other")
    await agent.says("changed but only read at the start: agent.listen; restart the process to use it")
    await agent.says(f"127.0.0.1:{agent.port}, prefix /other")
    assert (await client.ask(agent.port, "/version", method="GET")).status == 200


async def test_the_state_of_another_prefix_is_neither_served_nor_pushed_out(agent: SupervisedAgent, client: Client):
    await agent.start("--no-supervise")
    await agent.says(SERVES)
    await until_ready(client, agent.port)
    agent.write_settings(prefix="/other")
    await agent.says("holds the state of view shop under the prefix /apisix, not of view shop under /other: choose")
    await client.range(agent.port)
    assert await agent.stop() == 0
    await agent.start("--no-supervise")
    assert await agent.ended() == 78
    assert "choose another directory (agent.state)" in agent.lines[-1]
    agent.write_settings()
    agent.lines.clear()
    await agent.start("--no-supervise")
    await agent.says(SERVES)
    await until_ready(client, agent.port)


async def test_a_handover_to_another_prefix_on_the_same_state_leaves_the_old_one_as_it_is(
    agent: SupervisedAgent, client: Client
):
    await agent.start()
    await agent.says(SERVES)
    await until_ready(client, agent.port)
    watch = await client.watch(agent.port)
    agent.write_settings(prefix="/other")
    agent.process.send_signal(signal.SIGHUP)
    await agent.says("choose another directory (agent.state)")
    await agent.route("2")
    assert len(await watch.events(1)) == 1
    assert await agent.stop() == 0


async def test_a_socket_that_cannot_be_used_is_1(agent: SupervisedAgent):
    with closing(socket.socket()) as deaf:
        await activate(agent, deaf)
        assert await agent.ended() == 1
    assert agent.lines[-1].startswith("meshferry: LISTEN_FDS: descriptor 3 is not a listening TCP socket; give the")
