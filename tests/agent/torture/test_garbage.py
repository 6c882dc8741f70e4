"""Records that cannot be served, while clients watch: each costs its own unit and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from agent.store.bundle import MAX_BUNDLE_BYTES
from pipeline.log.contract import NewRecord
from schemas.codec import encode
from schemas.keys import GENESIS_KEY
from schemas.records import Bundle, BundleClass, Diagnostic, EtcdObject, Genesis, Severity
from tests.agent.memory_log import CREATED_MS, bundle
from tests.agent.torture.lone_agent import VALUE, LoneAgent, lone_agent
from tests.conformance.watch_client import Client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LATE_SEQ = 1_000_000
GOOD = bundle("http/r1", LATE_SEQ, {"/routes/r1": b"{}"})
FATAL = Diagnostic("X", Severity.FATAL, "c", "t", "n", "p", "v", "e", "r")


def mutated(seed: int) -> bytes:
    """A bundle with a few bytes changed or its end cut off."""
    rng, data = random.Random(seed), bytearray(GOOD)
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data[: rng.choice((len(data), rng.randrange(len(data))))])


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "no record": b"no record at all",
    "text": b'{"unit_key": "http/r1"}',
    "cut off": GOOD[:-3],
    "of an unknown schema": GOOD[:2] + bytes(8) + GOOD[10:],
    "another record": encode(Genesis("shop", CREATED_MS, "x")),
    "of another unit": bundle("http/r2", LATE_SEQ, {"/routes/r1": b"{}"}),
    "oversized": bundle("http/r1", LATE_SEQ, {"/routes/r1": b'{"a":"%b"}' % (b"x" * MAX_BUNDLE_BYTES)}),
    "value is no JSON": bundle("http/r1", LATE_SEQ, {"/routes/r1": b"init_dir"}),
    "value is null": bundle("http/r1", LATE_SEQ, {"/routes/r1": b"null"}),
    "in no directory": bundle("http/r1", LATE_SEQ, {"/secret/r1": b"{}"}),
    "of a failed translation": encode(
        Bundle("http/r1", BundleClass.ROUTING, LATE_SEQ, (EtcdObject("/routes/r1", b"{}"),), (FATAL,))
    ),
}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    await made.finish()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[LoneAgent]:
    async with lone_agent(tmp_path, routes=3, max_message_bytes=MAX_BUNDLE_BYTES * 2) as made:
        yield made
        assert not made.complaints()


async def test_a_record_that_cannot_be_read_costs_its_own_unit_only(agent: LoneAgent, client: Client):
    await client.range(agent.port)
    watch = await client.watch(agent.port)
    for name, garbage in GARBAGE.items():
        await agent.append(NewRecord("http/r1", garbage))
        await agent.put("http/other", {"/routes/other": VALUE % name.encode()})
        (event,) = await watch.events(1)
        assert (event.key, event.value) == (b"/apisix/routes/other", VALUE % name.encode())
        assert (await agent.figures(client))["units_rejected"] == 1, name
    await agent.append(NewRecord("http/r1", GOOD))
    assert [event.value for event in await watch.events(1)] == [b"{}"]
    assert (await agent.figures(client))["units_rejected"] == 0
    await client.range(agent.port)


async def test_a_genesis_that_cannot_be_read_leaves_the_state(agent: LoneAgent, client: Client):
    watch = await client.watch(agent.port)
    await agent.append(NewRecord(GENESIS_KEY, b"no genesis"))
    await agent.put("http/other", {"/routes/other": VALUE % b"after"})
    assert len(await watch.events(1)) == 1
    assert (await client.range(agent.port))["count"] == "19"


async def test_random_bytes_never_stop_the_others(agent: LoneAgent, client: Client):
    """Where a mutation is still a bundle it is served; the next good one puts it right."""
    watch = await client.watch(agent.port)
    for seed in range(300):
        await agent.append(NewRecord("http/r1", mutated(seed)))
    await agent.put("http/other", {"/routes/other": VALUE % b"after"})
    while not any(event.key == b"/apisix/routes/other" for event in (await watch.line()).events):
        pass
    await agent.append(NewRecord("http/r1", bundle("http/r1", 2**62, {"/routes/r1": b'{"a":1}'})))
    while not any(event.value == b'{"a":1}' for event in (await watch.line()).events):
        pass


async def test_what_would_remove_too_much_is_not_taken(agent: LoneAgent, client: Client):
    many = {f"/routes/many-{number}": VALUE % b"many" for number in range(200)}
    await agent.put("http/many", many)
    while (await client.range(agent.port))["count"] != "218":
        pass
    watch = await client.watch(agent.port)
    await agent.append(NewRecord("http/many", None))
    await agent.put("http/other", {"/routes/other": VALUE % b"after"})
    (event,) = await watch.events(1)
    assert event.key == b"/apisix/routes/other"
    assert (await agent.figures(client))["units_rejected"] == 1
    assert (await client.range(agent.port))["count"] == "219"
