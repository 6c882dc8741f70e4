"""Matcher trees as lists of routes; which route a request takes is checked with the real Envoy (tests/oracle)."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.route_parts import AT_HOST, message
from translators.mappings.match.matcher_tree import InexpressibleMatcherError, Leaf, leaves_of
from translators.regex import RegexError

PACKAGE = "type.googleapis.com/envoy."
ROUTE = {"@type": f"{PACKAGE}config.route.v3.Route", "match": {"prefix": "/"}}
INPUT = {"@type": f"{PACKAGE}type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "X-H"}


def on_match(config: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"action": {"name": "a", "typed_config": config or ROUTE}}


def tree(**fields: Any) -> dict[str, Any]:
    built = {"input": {"name": "i", "typed_config": fields.pop("input", INPUT)}, **fields}
    return {"matcher_tree": built}


def single(**fields: Any) -> dict[str, Any]:
    predicate = {"single_predicate": {"input": {"name": "i", "typed_config": INPUT}, **fields}}
    return {"matcher_list": {"matchers": [{"predicate": predicate, "on_match": on_match()}]}}


def leaves(matcher: dict[str, Any]) -> list[Leaf]:
    return leaves_of(message("xds.type.matcher.v3.Matcher", matcher), AT_HOST)


def test_longer_prefixes_come_first_and_what_matches_nothing_last():
    found = leaves({**tree(prefix_match_map={"map": {"a": on_match(), "ab": on_match()}}), "on_no_match": on_match()})
    assert [leaf.condition for leaf in found] == [
        ("http_x_h", "~~", r"\Aab"),
        ("http_x_h", "~~", r"\Aa"),
        ("uri", "~~", ""),
    ]
    assert found[0].at.path == "virtual_hosts[shop].matcher_tree.prefix_match_map[ab].action"


def test_what_no_request_reaches_is_left_out():
    inner = {"matcher": tree(exact_match_map={"map": {"a": on_match(), "b": on_match()}})}
    found = leaves({**tree(exact_match_map={"map": {"a": inner}}), "on_no_match": inner})
    assert [leaf.condition[2] for leaf in found] == ["a", "b"]
    (only,) = leaves({"on_no_match": on_match()})
    assert len(only.routes) == 1


@pytest.mark.parametrize(
    "matcher",
    [
        tree(exact_match_map={"map": {"a": {**on_match(), "keep_matching": True}}}),
        tree(exact_match_map={"map": {"a": on_match({"@type": xds.CLUSTER})}}),
        tree(custom_match={"name": "c"}),
        tree(
            input={"@type": f"{PACKAGE}extensions.matching.common_inputs.network.v3.SourceIPInput"}, exact_match_map={}
        ),
        tree(input={**INPUT, "header_name": "x.y"}, exact_match_map={"map": {"a": on_match()}}),
        single(custom_match={"name": "c"}),
        {"matcher_list": {"matchers": [{"predicate": {}, "on_match": on_match()}]}},
    ],
)
def test_what_has_no_counterpart_is_refused(matcher: dict[str, Any]):
    with pytest.raises(InexpressibleMatcherError):
        leaves(matcher)


def test_a_regex_that_is_none_is_refused():
    with pytest.raises(RegexError):
        leaves(single(value_match={"safe_regex": {"regex": "(a", "google_re2": {}}}))
