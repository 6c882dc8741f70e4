"""The bounds bound, whatever the unknown parts are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, holds
from translators.approximation import FAILS, HOLDS, UNKNOWN, Approximation, both, either, exactly, opposite
from translators.expr import equals

LEAVES = {"a": exactly(equals("a", "1")), "b": exactly(equals("b", "1")), "?": UNKNOWN, "+": HOLDS, "-": FAILS}
trees = st.recursive(
    st.sampled_from(sorted(LEAVES)),
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3)) | st.tuples(st.just("not"), inner)
    ),
    max_leaves=8,
)


def built(tree: Any) -> Approximation:
    if isinstance(tree, str):
        return LEAVES[tree]
    operator, operands = tree
    if operator == "not":
        return opposite(built(operands))
    return (both if operator == "and" else either)(map(built, operands))


def truth(tree: Any, known: dict[str, bool]) -> bool:
    if isinstance(tree, str):
        return known[tree]
    operator, operands = tree
    if operator == "not":
        return not truth(operands, known)
    return (all if operator == "and" else any)(truth(one, known) for one in operands)


@given(trees, st.booleans(), st.booleans(), st.booleans())
def test_what_is_unknown_lies_between(tree, a, b, unknown):
    request = Request("h", "/", variables={"a": "1" if a else "0", "b": "1" if b else "0"})
    wanted = truth(tree, {"a": a, "b": b, "?": unknown, "+": True, "-": False})
    found = built(tree)
    assert holds(found.under, request) <= wanted <= holds(found.over, request)


@given(trees.filter(lambda tree: "?" not in str(tree)), st.booleans(), st.booleans())
def test_what_is_known_is_exact(tree, a, b):
    request = Request("h", "/", variables={"a": "1" if a else "0", "b": "1" if b else "0"})
    found = built(tree)
    assert (
        holds(found.under, request)
        == holds(found.over, request)
        == truth(tree, {"a": a, "b": b, "+": True, "-": False})
    )
