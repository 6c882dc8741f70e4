"""Folded mutations do at APISIX what the unfolded ones do at Envoy; where they cannot, a diagnostic says so."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas import xds
from tests.translators.rewriting import Headers, Node, by_envoy, copied, joined, parsed
from translators.findings import Findings
from translators.format_string import HeaderReference, Piece, Text, Variable
from translators.header_step import ADD_IF_ABSENT, APPEND, OVERWRITE, OVERWRITE_IF_EXISTS, Mutation, Step
from translators.headers import FoldedHeaders, fold
from translators.policy import DEFAULT
from translators.where import Where

AT = Where(xds.ROUTE_CONFIGURATION, "routes")
NAMES = ("x-a", "x-b", "x-c")
TEXTS = ("v", "w", "a$b", "$1", "${http_x_a}", "back\\$lash", "50%", "")


def literal(text: str) -> tuple[Piece, ...]:
    return (Text(text),) if text else ()


def mutation(name: str, value: str | tuple[Piece, ...], action: int = APPEND, *, keeps_empty: bool = False) -> Mutation:
    pieces = literal(value) if isinstance(value, str) else value
    return Mutation(name, pieces, action, keeps_empty, AT.item("headers", f"{name}-{action}"))


def step(*mutations: Mutation, removed: tuple[str, ...] = ()) -> Step:
    return Step(removed, mutations)


def folded(*steps: Step, side: Any = "request", **options: Any) -> tuple[FoldedHeaders, list[str]]:
    findings = Findings(DEFAULT)
    found = fold(steps, side, AT, findings, **options)
    return found, [diagnostic.code for diagnostic in findings.diagnostics()]


def pieces(side: Any) -> st.SearchStrategy[tuple[Piece, ...]]:
    references = st.sampled_from([HeaderReference(name, side) for name in NAMES])
    return st.one_of(
        st.sampled_from(TEXTS).map(literal),
        st.sampled_from(TEXTS).map(literal),
        st.tuples(st.sampled_from([Text("v-")]), references),
        st.tuples(references),
        st.just((Variable("remote_addr"),)),
    )


def steps(side: Any) -> st.SearchStrategy[list[Step]]:
    mutations = st.builds(
        mutation,
        st.sampled_from(NAMES),
        pieces(side),
        st.sampled_from([APPEND, APPEND, OVERWRITE, OVERWRITE, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS]),
        keeps_empty=st.booleans(),
    )
    removed = st.lists(st.sampled_from(NAMES), max_size=2).map(tuple)
    one = st.builds(lambda listed, gone: step(*listed, removed=gone), st.lists(mutations, max_size=3), removed)
    return st.lists(one, min_size=1, max_size=3)


def originals() -> st.SearchStrategy[Headers]:
    return st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(["o", "p"]), min_size=1, max_size=2))


@settings(max_examples=600, deadline=None, derandomize=True)
@given(steps("request"), originals(), st.integers())
def test_a_request_without_diagnostics_is_mutated_as_at_envoy(drawn: list[Step], headers: Headers, seed: int):
    found, codes = folded(*drawn)
    event(f"diagnostics: {bool(codes)}")
    if codes:
        return
    node = Node(copied(headers), "http_", random.Random(seed))
    assert joined(node.rewrite(found.of_request(), found.condition)) == joined(
        by_envoy(first_lines(headers, drawn), drawn)
    )


@settings(max_examples=600, deadline=None, derandomize=True)
@given(steps("response"), originals(), st.integers())
def test_a_response_without_diagnostics_is_mutated_as_at_envoy(drawn: list[Step], headers: Headers, seed: int):
    found, codes = folded(*drawn, side="response")
    event(f"diagnostics: {bool(codes)}")
    if codes:
        return
    node = Node(copied(headers), "sent_http_", random.Random(seed))
    assert joined(node.rewrite(parsed(found.of_response()), found.condition)) == joined(
        by_envoy(first_lines(headers, drawn), drawn)
    )


def first_lines(headers: Headers, drawn: list[Step]) -> Headers:
    """Join repeated lines that a template reads: nginx reads them joined, Envoy the first (a known difference)."""
    read = {
        piece.name for one in drawn for m in one.mutations for piece in m.pieces if isinstance(piece, HeaderReference)
    }
    return {name: [", ".join(lines)] if name in read else list(lines) for name, lines in headers.items()}


@given(
    st.lists(st.sampled_from(NAMES), max_size=3),
    st.lists(st.sampled_from(["v", "w"]), max_size=3),
    st.sampled_from([APPEND, OVERWRITE]),
)
def test_literal_appends_overwrites_and_removals_are_never_approximated(
    removed: list[str], values: list[str], action: int
):
    drawn = [step(removed=tuple(removed)), *(step(mutation("x-a", value, action)) for value in values)]
    assert folded(*drawn)[1] == []


def test_nothing_gives_nothing():
    found, codes = folded(step())
    assert (found.of_request(), found.of_response(), codes) == ({}, {}, [])


def test_appends_keep_the_original_lines():
    found, codes = folded(step(mutation("x-a", "1"), mutation("x-a", "2"), mutation("x-b", "3")))
    assert found.of_request() == {"add": {"x-a": ["1", "2"], "x-b": "3"}}
    assert codes == []


def test_overwrites_come_before_appends_within_a_step():
    found, _ = folded(step(mutation("x-a", "appended"), mutation("x-a", "set", OVERWRITE)))
    assert found.of_request() == {"set": {"x-a": ["set", "appended"]}}


def test_a_removal_before_an_append_is_a_set():
    found, _ = folded(step(mutation("x-a", "1"), removed=("x-a",)))
    assert found.of_request() == {"set": {"x-a": "1"}}


def test_a_later_removal_wins():
    found, _ = folded(step(mutation("x-a", "1")), step(removed=("x-a",)))
    assert found.of_request() == {"remove": ["x-a"]}


def test_add_if_absent_falls_back_on_the_present_header():
    request, codes = folded(step(mutation("x-a", "d", ADD_IF_ABSENT)))
    assert (request.of_request(), codes) == ({"set": {"x-a": "${http_x_a ?? d}"}}, [])
    response, codes = folded(step(mutation("x-a", "d", ADD_IF_ABSENT)), side="response")
    assert (response.of_response(), codes) == ({"set": {"x-a": "${sent_http_x_a ?? d}"}}, [])


@pytest.mark.parametrize("default", ["a}b", "a??b", "a$b", " a"])
def test_a_default_that_no_template_can_hold_is_said(default: str):
    found, codes = folded(step(mutation("x-a", default, ADD_IF_ABSENT)))
    assert (found.of_request(), codes) == ({}, ["HDR-VALUE"])


def test_overwrite_if_exists_alone_has_a_condition():
    found, codes = folded(step(mutation("x-a", "v", OVERWRITE_IF_EXISTS)))
    assert (found.of_request(), found.condition, codes) == (
        {"set": {"x-a": "v"}},
        [("http_x_a", "~~", ".*")],
        [],
    )


def test_overwrite_if_exists_beside_others_is_said():
    found, codes = folded(step(mutation("x-a", "v", OVERWRITE_IF_EXISTS), mutation("x-b", "w")))
    assert (found.of_request(), found.condition, codes) == ({"add": {"x-b": "w"}}, [], ["HDR-VALUE"])
    _, codes = folded(step(mutation("x-a", "v", OVERWRITE_IF_EXISTS)), is_alone=False)
    assert codes == ["HDR-VALUE"]


def test_what_response_rewrite_refuses_to_add_is_said_or_avoided():
    found, codes = folded(step(mutation("x-a", "a:b"), mutation("x-b", "/path/")), side="response")
    assert (found.of_response(), codes) == ({"add": ["x-b: /path/${_}"]}, ["HDR-VALUE"])


def test_a_response_value_with_a_colon_is_set_where_the_header_is_removed_first():
    found, codes = folded(step(mutation("location", "https://a/"), removed=("location",)), side="response")
    assert (found.of_response(), codes) == ({"set": {"location": "https://a/"}}, [])


def test_an_empty_value_is_skipped_unless_it_is_kept():
    assert folded(step(mutation("x-a", "", OVERWRITE)))[0].of_request() == {}
    found, codes = folded(step(mutation("x-a", "", keeps_empty=True)))
    assert (found.of_request(), codes) == ({"add": {"x-a": ""}}, [])
    found, codes = folded(step(mutation("x-a", "", OVERWRITE, keeps_empty=True)))
    assert (found.of_request(), codes) == ({"remove": ["x-a"]}, ["HDR-VALUE"])


def test_a_settled_header_is_read_as_what_it_became():
    reader = mutation("x-b", (HeaderReference("x-a", "request"),), OVERWRITE)
    found, codes = folded(step(mutation("x-a", "v", OVERWRITE)), step(reader))
    assert (found.of_request()["set"]["x-b"], codes) == ("v", [])
    found, codes = folded(step(reader, removed=("x-a",)))
    assert (found.of_request(), codes) == ({"remove": ["x-a"]}, [])


def test_a_header_that_is_read_and_mutated_is_said():
    reader = mutation("x-b", (Text("v"), HeaderReference("x-a", "request")), OVERWRITE)
    assert folded(step(reader), step(mutation("x-a", "v")))[1] == ["HDR-ORDER"]
    assert folded(step(mutation("x-a", "v")), step(reader))[1] == ["HDR-ORDER"]


def test_the_host_is_set_apart_and_other_pseudo_headers_are_said():
    found, codes = folded(step(mutation(":authority", "a.com", OVERWRITE)))
    assert (found.of_request(), found.host, codes) == ({}, "a.com", [])
    assert folded(step(mutation(":path", "/", OVERWRITE)))[1] == ["HDR-VALUE"]
    assert folded(step(mutation("host", (Variable("scheme"),), OVERWRITE)))[1] == ["HDR-VALUE"]
    assert folded(step(removed=("host",)))[1] == ["HDR-VALUE"]


@pytest.mark.parametrize("side", ["request", "response"])
@given(st.data())
def test_the_short_way_for_plain_texts_leads_where_the_long_one_does(side: Any, data: st.DataObject):
    """A removal of another header takes the long way; of what is plain it changes nothing."""
    names = data.draw(st.lists(st.sampled_from([*NAMES, "host", ":path"]), max_size=3))
    actions = st.sampled_from([APPEND, OVERWRITE, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS])
    written = [mutation(name, data.draw(st.sampled_from([*TEXTS, "a:b", "a/"])), data.draw(actions)) for name in names]
    short, short_codes = folded(step(*written), side=side, is_alone=False)
    long, long_codes = folded(step(removed=("x-gone",)), step(*written), side=side, is_alone=False)
    assert (short.add, short.set, short.host) == (long.add, long.set, long.host)
    assert short.remove == [name for name in long.remove if name != "x-gone"]
    assert (short.touched, short_codes) == (long.touched - {"x-gone"}, long_codes)
