"""The table of etcd-contract.md section 8: Debian's etcdctl 3.4 against an agent and against an etcd of its version."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from agent.etcd.auth import User
from tests.agent.memory_log import CREATED_MS
from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import Shop, running_agent
from tests.conformance.watch_client import Client
from tests.peers.real_etcd import RealEtcd, find_etcd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROUTES = {"1": b'{"uri":"/1"}', "2": b'{"uri":"/2"}'}
COMMANDS = (
    "get /apisix/routes/1",
    "get /apisix/routes/ --prefix",
    "get /apisix/routes/ --prefix --keys-only",
    "get /apisix/routes/ --prefix --print-value-only --limit=2",
    "get /apisix/routes/ /apisix/routes0 --order=DESCEND --sort-by=KEY",
    "get /apisix/routes/1 --from-key --limit=1",
    "get /nowhere",
    "get /apisix/routes/1 --rev=99999999999999",
    "put /apisix/plugins/ init_dir",
    "member list",
    "endpoint health",
    "endpoint status",
    "endpoint hashkv",
    "alarm list",
    "lease list",
    "lease grant 60",
    "lease revoke 7f",
    "lease keep-alive --once 7f",
    "lease timetolive 7f",
    "version",
)
WRITES = ("put /apisix/routes/1 {}", "del /apisix/routes/1", "compaction 1")
_MASKS = (
    (re.compile(r"127\.0\.0\.1:\d+|http://\S+"), "ADDRESS"),
    (re.compile(r"\b[0-9a-f]{15,16}\b"), "ID"),
    (re.compile(r"took = \S+"), "took = TIME"),
    (re.compile(r"\b\d+(\.\d+)? [kM]?B\b"), "SIZE"),
    (re.compile(r"\d+\.\d+\.\d+"), "X.Y.Z"),
    (re.compile(r"\b\d{2,}\b|(?<=true, false, )2, \d+, \d+"), "NUMBER"),
    (re.compile(r"2, NUMBER, NUMBER"), "NUMBER"),
    (re.compile(r"started, [\w-]+"), "started, NAME"),
)


def etcdctl(port: int, command: str, *options: str) -> tuple[int, str]:
    """Run etcdctl; gives its exit code and what it prints, without what differs between any two servers."""
    program = shutil.which("etcdctl")
    if program is None:
        pytest.fail("etcdctl is not on the PATH: install the package etcd-client")
    done = subprocess.run(
        [program, f"--endpoints=127.0.0.1:{port}", "--dial-timeout=5s", *options, *command.split()],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    text = (done.stdout + re.sub(rb'"ts":"[^"]*"', b"", done.stderr)).decode()
    error = re.search(r"rpc error: .*?(?=\"|$)|Error: .*", text)
    text = error[0] if done.returncode and error else text
    for pattern, put_instead in _MASKS:
        text = pattern.sub(put_instead, text)
    return done.returncode, text.strip()


@pytest.fixture(scope="module")
def of_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, str]]]:
    """What etcd 3.4 says to each command, with the tree of an agent."""
    server = RealEtcd(tmp_path_factory.mktemp("etcd"), [find_etcd()])
    try:
        for key, value in (("/apisix/routes/", b"init_dir"), *((f"/apisix/routes/{k}", v) for k, v in ROUTES.items())):
            etcdctl(server.port, f"put {key} {value.decode()}")
        yield {command: etcdctl(server.port, command) for command in COMMANDS}
    finally:
        server.stop()


async def _of_agent(directory: Path) -> dict[str, tuple[int, str]]:
    shop = Shop()
    await shop.open()
    for name, value in ROUTES.items():
        await shop.put(f"http/{name}", {f"/routes/{name}": value})
    async with running_agent(shop.log, directory) as port:
        await until_ready(Client(), port)
        return {command: await asyncio.to_thread(etcdctl, port, command) for command in (*COMMANDS, *WRITES)}


@pytest.fixture(scope="module")
def of_agent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """What an agent says to each command."""
    return asyncio.run(_of_agent(tmp_path_factory.mktemp("agent")))


@pytest.mark.parametrize("command", COMMANDS)
def test_etcdctl_cannot_tell_an_agent_from_etcd(
    of_etcd: dict[str, tuple[int, str]], of_agent: dict[str, tuple[int, str]], command: str
):
    assert of_agent[command] == of_etcd[command]


@pytest.mark.parametrize("command", WRITES)
def test_what_would_change_the_keys_is_refused(of_agent: dict[str, tuple[int, str]], command: str):
    code, text = of_agent[command]
    assert code
    assert "etcdserver: permission denied" in text


async def test_a_watch_tells_what_changes(tmp_path: Path):
    shop = Shop()
    await shop.open()
    offset = await shop.put("http/1", {"/routes/1": ROUTES["1"]})
    async with running_agent(shop.log, tmp_path) as port:
        await until_ready(Client(), port)
        await shop.put("http/1", {"/routes/1": ROUTES["2"]})
        options = ("watch", "/apisix/routes/", "--prefix", f"--rev={CREATED_MS + offset + 1}", "-w", "json")
        watch = await asyncio.create_subprocess_exec(
            "etcdctl",
            f"--endpoints=127.0.0.1:{port}",
            *options,
            env={**os.environ, "ETCDCTL_API": "3"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert watch.stdout is not None
        try:
            async with asyncio.timeout(10):
                first = json.loads(await watch.stdout.readline())
                await shop.remove("http/1")
                second = json.loads(await watch.stdout.readline())
        finally:
            watch.terminate()
            await watch.wait()
    assert base64.b64decode(first["Events"][0]["kv"]["value"]) == ROUTES["2"]
    assert second["Events"][0]["type"] == 1


@pytest.mark.parametrize(
    ("options", "is_allowed"),
    [((), False), (("--user=ops:wrong",), False), (("--user=ops:right",), True)],
)
async def test_users(tmp_path: Path, options: tuple[str, ...], is_allowed: bool):  # noqa: FBT001 - a table
    shop = Shop()
    await shop.open()
    await shop.put("http/1", {"/routes/1": ROUTES["1"]})
    users = (User("ops", "right", (b"/apisix/routes/",)),)
    async with running_agent(shop.log, tmp_path, users=users) as port:
        await until_ready(Client(), port)
        code, text = await asyncio.to_thread(etcdctl, port, "get /apisix/routes/1", *options)
        assert (code == 0, '{"uri":"/1"}' in text.replace("NUMBER", "1")) == (is_allowed, is_allowed)
        code, text = await asyncio.to_thread(etcdctl, port, "get /apisix/ssls/ --prefix", *options)
        assert code
        if is_allowed:
            assert "permission denied" in text
