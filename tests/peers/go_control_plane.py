"""Builds and runs tests/peers/gcp, a server on the caches of go-control-plane, and speaks to its control port."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".cache" / "gcp-peer"
BUILD_TIMEOUT_S = 900  # without a build cache the protos of Envoy take minutes
DEADLINE_S = 15.0
OPENER = build_opener(ProxyHandler({}))


class GoControlPlane:
    """The running program; one can serve many tests, each with a node id of its own."""

    def __init__(self, steady: str = "127.0.0.1:0") -> None:
        self._process = subprocess.Popen(
            [str(PROGRAM), "-steady", steady], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.ports: dict[str, str] = json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._process.stdout.close()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self.stop()

    def call(self, path: str, body: bytes | None = None, **query: str) -> bytes:
        url = f"http://{self.ports['control']}{path}?{urlencode(query)}"
        headers = {"content-type": "application/octet-stream"}
        with OPENER.open(Request(url, data=body, headers=headers), timeout=DEADLINE_S) as answer:
            return answer.read()


def find_go() -> str:
    """Give the compiler; a machine without it is a failure, for this peer is what the rules are tested against."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.fail(
            "go is not on the PATH nor in /usr/local/go: the tests against go-control-plane need Go 1.24 or newer; "
            "unpack it from https://go.dev/dl to /usr/local, or install the system's package (golang-go, golang)"
        )
    return go


def build_program() -> None:
    """Build the program; what stands in the way is a failure that says it."""
    PROGRAM.parent.mkdir(exist_ok=True)
    command = [find_go(), "build", "-mod=readonly", "-o", str(PROGRAM), "."]
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false"}
    built = subprocess.run(
        command,
        cwd=ROOT / "tests/peers/gcp",
        env=environment,
        capture_output=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if built.returncode:
        pytest.fail(f"{' '.join(command)}: {built.stderr.decode(errors='replace')[-2000:]}")


class GoNode:
    """What one node id is served, and what it said."""

    def __init__(self, server: GoControlPlane, node_id: str) -> None:
        self._server = server
        self.node_id = node_id
        self.journal: list[dict] = []

    async def snapshot(
        self, version: str, *messages, ttl_ms: dict[str, int] | None = None, beats: bool = False
    ) -> None:
        """Set everything, in a snapshot cache; resources named in `ttl_ms` get a TTL, renewed while the heart beats."""
        bodies = [_wrapped(message, (ttl_ms or {}).get(getattr(message, "name", ""))) for message in messages]
        await self._post("/snapshot", _response(version, "", bodies), beat="1" if beats else "")

    async def linear(self, type_url: str, *messages) -> None:
        """Set all resources of a type, in a linear cache; beside an earlier snapshot, in a mux cache with it."""
        await self._post("/linear", _response("", type_url, [xds.pack(message) for message in messages]))

    async def forget(self) -> None:
        """Have neither snapshot nor linear caches any more; open streams are told nothing."""
        await self._post("/forget")

    async def close(self) -> None:
        """End the streams and refuse new ones."""
        await self._post("/close", **{"is": "1"})

    async def open(self) -> None:
        """Serve streams again."""
        await self._post("/close")

    async def garble(self, type_url: str) -> None:
        """Add a resource that cannot be parsed to all responses of a type; to none with an empty type."""
        await self._post("/garble", type=type_url)

    async def kick(self, code: str) -> None:
        """End the streams with a gRPC status code, or `reset` the connection."""
        await self._post("/kick", code=code)

    async def _post(self, path: str, body: bytes = b"", **query: str) -> None:
        await asyncio.to_thread(self._server.call, path, body, node=self.node_id, **query)

    async def until(self, predicate: Callable[[], object]) -> None:
        """Read the journal until the predicate holds."""
        async with asyncio.timeout(DEADLINE_S):
            while not predicate():
                after = str(len(self.journal))
                more = await asyncio.to_thread(self._server.call, "/journal", node=self.node_id, after=after)
                self.journal += json.loads(more)

    def of(self, kind: str, type_url: str = "") -> list[dict]:
        return [e for e in self.journal if e["kind"] == kind and type_url in ("", e.get("type_url"))]

    def answers(self, stream_number: int) -> Counter[str]:
        """How many resources of each type have gone out on a stream, by short name; the first stream is 1."""
        stream = self.of("open")[stream_number - 1]["stream"]
        sent = Counter()
        for entry in self.of("response"):
            if entry["stream"] == stream:
                sent[entry["type_url"].rpartition(".")[2]] += entry.get("resource_count", 0)
        return sent

    def nacks(self, type_url: str) -> list[str]:
        """The texts of the NACKs of a type."""
        return [entry["error"] for entry in self.of("request", type_url) if "error" in entry]

    def acks(self, type_url: str) -> list[dict]:
        return [entry for entry in self.of("request", type_url) if "nonce" in entry and "error" not in entry]


def _response(version: str, type_url: str, bodies) -> bytes:
    response = xds.message_class("envoy.service.discovery.v3.DiscoveryResponse")
    return response(version_info=version, type_url=type_url, resources=bodies).SerializeToString()


def _wrapped(message, ttl_ms: int | None):
    if ttl_ms is None:
        return xds.pack(message)
    wrapper = xds.message_class("envoy.service.discovery.v3.Resource")(resource=xds.pack(message))
    wrapper.ttl.FromMilliseconds(ttl_ms)
    return xds.pack(wrapper)
