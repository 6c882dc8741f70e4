from __future__ import annotations

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from agent.store.directory import DIRECTORIES, PLACEHOLDER
from agent.store.history import History
from agent.store.range import (
    CompactedError,
    FutureRevisionError,
    RangeRequest,
    RangeResult,
    SortOrder,
    SortTarget,
    keys_between,
    lies_in,
    read_range,
)
from agent.store.store import Store
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis

R = CREATED_MS
UPSTREAMS = RangeRequest(b"/apisix/upstreams/", b"/apisix/upstreams0")


@pytest.fixture
def store() -> Store:
    """Upstreams 1 (created first, changed last), 2, 3."""
    made = Store(history=History(max_count=4))
    made.replay(0, GENESIS_KEY, genesis())
    for offset, (name, value) in enumerate((("1", b'{"v":9}'), ("2", b"{}"), ("3", b'{"v":5}'), ("1", b'{"v":1}')), 1):
        made.replay(offset, name, bundle(name, offset, {f"/upstreams/{name}": value}))
    made.replay(5, "1", bundle("1", 5, {"/upstreams/1": b'{"v":2}'}))
    return made


def names(result: RangeResult) -> list[str]:
    return [key.decode().rpartition("/")[2] for key, _ in result.kvs]


def test_one_key(store: Store):
    result = read_range(store, RangeRequest(b"/apisix/upstreams/1"))
    assert result == RangeResult([(b"/apisix/upstreams/1", store.image.objects[b"/apisix/upstreams/1"])], 1)
    assert read_range(store, RangeRequest(b"/apisix/upstreams/4")) == RangeResult([], 0)
    assert read_range(store, RangeRequest(b"/apisix/upstreams/")).kvs == [(b"/apisix/upstreams/", PLACEHOLDER)]


def test_a_directory_has_its_placeholder_first(store: Store):
    assert names(read_range(store, UPSTREAMS)) == ["", "1", "2", "3"]


def test_everything_has_all_placeholders(store: Store):
    result = read_range(store, RangeRequest(b"\0", b"\0"))
    assert result.total == len(DIRECTORIES) + 3
    assert [key for key, _ in result.kvs] == sorted(key for key, _ in result.kvs)
    assert read_range(store, RangeRequest(b"b", b"a")).total == 0


def test_limit_says_that_there_is_more(store: Store):
    result = read_range(store, UPSTREAMS._replace(limit=2))
    assert (names(result), result.total, result.has_more) == (["", "1"], 4, True)
    assert not read_range(store, UPSTREAMS._replace(limit=4)).has_more


def test_count_only(store: Store):
    assert read_range(store, UPSTREAMS._replace(count_only=True)) == RangeResult((), 4)


@pytest.mark.parametrize(
    ("order", "target", "found"),
    [
        (SortOrder.NONE, SortTarget.KEY, ["", "1", "2", "3"]),
        (SortOrder.ASCEND, SortTarget.KEY, ["", "1", "2", "3"]),
        (SortOrder.DESCEND, SortTarget.KEY, ["3", "2", "1", ""]),
        (SortOrder.NONE, SortTarget.MOD, ["", "2", "3", "1"]),
        (SortOrder.DESCEND, SortTarget.VERSION, ["1", "", "2", "3"]),
        (SortOrder.DESCEND, SortTarget.CREATE, ["3", "2", "1", ""]),
        (SortOrder.ASCEND, SortTarget.VALUE, ["", "1", "3", "2"]),
    ],
)
def test_sorting(store: Store, order: SortOrder, target: SortTarget, found: list[str]):
    assert names(read_range(store, UPSTREAMS._replace(sort_order=order, sort_target=target))) == found


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ({"min_mod_revision": R + 3}, ["1", "3"]),
        ({"max_mod_revision": R + 3}, ["", "2", "3"]),
        ({"min_create_revision": R + 2}, ["2", "3"]),
        ({"max_create_revision": R + 1}, ["", "1"]),
    ],
)
def test_revision_bounds_filter_but_do_not_count(store: Store, bounds: dict[str, int], found: list[str]):
    result = read_range(store, UPSTREAMS._replace(**bounds))
    assert (names(result), result.total) == (found, 4)


def test_an_old_revision_shows_what_was(store: Store):
    store.replay(6, "2", None)
    then = read_range(store, UPSTREAMS._replace(revision=R + 3))
    assert [(key[-1:], kv.value) for key, kv in then.kvs] == [
        (b"/", b"init_dir"),
        (b"1", b'{"v":9}'),
        (b"2", b"{}"),
        (b"3", b'{"v":5}'),
    ]
    assert names(read_range(store, UPSTREAMS._replace(revision=R + 6))) == ["", "1", "3"]
    assert names(read_range(store, UPSTREAMS._replace(revision=R + 2))) == ["", "1", "2"]


def test_revisions_out_of_reach(store: Store):
    with pytest.raises(FutureRevisionError):
        read_range(store, UPSTREAMS._replace(revision=R + 6))
    with pytest.raises(CompactedError):
        read_range(store, UPSTREAMS._replace(revision=R))


KEYS = st.binary(min_size=1, max_size=3)


@seed(5)
@given(st.sets(KEYS), KEYS, st.one_of(st.just(b""), st.just(b"\0"), KEYS))
def test_a_cut_of_the_order_is_what_lies_in_the_range(keys: set[bytes], start: bytes, end: bytes):
    found = list(keys_between(sorted(keys), start, end))
    assert found == [key for key in sorted(keys) if lies_in(key, start, end)]
