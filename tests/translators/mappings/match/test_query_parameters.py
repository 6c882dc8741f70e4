"""Query parameter matchers against a model of Envoy's, on raw query strings."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.oracle.envoy import query_matches
from tests.oracle.router import Request, holds
from tests.translators.traffic import QUERIES
from tests.translators.unit_builder import message
from translators.findings import Findings
from translators.match import translate_match
from translators.path_key import DECODED
from translators.policy import Policy
from translators.where import Where

SPECIFIERS: list[dict[str, Any]] = [
    {},
    {"present_match": True},
    {"present_match": False},
    *(
        {"string_match": {kind: text, "ignore_case": ignores}}
        for kind in ("exact", "prefix", "suffix", "contains")
        for text in ("", "1", "a.c", "A", "1&r")
        for ignores in (False, True)
    ),
    *({"string_match": {"safe_regex": {"regex": regex}}} for regex in ("1", "a.c", ".*", "", "1.*=1", "[^x]+")),
]
ALL = [None, *QUERIES, "q=abc", "q=A.C&x", "xq=1", "q=1&r=1", "q&q=1", "q=%31", "q=x1", "q==", "&&q"]


@pytest.mark.parametrize("specifier", SPECIFIERS, ids=str)
@pytest.mark.parametrize("name", ["q", "q.x", "a b"])
def test_truth_table(specifier: dict[str, Any], name: str):
    parameter = message("envoy.config.route.v3.QueryParameterMatcher", {"name": name, **specifier})
    match = message("envoy.config.route.v3.RouteMatch", {"prefix": "/"})
    match.query_parameters.append(parameter)
    findings = Findings(Policy())
    draft = translate_match(match, DECODED, Where("", "r"), findings)
    assert draft.is_exact
    assert findings.diagnostics() == ()
    for query, renamed in itertools.product(ALL, (False, True)):
        text = query.replace("q", name) if renamed and query else query
        request = Request("a", "/", variables={"args": text})
        found = draft.is_possible and all(holds(condition, request) for condition in draft.conditions)
        assert found == query_matches(parameter, text or ""), (text, draft.conditions)


@pytest.mark.parametrize(
    ("matcher", "code"),
    [({"custom": {"name": "lua"}}, "RT-HEADER"), ({"safe_regex": {"regex": "("}}, "RT-REGEX"), ({}, "RT-HEADER")],
)
def test_what_cannot_be_expressed_makes_the_match_inexact(matcher: dict[str, Any], code: str):
    match = message(
        "envoy.config.route.v3.RouteMatch",
        {"prefix": "/", "query_parameters": [{"name": "q", "string_match": matcher}]},
    )
    findings = Findings(Policy())
    assert not translate_match(match, DECODED, Where("", "r"), findings).is_exact
    assert [diagnostic.code for diagnostic in findings.diagnostics()] == [code]
