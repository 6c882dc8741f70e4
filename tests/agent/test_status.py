from __future__ import annotations

from typing import TYPE_CHECKING

from agent.status import MAX_REJECTED, build_status
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from schemas.records import NodeStatus, RejectedUnit
from tests.agent.memory_log import CREATED_MS, bundle, genesis

if TYPE_CHECKING:
    from agent.store.image import Image


def status(image: Image, target_offset: int) -> NodeStatus:
    return build_status(
        image, view="shop", node="n", target_offset=target_offset, watchers=3, is_live=True, time_ms=5, build="1.0"
    )


def test_a_node_that_has_everything():
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "a", bundle("a", 1, {}))
    revision = CREATED_MS + 1
    assert status(store.image, 1) == NodeStatus("n", "shop", revision, revision, 3, True, 5, "1.0", ())  # noqa: FBT003 - in the order of the record


def test_a_node_that_is_behind_and_has_rejected_something():
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, "b", b"no")
    store.replay(2, "a", b"no")
    found = status(store.image, 9)
    assert (found.applied_revision, found.target_revision) == (CREATED_MS + 2, CREATED_MS + 9)
    assert [unit.unit_key for unit in found.rejected] == ["a", "b"]
    assert found.rejected[0] == RejectedUnit("a", store.image.rejected["a"])


def test_how_old_the_last_good_state_is_counts_while_the_log_does_not_answer():
    common = {"view": "v", "node": "n", "target_offset": 0, "watchers": 0, "time_ms": 0, "build": "b"}
    found = [build_status(Store().image, is_live=live, last_good_age_ms=7, **common) for live in (True, False)]
    assert [status.last_good_age_ms for status in found] == [0, 7]


def test_a_node_without_a_state():
    assert status(Store().image, 7).target_revision == 0


def test_the_record_stays_small():
    store = Store()
    store.image.rejected = {f"u{number:04d}": "no" for number in range(500)}
    found = status(store.image, -1)
    assert len(found.rejected) == MAX_REJECTED
    assert found.rejected[0].unit_key == "u0000"
