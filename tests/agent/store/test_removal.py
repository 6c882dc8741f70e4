from __future__ import annotations

import pytest

from agent.store.delta import replace_unit
from agent.store.image import Carried, Image, UnitState
from agent.store.removal import UNLIMITED, RemovalLimit, removed_count
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

ROUTES = {f"/routes/{number}": b"{}" for number in range(10)}
HALF = RemovalLimit(0.5, 3)


def state(*keys: bytes) -> UnitState:
    return UnitState(1, {key: Carried(b"{}", b"{}") for key in keys})


@pytest.mark.parametrize(
    ("replaced", "count"),
    [
        ({"a": None}, 1),
        ({"a": None, "b": None}, 3),
        ({"a": state(b"new")}, 1),
        ({"a": state(b"only a")}, 0),
        ({"a": None, "b": state(b"only a", b"both")}, 1),
        ({"unknown": None}, 0),
    ],
)
def test_an_object_goes_with_its_last_carrier(replaced: dict[str, UnitState | None], count: int):
    image = Image()
    replace_unit(image, "a", state(b"only a", b"both"))
    replace_unit(image, "b", state(b"only b", b"both"))
    assert removed_count(image, replaced.items()) == count


def filled() -> Store:
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "big", bundle("big", 1, ROUTES))
    store.removal = HALF
    return store


@pytest.mark.parametrize(("left", "is_taken"), [(10, True), (5, True), (4, False), (0, False)])
def test_a_bundle_beyond_the_limit_leaves_the_last_good_state(left: int, is_taken: bool):  # noqa: FBT001 - a table
    store = filled()
    before = dict(store.image.objects)
    change = store.replay(2, "big", bundle("big", 2, dict(list(ROUTES.items())[:left])))
    assert len(store.image.objects) == (left if is_taken else 10)
    assert change.revision == CREATED_MS + 2
    if not is_taken:
        assert store.image.objects == before
        assert not change.events
        assert store.image.rejected["big"] == (
            f"it would remove {10 - left} of 10 objects, more than the agent's limit of 50%: "
            "if that is meant, raise agent.removal.share and restart the agent"
        )


def test_a_tombstone_is_judged_too_and_a_smaller_bundle_ends_the_rejection():
    store = filled()
    store.replay(2, "big", None)
    assert set(store.image.rejected) == {"big"}
    store.replay(3, "big", bundle("big", 2, dict(list(ROUTES.items())[:8])))
    assert not store.image.rejected
    assert len(store.image.objects) == 8


def test_few_objects_may_always_go():
    store = filled()
    store.removal = RemovalLimit(0.5, 11)
    store.replay(2, "big", None)
    assert not store.image.objects


def test_a_full_read_keeps_what_the_topic_does_not_mention_beyond_the_limit():
    store = filled()
    store.begin_snapshot()
    store.replay(0, GENESIS_KEY, genesis(CREATED_MS + 1000, "life-2"))
    store.replay(1, "small", bundle("small", 1, {"/routes/new": b"{}"}))
    store.finish_snapshot()
    assert len(store.image.objects) == 11
    assert store.image.rejected["big"].startswith("the topic does not mention it any more, but it would remove 10 of")
    store.removal = UNLIMITED
    store.begin_snapshot()
    store.replay(0, GENESIS_KEY, genesis(CREATED_MS + 1000, "life-2"))
    store.replay(1, "small", bundle("small", 1, {"/routes/new": b"{}"}))
    store.finish_snapshot()
    assert list(store.image.objects) == [b"/apisix/routes/new"]
    assert not store.image.rejected


def test_a_full_read_keeps_a_unit_whose_record_is_beyond_the_limit_and_takes_its_next_one_in_a_new_life():
    store = filled()
    store.begin_snapshot()
    store.replay(0, GENESIS_KEY, genesis(CREATED_MS + 1000, "life-2"))
    store.replay(1, "big", bundle("big", 1, {"/routes/1": b"{}"}))
    store.finish_snapshot()
    assert len(store.image.objects) == 10
    store.replay(2, "big", bundle("big", 1, dict(list(ROUTES.items())[:9])))
    assert len(store.image.objects) == 9
    assert not store.image.rejected
