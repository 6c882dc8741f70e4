"""HTTP/1.1 as plainly as differential tests need it: nothing is normalised, header order and repeats are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_BODILESS = (204, 304)


@dataclass(frozen=True)
class Exchange:
    """An answer as it came; header names are lower-case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def has_forbidden_body(self) -> bool:
        """Whether a body follows that must not: Envoy gives a 204 the body of its local_reply_config."""
        return self.status in _BODILESS and dict(self.headers).get("content-length", "0") != "0"


def request_bytes(method: str, target: str, headers: list[tuple[str, str]], body_size: int = 0) -> bytes:
    """Write a request; with a body of this size, its Content-Length too."""
    if body_size:
        headers = [*headers, ("content-length", str(body_size))]
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + b"b" * body_size


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]]:
    """Read the first line and the headers."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    pairs = (line.partition(":") for line in lines)
    return first, [(name.lower(), value.strip()) for name, _, value in pairs]


async def read_response(reader: asyncio.StreamReader, method: str) -> Exchange:
    """Read an answer."""
    line, headers = await read_head(reader)
    status = int(line.split(" ")[1])
    known = dict(headers)
    if method == "HEAD" or status in _BODILESS:
        return Exchange(status, headers, b"")
    if known.get("transfer-encoding") == "chunked":
        return Exchange(status, headers, await _read_chunks(reader))
    return Exchange(status, headers, await reader.readexactly(int(known.get("content-length", "0"))))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        chunk = await reader.readexactly(size + 2)
        if not size:
            return body
        body += chunk[:-2]
