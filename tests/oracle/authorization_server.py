"""An authorization service, for the real Envoy over HTTP and for the model of APISIX as a function.

It decides by what both protocols tell: Envoy sends the request's own method, path and headers, forward-auth has them in
X-Forwarded-*.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from tests.oracle.plugin.authorization import Question, Verdict
from tests.oracle.wire import read_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PREFIX = "/check"
REFUSAL_HEADERS = {"www-authenticate": "Basic", "x-why": "asked for", "x-secret": "s", "location": "/login"}
_TOLD = ("authorization", "x-a", "x-b", "x-added")


class Inquiry(NamedTuple):
    """What is asked, by either protocol."""

    method: str
    target: str
    host: str
    headers: dict[str, str]


def decide(inquiry: Inquiry) -> Verdict:
    """Refuse with the status that the path or the header x-a asks for, else tell the upstream what was seen."""
    wanted = inquiry.headers.get("x-a", "") or inquiry.target.rpartition("/deny")[2]
    if wanted.isdigit():
        return Verdict(int(wanted), REFUSAL_HEADERS, "refused")
    told = ",".join(f"{name}={inquiry.headers[name]}" for name in _TOLD if name in inquiry.headers)
    return Verdict(200, {"x-seen": f"{inquiry.method} {inquiry.host}{inquiry.target} {told}".strip(), "x-user": "bob"})


def authorize(question: Question) -> Verdict:
    """Answer forward-auth."""
    assert urlsplit(question.url).path == PREFIX, question
    told = question.headers
    return decide(
        Inquiry(told["x-forwarded-method"], told["x-forwarded-uri"], told["x-forwarded-host"], question.headers)
    )


@contextlib.asynccontextmanager
async def authorization_server() -> AsyncIterator[int]:
    """Run the service for Envoy and give its port."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            line, pairs = await read_head(reader)
            method, target, _ = line.split(" ", 2)
            headers = dict(pairs)
            await reader.readexactly(int(headers.get("content-length", "0")))
            assert target.startswith(PREFIX), target
            verdict = decide(Inquiry(method, target.removeprefix(PREFIX), headers["host"], headers))
            lines = [f"{name}: {value}" for name, value in verdict.headers.items()]
            head = [f"HTTP/1.1 {verdict.status} X", *lines, f"content-length: {len(verdict.body)}", "", verdict.body]
            writer.write("\r\n".join(head).encode())
            await writer.drain()
    writer.close()
