"""A disk that is full while changes flow: they are served all the same, and a restart loses none of them."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from tests.agent.torture.lone_agent import VALUE, lone_agent
from tests.conformance.watch_client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    await made.finish()


def fill_disk(pid: int, max_file_bytes: int = resource.RLIM_INFINITY) -> None:
    """No file that a process writes grows above a size any more: beyond it, writes fail as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (max_file_bytes, resource.RLIM_INFINITY))


async def test_changes_are_served_while_nothing_can_be_kept_and_are_there_after_a_restart(
    client: Client, tmp_path: Path
):
    async with lone_agent(tmp_path) as agent:
        await client.range(agent.port)
        watch = await client.watch(agent.port)
        fill_disk(agent.pid, 1)
        for number in range(200):
            name = f"full-{number}"
            await agent.put(f"http/{name}", {f"/routes/{name}": VALUE % name.encode()})
        assert len(await watch.events(200)) == 200
        await agent.says("the state is served but not kept; free the disk")
        last = (await client.range(agent.port))["header"]["revision"]
        assert not agent.complaints()
        await watch.close()
        os.kill(agent.pid, signal.SIGKILL)
        await agent.start_again()
        found = await client.range(agent.port)
        assert (found["header"]["revision"], found["count"]) == (last, "216")
        again = await client.watch(agent.port, int(last) + 1)
        await agent.put("http/after", {"/routes/after": VALUE % b"after"})
        assert len(await again.events(1)) == 1


async def test_a_disk_that_has_room_again_is_used_again(client: Client, tmp_path: Path):
    async with lone_agent(tmp_path, base_retry_s=0.2) as agent:
        watch = await client.watch(agent.port)
        fill_disk(agent.pid, 1)
        await agent.put("http/full", {"/routes/full": VALUE % b"full"})
        await watch.events(1)
        await agent.says("the state is served but not kept; free the disk")
        fill_disk(agent.pid)
        await agent.says("the state is kept again")
        await watch.close()
