from __future__ import annotations

import pytest

from agent.store.delta import Change, Event
from agent.store.image import KeyValue
from agent.store.store import GenesisChangedError, MissingGenesisError, Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

R = CREATED_MS


def started(*records: tuple[str, bytes | None]) -> Store:
    """A store that has replayed a genesis and these records at offsets 1, 2 and so on."""
    store = Store()
    store.replay(0, GENESIS_KEY, genesis())
    for offset, (key, value) in enumerate(records, 1):
        store.replay(offset, key, value)
    return store


def unit(key: str, seq: int, **routes: bytes) -> tuple[str, bytes]:
    return key, bundle(key, seq, {f"/routes/{name}": value for name, value in routes.items()})


def values(store: Store) -> dict[bytes, bytes]:
    return {key: kv.value for key, kv in store.image.objects.items()}


def replay_again(store: Store, *records: tuple[int, str, bytes | None], life: bytes | None = None) -> list[Change]:
    store.begin_snapshot()
    store.replay(0, GENESIS_KEY, life or genesis())
    for record in records:
        assert store.replay(*record).events == ()
    return store.finish_snapshot()


def test_a_bundle_is_one_revision():
    store = started()
    change = store.replay(1, *unit("a", 1, x=b"{}", y=b"{}"))
    kv = KeyValue(b"{}", R + 1, R + 1, 1)
    assert change == Change(R + 1, (Event(b"/apisix/routes/x", kv, None), Event(b"/apisix/routes/y", kv, None)))
    assert store.image.keys == [b"/apisix/routes/x", b"/apisix/routes/y"]


def test_a_new_bundle_puts_what_changed_then_deletes_what_is_gone():
    store = started(unit("a", 1, gone=b"{}", same=b"{}", old=b"{}"))
    change = store.replay(2, *unit("a", 2, same=b"{}", old=b'{"a":1}', new=b"{}"))
    assert [(event.key[-4:], event.kv is None) for event in change.events] == [
        (b"/old", False),
        (b"/new", False),
        (b"gone", True),
    ]
    assert store.image.objects[b"/apisix/routes/same"].mod_revision == R + 1
    assert store.image.objects[b"/apisix/routes/old"] == KeyValue(b'{"a":1}', R + 1, R + 2, 2)


def test_a_bundle_that_changes_nothing_moves_only_the_header():
    store = started(unit("a", 1, x=b"{}"))
    assert store.replay(2, *unit("a", 2, x=b"{}")) == Change(R + 2, ())
    assert store.revision == R + 2
    assert len(store.history) == 1


def test_an_object_lives_while_any_bundle_carries_it():
    store = started(unit("a", 1, x=b'{"v":1}'), unit("b", 2, x=b'{"v":2}'))
    assert values(store) == {b"/apisix/routes/x": b'{"v":2}'}
    assert store.replay(3, "b", None).events[0].kv == KeyValue(b'{"v":1}', R + 1, R + 3, 3)
    assert store.replay(4, "a", None).events[0].kv is None
    assert values(store) == {}
    assert store.image.carriers == {}


def test_the_first_of_two_carriers_may_go_without_an_event():
    store = started(unit("a", 1, x=b'{"v":1}'), unit("b", 2, x=b'{"v":2}'))
    assert store.replay(3, "a", None).events == ()


def test_a_lower_seq_is_ignored():
    store = started(unit("a", 7, x=b'{"v":7}'))
    assert store.replay(2, *unit("a", 6, x=b'{"v":6}')) == Change(R + 2, ())
    assert values(store) == {b"/apisix/routes/x": b'{"v":7}'}


def test_a_tombstone_for_an_unknown_key_is_normal():
    assert started().replay(1, "never", None) == Change(R + 1, ())


def test_a_record_replayed_twice_changes_nothing():
    store = started(unit("a", 1, x=b"{}"), ("a", None))
    assert store.replay(1, *unit("a", 1, x=b"{}")) == Change(R + 2, ())
    assert values(store) == {}


def test_a_rejected_bundle_leaves_the_last_good_state_and_is_reported():
    store = started(unit("a", 1, x=b"{}"), ("a", b"\xc3\x01garbage-garbage"), unit("b", 1, y=b"{}"))
    assert values(store) == {b"/apisix/routes/x": b"{}", b"/apisix/routes/y": b"{}"}
    assert "unknown to this build" in store.image.rejected["a"]
    store.replay(4, *unit("a", 4, x=b'{"v":2}'))
    assert store.image.rejected == {}


def test_a_tombstone_ends_a_rejection():
    store = started(("a", b"no"))
    store.replay(2, "a", None)
    assert store.image.rejected == {}


def test_units_before_any_genesis_are_refused():
    store = Store()
    with pytest.raises(MissingGenesisError):
        store.replay(0, *unit("a", 1, x=b"{}"))
    store.replay(1, GENESIS_KEY, b"not a genesis")
    assert GENESIS_KEY in store.image.rejected
    assert not store.image.is_ready


def test_a_genesis_beyond_lua_is_unreadable():
    store = Store()
    store.replay(0, GENESIS_KEY, genesis(created_ms=10**14))
    assert "out of range" in store.image.rejected[GENESIS_KEY]


def test_another_genesis_asks_for_a_full_read():
    store = started(unit("a", 1, x=b"{}"))
    with pytest.raises(GenesisChangedError):
        store.replay(2, GENESIS_KEY, genesis(life="life-2"))
    assert store.replay(2, GENESIS_KEY, genesis()) == Change(R + 2, ())
    assert store.replay(2, GENESIS_KEY, None) == Change(R + 2, ())


def test_a_full_read_deletes_what_it_does_not_mention_in_one_revision():
    store = started(unit("a", 1, x=b"{}"), unit("b", 2, y=b"{}"), unit("c", 3, z=b"{}"))
    changes = replay_again(store, (3, *unit("c", 3, z=b"{}")), (5, *unit("d", 5, w=b"{}")))
    assert [change.revision for change in changes] == [R + 5]
    assert [(event.key[-1:], event.kv is None) for event in changes[0].events] == [
        (b"w", False),
        (b"x", True),
        (b"y", True),
    ]
    assert store.image.objects[b"/apisix/routes/z"].mod_revision == R + 3
    assert list(store.history.after(R + 3)) == changes


def test_a_full_read_of_the_same_records_changes_nothing():
    records = [unit("a", 1, x=b'{"v":1}'), unit("b", 2, x=b'{"v":2}')]
    store = started(*records)
    assert replay_again(store, (1, *records[0]), (2, *records[1])) == []
    assert store.revision == R + 2
    assert store.image.objects[b"/apisix/routes/x"].mod_revision == R + 2


def test_a_full_read_takes_what_was_rejected_before():
    store = started(("a", b"no"), unit("b", 2, y=b"{}"))
    changes = replay_again(store, (1, *unit("a", 1, x=b"{}")), (2, *unit("b", 2, y=b"{}")))
    assert [(change.revision, len(change.events)) for change in changes] == [(R + 3, 1)]
    assert store.image.shift == 1
    assert store.replay(3, "b", None).revision == R + 4


def test_a_full_read_keeps_the_last_good_state_of_a_unit_that_cannot_be_read():
    store = started(unit("a", 9, x=b"{}"))
    assert replay_again(store, (2, "a", b"no")) == []
    assert values(store) == {b"/apisix/routes/x": b"{}"}
    assert store.image.rejected.keys() == {"a"}
    store = started(unit("a", 9, x=b"{}"))
    assert replay_again(store, (2, "a", b"no"), life=genesis(life="life-2")) == []
    assert store.replay(3, *unit("a", 1, x=b'{"v":2}')).events


def test_within_a_full_read_the_last_record_counts_unless_its_seq_is_lower():
    store = started()
    replay_again(
        store,
        (1, *unit("a", 5, x=b'{"v":5}')),
        (2, *unit("a", 4, x=b'{"v":4}')),
        (3, *unit("b", 1, y=b"{}")),
        (4, "b", None),
        (5, "c", b"no"),
        (6, *unit("c", 1, z=b"{}")),
    )
    assert values(store) == {b"/apisix/routes/x": b'{"v":5}', b"/apisix/routes/z": b"{}"}
    assert store.image.objects[b"/apisix/routes/x"].mod_revision == R + 1
    assert store.image.rejected == {}
    assert store.image.is_ready


def test_a_full_read_of_the_same_life_ignores_a_lower_seq():
    store = started(unit("a", 9, x=b"{}"))
    assert replay_again(store, (5, *unit("a", 8, x=b'{"v":8}'))) == []


@pytest.mark.parametrize("created_ms", [R - 10**6, R + 10**6])
def test_a_topic_created_again_never_takes_revisions_back(created_ms: int):
    store = started(unit("a", 50, x=b"{}"), unit("b", 51, y=b"{}"))
    before = store.revision
    changes = replay_again(store, (1, *unit("a", 3, x=b'{"v":2}')), life=genesis(created_ms, "life-2"))
    assert [change.revision for change in changes] == [max(before + 1, created_ms) + 1]
    assert values(store) == {b"/apisix/routes/x": b'{"v":2}'}
    assert store.replay(2, *unit("a", 4, x=b"{}")).revision == changes[0].revision + 1
    assert (store.image.shift > 0) == (created_ms < R)


def test_agents_that_read_a_topic_created_again_up_to_different_records_agree():
    early, late = (started(unit("a", 50, x=b"{}")) for _ in range(2))
    records = [(at, *unit("a", at, x=b'{"v":%d}' % at)) for at in range(1, 4)]
    life = genesis(R - 10**6, "life-2")
    replay_again(early, records[0], life=life)
    for record in records[1:]:
        early.replay(*record)
    replay_again(late, *records, life=life)
    assert (early.revision, early.image.objects.keys()) == (late.revision, late.image.objects.keys())
    assert {kv.mod_revision for kv in (*early.image.objects.values(), *late.image.objects.values())} == {R + 5}


def test_units_before_the_genesis_count_in_a_first_read():
    store = Store()
    store.begin_snapshot()
    store.replay(4, *unit("a", 4, x=b"{}"))
    store.replay(5, GENESIS_KEY, b"no")
    store.replay(6, GENESIS_KEY, genesis())
    store.replay(7, *unit("b", 7, y=b"{}"))
    store.finish_snapshot()
    assert [kv.mod_revision for kv in store.image.objects.values()] == [R + 4, R + 7]
    assert (store.revision, store.image.rejected) == (R + 7, {})


def test_a_first_read_over_two_lives_ends_in_the_second():
    store = Store()
    store.begin_snapshot()
    for offset, life in ((0, "life-1"), (2, "life-2")):
        store.replay(offset, GENESIS_KEY, genesis(R + 1000 * offset, life))
        store.replay(offset + 1, *unit("a", offset, x=b'{"v":%d}' % offset))
    store.finish_snapshot()
    assert store.image.provenance == (R + 2000, "life-2", 3)
    assert store.image.objects[b"/apisix/routes/x"].mod_revision == store.revision == R + 2003


def test_a_first_read_without_genesis_is_no_state():
    store = Store()
    store.begin_snapshot()
    store.replay(0, GENESIS_KEY, b"no")
    store.replay(1, *unit("a", 1, x=b"{}"))
    with pytest.raises(MissingGenesisError):
        store.finish_snapshot()
    assert store.image.rejected.keys() == {GENESIS_KEY}
    assert not store.image.is_ready


def test_a_mirror_with_other_offsets_never_takes_revisions_back():
    store = started(unit("a", 1, x=b"{}"), unit("a", 2, x=b'{"v":2}'), unit("a", 3, x=b'{"v":3}'))
    assert replay_again(store, (1, *unit("a", 3, x=b'{"v":3}'))) == []
    assert store.revision == R + 3
    assert store.replay(2, *unit("a", 4, x=b"{}")).revision == R + 4


def test_a_full_read_without_genesis_changes_nothing():
    store = started(unit("a", 1, x=b"{}"))
    store.begin_snapshot()
    store.replay(5, GENESIS_KEY, b"no")
    store.replay(6, "a", None)
    with pytest.raises(MissingGenesisError):
        store.finish_snapshot()
    assert values(store) == {b"/apisix/routes/x": b"{}"}
    assert not store.is_reading


def test_an_abandoned_read_changes_nothing():
    store = started(unit("a", 1, x=b"{}"))
    store.begin_snapshot()
    store.replay(0, GENESIS_KEY, genesis())
    assert store.is_reading
    assert not store.has_read_units
    store.abandon_snapshot()
    assert not store.has_read_units
    assert values(store) == {b"/apisix/routes/x": b"{}"}


def test_an_empty_topic_gives_no_state():
    store = Store()
    assert replay_again(store) == []
    assert not store.image.is_ready
    assert store.revision == R
    assert store.history.floor == R


def test_the_first_full_read_leaves_no_history_to_resume_in():
    store = Store()
    replay_again(store, (1, *unit("a", 1, x=b"{}")), (2, *unit("b", 2, y=b"{}")))
    assert (store.history.floor, len(store.history)) == (R + 2, 0)
    assert [kv.mod_revision for kv in store.image.objects.values()] == [R + 1, R + 2]


def test_sealed_values_are_served_open_and_compared_open():
    store = Store(reveal=lambda _: b'{"key":"open"}')
    store.replay(0, GENESIS_KEY, genesis())
    store.replay(1, *unit("a", 1, x=b'{"key":"mfseal1.AAAA"}'))
    assert values(store) == {b"/apisix/routes/x": b'{"key":"open"}'}
    assert store.replay(2, *unit("a", 2, x=b'{"key":"mfseal1.BBBB"}')).events == ()
    assert store.image.units["a"].objects[b"/apisix/routes/x"].sealed == b'{"key":"mfseal1.BBBB"}'
