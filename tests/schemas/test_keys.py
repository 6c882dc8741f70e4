from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import TopicKind, any_host_key, check_view, revision_of, topic, unit_key
from schemas.records import UnitKind

names = st.text(min_size=1, max_size=30)


@given(st.lists(names, min_size=4, max_size=4), st.lists(names, min_size=4, max_size=4))
def test_different_parts_give_different_unit_keys(left: list[str], right: list[str]):
    same = unit_key(UnitKind.HTTP, *left) == unit_key(UnitKind.HTTP, *right)
    assert same == (left == right)


@given(names, names, names, names)
def test_no_virtual_host_name_collides_with_the_any_host_unit(listener: str, chain: str, rc: str, host: str):
    assert unit_key(UnitKind.HTTP, listener, chain, rc, host) != any_host_key(listener, chain, rc)


def test_a_virtual_host_named_star_has_a_key_of_its_own():
    assert unit_key(UnitKind.HTTP, "l", "c", "r", "*") == "http/l/c/r/%2A"
    assert any_host_key("l", "c", "r") == "http/l/c/r/*"


def test_slashes_inside_a_name_are_escaped():
    assert unit_key(UnitKind.CLUSTER, "a/b%") == "cluster/a%2Fb%25"


def test_topic_names():
    assert topic("meshferry.", "gateway", TopicKind.BUNDLES) == "meshferry.gateway.bundles"


@pytest.mark.parametrize("view", ["", "A", "a_b", "a" * 41, "a.b", "a\n"])
def test_a_bad_view_name_is_refused(view: str):
    with pytest.raises(ValueError, match="view name"):
        check_view(view)


@given(st.integers(1, 2_000_000_000_000), st.integers(0, 10**9), st.integers(0, 10**6))
def test_revisions_rise_with_offsets(genesis_ms: int, offset: int, step: int):
    assert revision_of(genesis_ms, offset + step) - revision_of(genesis_ms, offset) == step


@pytest.mark.parametrize(("genesis_ms", "offset"), [(10**14, 0), (99_999_999_999_999, 1), (0, 0), (-5, 1)])
def test_a_revision_that_lua_cannot_carry_is_refused(genesis_ms: int, offset: int):
    with pytest.raises(ValueError, match="out of range"):
        revision_of(genesis_ms, offset)
