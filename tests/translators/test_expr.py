from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, holds
from translators import expr


def test(expression: expr.Expr, **variables: Any) -> bool:
    return holds(expression, Request("a.com", "/", variables=variables))


test.__test__ = False


def test_an_empty_header_is_present():
    assert test(expr.present("http_a"), http_a="")
    assert not test(expr.present("http_a"))
    assert test(expr.absent("http_a"))
    assert not test(expr.absent("http_a"), http_a="")


LITERALS = [expr.equals, expr.prefix, expr.suffix, expr.contains]


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("text", ["a.b", "$x", "(", "a*", "%0A", "é", "a b", "\\", "^"])
def test_literals_are_escaped(literal: Any, text: str):
    assert test(literal("http_a", text), http_a=text)
    assert test(literal("http_a", text, ignore_case=True), http_a=text.upper())
    assert not test(literal("http_a", text), http_a="other")
    assert not test(literal("http_a", text, ignore_case=True), http_a="other")
    assert not test(literal("http_a", text))


def test_a_final_newline_is_no_end():
    assert not test(expr.suffix("uri_part", "x"), uri_part="x\n")
    assert not test(expr.equals("uri_part", "x", ignore_case=True), uri_part="x\n")
    assert not test(expr.safe_regex("uri_part", "x"), uri_part="x\n")
    assert test(expr.safe_regex("uri_part", "x.*"), uri_part="x\ny")


@pytest.mark.parametrize(
    ("value", "wanted"), [("5", True), ("+5", True), ("-1", False), ("5.5", False), ("0x5", False), (" 5", False)]
)
def test_only_integers_are_in_an_integer_range(value: str, wanted):
    assert test(expr.integer_range("http_n", 0, 6), http_n=value) == wanted


def test_lists_and_addresses():
    assert test(expr.one_of("server_port", ["80", "81"]), server_port="81")
    assert expr.one_of("server_port", ["80"]) == ("server_port", "==", "80")
    assert test(expr.ip_match("remote_addr", ["10.0.0.0/8", "::1"]), remote_addr="10.2.3.4")
    assert not test(expr.ip_match("remote_addr", ["10.0.0.0/8"]), remote_addr="11.2.3.4")


def test_a_share_is_never_rounded_away():
    assert expr.fraction(0, 100) == expr.NEVER
    assert expr.fraction(100, 100) == expr.ALWAYS
    assert test(expr.fraction(1, 10_000_000), request_id="0" * 32)
    assert not test(expr.fraction(9_999_999, 10_000_000), request_id="f" * 32)
    assert test(expr.share(9_999_999, 10_000_000, 10_000_000), request_id="f" * 32)
    assert not test(expr.share(1, 10_000_000, 10_000_000), request_id="0" * 32)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(any), st.integers(0, 65535))
def test_shares_side_by_side_leave_no_gap(weights: list[int], draw: int):
    """Among granular shares every request is in exactly one."""
    total = sum(weights)
    ends = [sum(weights[: i + 1]) for i in range(len(weights))]
    shares = [expr.share(end - weight, end, total, skipped_digits=4) for end, weight in zip(ends, weights, strict=True)]
    assert sum(test(share, request_id=f"ffff{draw:04x}{'0' * 24}") for share in shares) == 1


PARTS = st.sampled_from(
    [
        expr.ALWAYS,
        expr.NEVER,
        expr.equals("a", "1"),
        expr.differs("a", "1"),
        expr.present("b"),
        expr.absent("b"),
        expr.integer_range("a", 0, 5),
        ("a", ">=", 2),
    ]
)
EXPRESSIONS = st.recursive(
    PARTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(expr.all_of),
        st.lists(inner, max_size=3).map(expr.any_of),
        inner.map(expr.negate),
    ),
    max_leaves=8,
)
VARIABLES = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["", "1", "2", "9"]))


@given(st.lists(EXPRESSIONS, max_size=3), VARIABLES)
def test_logic_means_what_it_says(parts: list[expr.Expr], variables: dict[str, str]):
    truths = [test(part, **variables) for part in parts]
    assert test(expr.all_of(parts), **variables) == all(truths)
    assert test(expr.any_of(parts), **variables) == any(truths)
    assert all(test(part, **variables) for part in expr.conjuncts(parts)) == all(truths)
    for part, truth in zip(parts, truths, strict=True):
        assert test(expr.negate(part), **variables) != truth


def test_conjuncts_stand_cheapest_first():
    port, exact, regex = expr.equals("server_port", "1"), expr.equals("a", "x"), expr.prefix("uri", "/a")
    address, logic = expr.ip_match("remote_addr", ["::1"]), expr.any_of((regex, exact))
    assert expr.conjuncts([logic, regex, expr.all_of((address, exact)), exact, port, expr.ALWAYS]) == [
        port,
        exact,
        address,
        regex,
        logic,
    ]


EXPRESSIONS = st.recursive(
    st.sampled_from([expr.equals("a", "1"), expr.equals("b", "1"), expr.present("a"), expr.absent("b")]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(expr.all_of),
        st.lists(inner, min_size=2, max_size=3).map(expr.any_of),
        inner.map(expr.negate),
    ),
    max_leaves=8,
)


UNKNOWN = ({}, {"a": "1"}, {"a": "2"})


@given(EXPRESSIONS, st.sampled_from(({}, {"b": "1"}, {"b": "2"})), st.sampled_from(UNKNOWN))
def test_bounds_hold_whatever_the_unknown_is(expression, known, unknown):
    upper = expr.bound(expression, {"a"}, is_upper=True)
    lower = expr.bound(expression, {"a"}, is_upper=False)
    assert "a" not in {*expr.variables(upper), *expr.variables(lower)}
    request = Request("h", "/", variables={**known, **unknown})
    assert holds(lower, request) <= holds(expression, request) <= holds(upper, request)


@given(EXPRESSIONS, st.sampled_from(({}, {"b": "1"}, {"b": "2"})))
def test_what_an_expression_comes_to_when_a_variable_is_not_there(expression, known):
    assumed = expr.assume_absent(expression, {"a"})
    assert "a" not in expr.variables(assumed)
    for others in UNKNOWN:
        assert holds(assumed, Request("h", "/", variables={**known, **others})) == holds(
            expression, Request("h", "/", variables=known)
        )
