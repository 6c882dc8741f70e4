from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.xds.interest import Interest, same_name
from schemas import xds


@pytest.mark.parametrize("names", [None, {"*"}, {"*", "a"}])
def test_a_wildcard_wants_everything_under_its_own_name(names):
    interest = Interest(xds.CLUSTER, names)
    assert (interest.answered("z"), interest.keys("z")) == (["z"], ["z"])


def test_what_nobody_asked_for_has_no_key():
    interest = Interest(xds.SECRET, {"a"})
    assert (interest.answered("z"), interest.keys("z")) == ([], [])


def test_a_resource_that_comes_under_an_alias_is_kept_by_the_names_it_was_asked_for():
    interest = Interest(xds.SECRET, {"a", "b"})
    assert interest.keys("z", aliases=["b", "a", "c"]) == ["a", "b"]
    assert interest.keys("a", aliases=["b"]) == ["a"]


def test_a_virtual_host_answers_the_longest_head_of_its_name_and_keeps_its_own():
    interest = Interest(xds.VIRTUAL_HOST, {"r", "r/s"})
    assert (interest.answered("r/s/v"), interest.keys("r/s/v")) == (["r/s"], ["r/s/v"])
    assert (interest.answered("r/v"), interest.keys("r/v")) == (["r"], ["r/v"])
    assert interest.keys("other/v") == []
    assert interest.keys("rv") == []


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("xdstp://x/T/n?a=1&b=2", "xdstp://x/T/n?b=2&a=1", True),
        ("xdstp://x/T/n?a=1", "xdstp://x/T/n?a=2", False),
        ("xdstp://x/T/n?a=", "xdstp://x/T/n", False),
        ("xdstp://x/T/n", "xdstp://y/T/n", False),
        ("xdstp://x/T/n#f", "xdstp://x/T/n", False),
        ("n?a=1&b=2", "n?b=2&a=1", False),
        ("xdstp://[x/T?a=1", "xdstp://[x/T?a=1", True),
        ("xdstp://[x/T?a=1&b=2", "xdstp://[x/T?b=2&a=1", False),
    ],
)
def test_xdstp_names_differ_in_anything_but_the_order_of_their_parameters(one, other, is_same):
    assert same_name(one, other) is is_same
    assert Interest(xds.SECRET, {one}).keys(other) == ([one] if is_same else [])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sets(st.text(alphabet="ab/", max_size=4)), st.text(alphabet="ab/", max_size=6))
def test_a_virtual_host_answers_one_name_at_most_and_that_is_its_head(names, name):
    answered = Interest(xds.VIRTUAL_HOST, names).answered(name)
    if name in names:
        assert answered == [name]
    else:
        heads = {wanted for wanted in names if name.startswith(f"{wanted}/")}
        assert answered == ([max(heads, key=len)] if heads else [])
