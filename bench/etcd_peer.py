"""The servers of bench.etcd: our agent on a SQLite log, and etcd as it comes from Debian and from its Go module."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson

from bench.process import Server, free_port
from pipeline.log import NewRecord, TopicSpec, open_log
from schemas.codec import encode
from schemas.keys import GENESIS_KEY
from schemas.records import Bundle, BundleClass, EtcdObject, Genesis

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.log import Log, Writer

ROOT = Path(__file__).parents[1]
BUNDLES = "meshferry.bench.bundles"
TOPICS = [TopicSpec(f"meshferry.bench.{kind}", {}) for kind in ("units", "bundles", "control", "status")]
PUTS_PER_TXN = 100
ANSWER_TIMEOUT_S = 60.0
RETRY_S = 0.002
LOOK_S = 0.05


def b64(data: bytes) -> str:
    """Base64 as the gateway wants it."""
    return base64.b64encode(data).decode()


RANGE_BODY = {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0")}


class Fill(NamedTuple):
    """What a server is filled with: `count` routes of `value_bytes` or as many as a real one has."""

    count: int
    value_bytes: int = 0

    def key(self, index: int) -> str:
        """Give a key below the prefix."""
        return f"/routes/service-{index}.{index:016d}"

    def value(self, index: int, turn: int) -> bytes:
        """Make a route as the translator does, about 620 bytes."""
        route = {
            "desc": f"turn {turn:06d}",
            "hosts": [f"service-{index}.example.com", f"service-{index}.default.svc.cluster.local"],
            "labels": {"xds.rc": "9080", "xds.vh": f"service-{index}.example.com:9080"},
            "name": f"9080/service-{index}#{index:06d}",
            "priority": 1,
            "timeout": {"connect": 10, "read": 86400, "send": 86400},
            "upstream_id": f"service-{index}.t5ezuzod322ck4ue",
            "uris": ["/*"],
            "vars": [
                ["server_port", "==", "9080"],
                ["http_end_user", "==", "jason"],
                ["uri", "~~", "\\A/" + "x" * 120],
            ],
        }
        value = orjson.dumps(route, option=orjson.OPT_SORT_KEYS)
        if len(value) < self.value_bytes:
            route["desc"] += " " * (self.value_bytes - len(value))
            value = orjson.dumps(route, option=orjson.OPT_SORT_KEYS)
        return value


class Peer(Protocol):
    """A server under test."""

    server: Server

    async def start(self) -> None:
        """Fill it and wait until it has everything."""
        ...

    def launch(self) -> None:
        """Start its process on what it was filled with."""
        ...

    async def change(self, index: int, turn: int) -> None:
        """Change the value of one key."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


class Agent:
    """Our agent, under its parent, following a SQLite log with one bundle per route."""

    def __init__(self, folder: Path, fill: Fill) -> None:
        self.state = folder / "agent"
        self.server: Server
        self._folder = folder
        self._fill = fill
        self._log: Log
        self._writer: Writer

    async def start(self) -> None:
        """Fill the log and start the agent on it."""
        url = f"sqlite://{self._folder}/log.db"
        self._log = await open_log(url).__aenter__()
        await self._log.apply(TOPICS)
        self._writer = await self._log.writer("bench")
        genesis = Genesis("bench", time.time_ns() // 1_000_000, "bench")
        records = [NewRecord(GENESIS_KEY, encode(genesis))]
        records += [self._bundle(index, 0) for index in range(self._fill.count)]
        await self._writer.append(BUNDLES, records)
        self._port = free_port()
        (self._folder / "settings.yaml").write_text(
            f"log: {{url: '{url}'}}\nviews: {{bench: {{}}}}\n"
            f"agent: {{listen: '127.0.0.1:{self._port}', state: '{self.state}'}}\n"
        )
        self.launch()
        await first_answer(self._port, self._fill.count)

    def launch(self) -> None:
        """Start the process."""
        command = [sys.executable, "-m", "pipeline.cli", "agent", "--settings", f"{self._folder}/settings.yaml"]
        self.server = Server(command, self._port, self._folder / "agent.log")

    async def change(self, index: int, turn: int) -> None:
        """Append one bundle."""
        await self._writer.append(BUNDLES, [self._bundle(index, turn)])

    def _bundle(self, index: int, turn: int) -> NewRecord:
        key = f"http/l/c/r/service-{index}"
        objects = (EtcdObject(self._fill.key(index), self._fill.value(index, turn)),)
        return NewRecord(key, encode(Bundle(key, BundleClass.ROUTING, turn + 1, objects, ())))

    async def stop(self) -> None:
        """End the agent and close the log."""
        self.server.stop()
        await self._log.__aexit__(None, None, None)


class Etcd:
    """A real etcd; `program` is Debian's unless told otherwise."""

    def __init__(self, folder: Path, fill: Fill, program: str | None = None) -> None:
        self.server: Server
        self._folder = folder
        self._fill = fill
        self._program = program or debian_etcd()

    async def start(self) -> None:
        """Start it and put the same keys."""
        self._port, self._peer_port = free_port(), free_port()
        self.launch()
        for first in range(0, self._fill.count, PUTS_PER_TXN):
            indices = range(first, min(first + PUTS_PER_TXN, self._fill.count))
            puts = [{"request_put": self._put(index, 0)} for index in indices]
            await post(self._port, "/v3/kv/txn", {"success": puts})
        await first_answer(self._port, self._fill.count)

    def launch(self) -> None:
        """Start the process."""
        url, peer_url = f"http://127.0.0.1:{self._port}", f"http://127.0.0.1:{self._peer_port}"
        command = [self._program, "--data-dir", str(self._folder / "etcd"), "--listen-client-urls", url]
        command += ["--advertise-client-urls", url, "--listen-peer-urls", peer_url]
        command += ["--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}"]
        self.server = Server(command, self._port, self._folder / "etcd.log")

    async def change(self, index: int, turn: int) -> None:
        """Put one key."""
        await post(self._port, "/v3/kv/put", self._put(index, turn))

    def _put(self, index: int, turn: int) -> dict[str, str]:
        key = f"/apisix{self._fill.key(index)}".encode()
        return {"key": b64(key), "value": b64(self._fill.value(index, turn))}

    async def stop(self) -> None:
        """End it."""
        self.server.stop()


def debian_etcd() -> str:
    """Find Debian's etcd.

    Raises:
        RuntimeError: it is not installed.
    """
    program = shutil.which("etcd")
    if program is None:
        raise RuntimeError("etcd is not installed: `apt-get install etcd-server` brings the peer of this bench")
    return program


def module_etcd() -> str | None:
    """Build the etcd that bench/etcd_server/go.mod names; None without Go or where it cannot be built."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        return None
    program = ROOT / ".cache" / "etcd-server"
    command = [go, "build", "-mod=readonly", "-o", str(program), "go.etcd.io/etcd/server/v3"]
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false"}
    built = subprocess.run(command, cwd=ROOT / "bench" / "etcd_server", env=environment, check=False)
    return None if built.returncode else str(program)


def version_of(program: str) -> str:
    """Give `3.4.30` of an etcd."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return answer.partition("etcd Version: ")[2].split()[0]


def request(path: str, body: object) -> bytes:
    """Make the bytes of a POST."""
    data = orjson.dumps(body)
    return f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


async def read_response(reader: asyncio.StreamReader) -> bytes:
    """Read one unary response."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.split(b":")[1]))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


async def post(port: int, path: str, body: object) -> bytes:
    """One POST on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(request(path, body))
    answer = await read_response(reader)
    writer.close()
    return answer


async def first_answer(port: int, count: int) -> None:
    """Wait until the server answers with all keys; the answer has one of them.

    Raises:
        TimeoutError: it never had them.
    """
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                answer = await post(port, "/v3/kv/range", {**RANGE_BODY, "limit": 1})
                if int(orjson.loads(answer).get("count", 0)) >= count:
                    return
            await asyncio.sleep(RETRY_S)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that is seen by looking.

    Raises:
        TimeoutError: it never came.
    """
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while not holds():  # noqa: ASYNC110 - another process does it, nothing tells us
            await asyncio.sleep(LOOK_S)
