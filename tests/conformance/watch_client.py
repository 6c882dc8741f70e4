"""A small HTTP client of the agent that remembers everything it saw, chunk by chunk."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tests.conformance.validators import Event, Line, Position, Reading, Recording, validate

if TYPE_CHECKING:
    import ssl

PREFIX, PREFIX_END = b"/apisix/", b"/apisix0"
DEADLINE_S = 10.0


class Answer(NamedTuple):
    """A complete HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: agent\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def range_body(key: bytes = b"/apisix", range_end: bytes = b"/apisiy", **fields: object) -> bytes:
    return orjson.dumps({"key": b64(key), "range_end": b64(range_end), **fields})


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    status, headers = await read_head(reader)
    if headers.get("transfer-encoding") == "chunked":
        return Answer(status, headers, await read_chunks(reader))
    return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a chunked body to its end, trailers included; an agent answers in one piece, a real etcd not always."""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readuntil(b"\r\n"), 16)
    data = await reader.readexactly(size)
    assert await reader.readexactly(2) == b"\r\n"
    return data


def parse_line(data: bytes) -> Line:
    """Parse one line; the shape is that of etcd's gateway."""
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 1
    result = orjson.loads(data)["result"]
    events = tuple(
        Event(
            base64.b64decode(event["kv"]["key"]),
            None if event.get("type") == "DELETE" else base64.b64decode(event["kv"]["value"]),
            int(event["kv"]["mod_revision"]),
        )
        for event in result.get("events", ())
    )
    return Line(
        int(result["header"].get("revision", 0)),
        events,
        result.get("created", False),
        result.get("canceled", False),
        int(result.get("compact_revision", 0)),
    )


class Watch:
    """An open watch."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recording: Recording) -> None:
        self.recording = recording
        self.chunks: list[bytes] = []
        self.heartbeat_count = 0
        self._reader = reader
        self._writer = writer

    async def chunk(self) -> bytes:
        """Give the next chunk, heartbeats included."""
        async with asyncio.timeout(DEADLINE_S):
            data = await read_chunk(self._reader)
        self.chunks.append(data)
        if not data:
            return data
        if data == b" ":
            self.heartbeat_count += 1
        else:
            self.recording.lines.append(parse_line(data))
        return data

    async def line(self) -> Line:
        """Give the next line."""
        while await self.chunk() == b" ":
            pass
        return self.recording.lines[-1]

    async def events(self, count: int) -> list[Event]:
        """Give the next events, as many as are asked for, over as many lines as they come in."""
        found: list[Event] = []
        while len(found) < count:
            found += (await self.line()).events
        assert len(found) == count
        return found

    async def is_closed(self) -> bool:
        """Take what still comes until the server closes; False if it closed with a last chunk."""
        try:
            while await self.chunk():
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return True
        return False

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def close(self) -> None:
        await close(self._writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class Client:
    """Talks to one agent after the other and remembers; `validate` runs the nine guarantees on all of it.

    `tls` and `token`, once set, are used for everything that follows.
    """

    def __init__(self) -> None:
        self.tls: ssl.SSLContext | None = None
        self.token = ""
        self.recordings: list[Recording] = []
        self.readings: list[Reading] = []
        self.positions: list[Position] = []
        self.headers: list[int] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection that `close` closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self.tls)
        self._writers.append(writer)
        return reader, writer

    @property
    def authorization(self) -> str:
        return f"Authorization: {self.token}\r\n" if self.token else ""

    async def ask(self, port: int, path: str, body: bytes = b"", method: str = "POST") -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self.tls)
        try:
            writer.write(request(method, path, body, self.authorization))
            async with asyncio.timeout(DEADLINE_S):
                return await read_answer(reader)
        finally:
            await close(writer)

    async def range(self, port: int, body: bytes = range_body()) -> dict[str, Any]:
        """Read a Range and remember its revision, and what it shows if it is a full one."""
        answer = await self.ask(port, "/v3/kv/range", body)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json
        self.headers.append(int(found["header"]["revision"]))
        if body == range_body():
            values = {base64.b64decode(kv["key"]): base64.b64decode(kv["value"]) for kv in found["kvs"]}
            self.readings.append(Reading(self.headers[-1], values))
        return found

    async def watch(
        self,
        port: int,
        start_revision: int = 0,
        key: bytes = PREFIX,
        range_end: bytes = PREFIX_END,
        node: str = "node",
        **fields: object,
    ) -> Watch:
        """Open a watch and read as far as its `created` line."""
        create = {"key": b64(key), "range_end": b64(range_end), "start_revision": start_revision, **fields}
        reader, writer = await self.connect(port)
        recording = Recording(key, range_end, start_revision, node, is_filtered=bool(fields))
        watch = Watch(reader, writer, recording)
        writer.write(request("POST", "/v3/watch", orjson.dumps({"create_request": create}), self.authorization))
        async with asyncio.timeout(DEADLINE_S):
            status, headers = await read_head(reader)
        assert status == 200
        assert headers["transfer-encoding"] == "chunked"
        created = await watch.line()
        assert created.is_created
        assert not created.events
        self.recordings.append(recording)
        self.headers.append(created.header_revision)
        return watch

    async def close(self) -> None:
        """Close every connection, also after a failure: one that is left open fails the tests that follow."""
        while self._writers:
            await close(self._writers.pop())

    async def finish(self) -> None:
        """Close everything and validate it."""
        await self.close()
        validate(self.recordings, self.readings, self.positions, self.headers)
