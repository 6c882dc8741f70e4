from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from agent.neighbour import ForeignAnswerError
from agent.wire.control_api import ControlAPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUTES = b'[{"key":"/apisix/routes/a","modifiedIndex":7}]'
UPSTREAMS = b'[{"key":"/apisix/upstreams/u","modifiedIndex":9}]'


@asynccontextmanager
async def answering(answers: dict[str, bytes]) -> AsyncIterator[ControlAPI]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        writer.write(answers[path])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield ControlAPI(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def test_routes_and_upstreams_are_listed_together():
    async with answering({"/v1/routes": ok(ROUTES), "/v1/upstreams": ok(UPSTREAMS)}) as control_api:
        assert await control_api.listing() == {b"/apisix/routes/a": 7, b"/apisix/upstreams/u": 9}


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"220 smtp\r\n", ok(b"hi")])
async def test_what_is_no_control_api(answer: bytes):
    async with answering({"/v1/routes": answer}) as control_api:
        with pytest.raises(ForeignAnswerError):
            await control_api.listing()


async def test_nobody_there():
    async with answering({}) as control_api:
        pass
    with pytest.raises(OSError, match="refused"):
        await control_api.listing()
