"""The fixtures that conftest files of the agent's tests share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.conformance.running_agent import DEADLINE_S, Shop, running_agent
from tests.conformance.watch_client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client whose watches are validated when the test ends."""
    made = Client()
    yield made
    await made.finish()


@pytest.fixture
async def shop() -> Shop:
    """A view with a genesis and the route `/routes/1`."""
    made = Shop()
    await made.open()
    await made.route("1")
    return made


@pytest.fixture
async def port(shop: Shop, tmp_path: Path, client: Client) -> AsyncIterator[int]:
    """A ready agent of that view."""
    async with running_agent(shop.log, tmp_path / "state") as found:
        await until_ready(client, found)
        yield found


async def until_ready(client: Client, port: int, says: str = "live") -> None:
    """Wait until /readyz says that the agent is ready, and in which way."""
    async with asyncio.timeout(DEADLINE_S):
        while not (await client.ask(port, "/readyz", method="GET")).body.decode().startswith(says):  # noqa: ASYNC110 - the state is behind a socket
            await asyncio.sleep(0.005)
