from __future__ import annotations

import orjson
import pytest

from agent.neighbour import ForeignAnswerError, judge, read_listing, unreachable
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from schemas.records import NeighbourStatus
from tests.agent.memory_log import CREATED_MS, bundle, genesis

R = CREATED_MS


@pytest.fixture
def store() -> Store:
    """Two routes, an upstream and an ssl object, each with a revision of its own; route c is gone again."""
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    keys = ("/routes/a", "/routes/b", "/upstreams/u", "/ssls/s", "/routes/c")
    for offset, key in enumerate(keys, 1):
        store.replay(offset, key, bundle(key, offset, {key: b"{}"}))
    store.replay(6, "/routes/c", None)
    return store


def listed(**revisions: int) -> dict[bytes, int]:
    places = {"a": "/routes/a", "b": "/routes/b", "u": "/upstreams/u", "c": "/routes/c", "x": "/routes/x"}
    return {f"/apisix{places[name]}".encode(): R + offset for name, offset in revisions.items()}


@pytest.mark.parametrize(
    ("found", "applied", "behind", "reason"),
    [
        (listed(a=1, b=2, u=3), 6, 0, ""),
        (listed(a=1, u=3), 1, 1, "it has not taken /apisix/routes/b"),
        (listed(a=1, b=1, u=3), 1, 1, "it has not taken /apisix/routes/b"),
        (listed(a=1, b=2, u=3, c=5), 5, 1, "it still has /apisix/routes/c"),
        (listed(a=1, b=2, c=5), 2, 2, "it has not taken /apisix/upstreams/u; it still has /apisix/routes/c"),
        (listed(a=1, b=2, u=3, x=1), -1, 1, "it still has /apisix/routes/x"),
    ],
)
def test_the_newest_revision_of_which_apisix_has_everything(
    store: Store, found: dict[bytes, int], applied: int, behind: int, reason: str
):
    assert judge(store.image, store.history, "/apisix", found) == NeighbourStatus(
        True,  # noqa: FBT003 - in the order of the record
        R + applied,
        behind,
        reason,
    )


def test_only_a_few_are_named():
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "u", bundle("u", 1, {f"/routes/{number}": b"{}" for number in range(9)}))
    found = judge(store.image, store.history, "/apisix", {})
    assert found.reason == "it has not taken /apisix/routes/0, /apisix/routes/1, /apisix/routes/2 and 6 more"


def test_a_listing_is_read_as_apisix_writes_it():
    body = [{"key": "/apisix/routes/a", "modifiedIndex": 7, "createdIndex": 3, "value": {"uri": "/"}}]
    assert read_listing(orjson.dumps(body)) == {b"/apisix/routes/a": 7}
    assert read_listing(b"{}") == {}
    assert read_listing(b"[]") == {}


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b'[{"key":"/a"}]', b'[{"key":1,"modifiedIndex":2}]', b"[1]"])
def test_what_no_control_api_answers(body: bytes):
    with pytest.raises(ForeignAnswerError):
        read_listing(body)


def test_no_answer():
    assert unreachable("why") == NeighbourStatus(False, 0, 0, "why")  # noqa: FBT003 - in the order of the record
