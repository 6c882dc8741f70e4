"""The calls of etcd-contract.md section 8, made by etcd's own client library, on etcd 3.4, on etcd 3.7 and on an agent.

What the two etcds answer differently no client can rely on; the rest is what an agent answers over gRPC, except what
stands in `DEVIATIONS`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.fixture import until_ready
from tests.conformance.running_agent import Shop, running_agent
from tests.conformance.watch_client import Client
from tests.peers.real_etcd import EmbeddedEtcd, RealEtcd, build_program, find_etcd, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Answers = dict[str, Any]

OPERATIONS = (
    "get",
    "get --prefix",
    "get --from-key",
    "get --prefix --limit",
    "get --prefix --keys-only",
    "get --prefix --count-only",
    "get --prefix --sort-by=MODIFY --order=DESCEND",
    "get --serializable",
    "get, a key that is not there",
    "get, no key",
    "get --rev, an old one",
    "get --rev, a future one",
    "watch --rev --prefix",
    "watch --rev, one key",
    "watch --rev --prev-kv",
    "watch, no puts",
    "watch, no deletes",
    "watch, fragment",
    "watch, two on one stream",
    "watch, created",
    "watch, progress asked for",
    "member list",
    "endpoint status",
    "endpoint health",
    "endpoint hashkv",
    "alarm list",
    "user without users",
    "lease list",
    "lease revoke, unknown",
    "lease keep-alive, unknown",
    "lease timetolive, unknown",
    "lease grant, keep-alive, timetolive, list, revoke",
    "put, a placeholder",
    "put, a resource",
    "del",
    "txn",
    "compaction, and a get and a watch before it",
)
REFUSALS = {
    "get, no key": ("InvalidArgument", "etcdserver: key is not provided"),
    "get --rev, a future one": ("OutOfRange", "etcdserver: mvcc: required revision is a future revision"),
    "user without users": ("FailedPrecondition", "etcdserver: authentication is not enabled"),
    "lease revoke, unknown": ("NotFound", "etcdserver: requested lease not found"),
    "lease keep-alive, unknown": ("NotFound", "etcdserver: requested lease not found"),
}
DENIED = {"code": "PermissionDenied", "message": "etcdserver: permission denied"}
DEVIATIONS: dict[str, Any] = {
    "put, a resource": DENIED,
    "del": DENIED,
    "txn": DENIED,
    "compaction, and a get and a watch before it": DENIED,
}
"""An agent is read-only (section 2.4), and nobody but itself bounds its history."""


async def _ask_agent(directory: Path) -> Answers:
    """Bring an agent to where `fill` brings an etcd, and ask it."""
    shop = Shop()
    await shop.open()
    await shop.route("seed")
    async with running_agent(shop.log, directory) as port:
        await until_ready(Client(), port)
        await shop.remove("http/seed")
        for name, uri in (("1", "/"), ("2", "/a"), ("2", "/b")):
            await shop.route(name, uri)
        await shop.remove("http/2")
        return await asyncio.to_thread(run_program, "ask", f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def of_agent(answers: tuple[Answers, Answers], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What an agent answers; the program is built by then."""
    assert answers
    return asyncio.run(_ask_agent(tmp_path_factory.mktemp("agent")))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Answers, Answers]]:
    """What a fresh etcd 3.4 and a fresh etcd 3.7 answer."""
    build_program()
    servers: list[RealEtcd] = []
    try:
        servers.append(RealEtcd(tmp_path_factory.mktemp("etcd34"), [find_etcd()]))
        servers.append(EmbeddedEtcd(tmp_path_factory.mktemp("etcd37")))
        for server in servers:
            run_program("fill", server.url)
        first, second = (run_program("ask", server.url) for server in servers)
        yield first, second
    finally:
        for server in servers:
            server.stop()


def test_every_call_was_made(answers: tuple[Answers, Answers]):
    assert [set(told) for told in answers] == [set(OPERATIONS)] * 2


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_answer_a_call_alike(answers: tuple[Answers, Answers], operation: str):
    first, second = (told[operation] for told in answers)
    assert first == second
    refusal = REFUSALS.get(operation)
    if refusal is None:
        assert "code" not in first
    else:
        assert (first["code"], first["message"]) == refusal


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_agent_answers_a_call_as_etcd_does(answers: tuple[Answers, Answers], of_agent: Answers, operation: str):
    wanted = answers[0][operation]
    if operation == "watch, no deletes":
        # etcd's header has the revision of the store, ours that of the last change the watch selects (rule 8).
        wanted = wanted | {"revision": of_agent[operation]["revision"]}
        assert wanted["revision"] == max(event["kv"]["mod"] for event in wanted["events"])
    assert of_agent[operation] == DEVIATIONS.get(operation, wanted)
    assert operation not in DEVIATIONS or DEVIATIONS[operation] != wanted
