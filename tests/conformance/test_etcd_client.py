"""The calls of etcd-contract.md section 8, made by etcd's own client library, on etcd 3.4 and on etcd 3.7.

What the two answer differently no client can rely on; the rest is what an agent has to answer over gRPC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.peers.real_etcd import EmbeddedEtcd, RealEtcd, build_program, find_etcd, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

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
