"""Header matchers against a model of HeaderUtility::matchHeaders, specifier by specifier."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.envoy import header_matches
from tests.oracle.router import Request, holds
from tests.translators.unit_builder import message
from translators.findings import Findings
from translators.match import translate_match
from translators.path_key import DECODED
from translators.policy import Action, Policy
from translators.where import Where

if TYPE_CHECKING:
    from translators.match_draft import MatchDraft

MATCH = "envoy.config.route.v3.RouteMatch"
AT = Where("", "routes", "match")
VALUES = [None, "", "x", "X", "xy", "yx", "5", "-5", "+5", "5.5", "0x5", "a.b", "axb", "9223372036854775807"]
SPECIFIERS: list[dict[str, Any]] = [
    {},
    {"present_match": True},
    {"present_match": False},
    *(
        {f"{kind}_match": text}
        for kind in ("exact", "prefix", "suffix", "contains")
        for text in ("", "x", "a.b")
    ),
    *({"safe_regex_match": {"regex": regex}} for regex in ("x+", "x*", "a.b")),
    {"range_match": {"start": -5, "end": 6}},
    *(
        {"string_match": {kind: text, "ignore_case": ignores}}
        for kind in ("exact", "prefix", "suffix", "contains")
        for text in ("", "x", "a.b")
        for ignores in (False, True)
    ),
    *({"string_match": {"safe_regex": {"regex": regex}}} for regex in ("x+", "x*", "[0-9]+|")),
]  # fmt: skip


def translated(*headers: dict[str, Any], policy: Policy | None = None, **options: Any) -> tuple[MatchDraft, list[str]]:
    findings = Findings(policy or Policy())
    match = message(MATCH, {"prefix": "/", "headers": list(headers)})
    draft = translate_match(match, DECODED, AT, findings, **options)
    return draft, [diagnostic.code for diagnostic in findings.diagnostics()]


def takes(draft: MatchDraft, method: str = "GET", **variables: Any) -> bool:
    if not draft.is_possible or (draft.methods and method not in draft.methods):
        return False
    return all(holds(condition, Request("a.com", "/", method, variables)) for condition in draft.conditions)


@pytest.mark.parametrize("specifier", SPECIFIERS, ids=str)
def test_truth_table(specifier: dict[str, Any]):
    for invert, missing, value in itertools.product((False, True), (False, True), VALUES):
        data = {"name": "x-h", **specifier, "invert_match": invert, "treat_missing_header_as_empty": missing}
        header = message("envoy.config.route.v3.HeaderMatcher", data)
        draft, codes = translated(data)
        assert codes == []
        assert draft.is_exact
        variables = {} if value is None else {"http_x_h": value}
        assert takes(draft, **variables) == header_matches(header, value), (data, value)


@pytest.mark.parametrize("method", ["GET", "PURGE"])
def test_one_exact_method_is_said_by_methods(method: str):
    for specifier in ({"exact_match": method}, {"string_match": {"exact": method}}):
        draft, _ = translated({"name": ":method", **specifier})
        assert (draft.methods, draft.conditions) == ((method,), [])


@pytest.mark.parametrize(
    "header",
    [
        {"string_match": {"exact": "PROPFIND"}},
        {"string_match": {"exact": "get", "ignore_case": True}},
        {"string_match": {"exact": "GET"}, "invert_match": True},
        {"string_match": {"prefix": "GE"}},
    ],
)
def test_other_methods_are_conditions(header: dict[str, Any]):
    draft, _ = translated({"name": ":method", **header})
    assert not draft.methods
    assert [condition[0] for condition in draft.conditions][-1] in ("request_method", "AND")


def test_a_second_method_is_a_condition_too():
    draft, _ = translated({"name": ":method", "exact_match": "GET"}, {"name": ":method", "exact_match": "POST"})
    assert (draft.methods, draft.conditions) == (("GET",), [("request_method", "==", "POST")])


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        (":authority", "http_host"),
        (":scheme", "scheme"),
        ("X-Fo_o", "http_x_fo_o"),
        ("host", "http_host"),
    ],
)
def test_names_become_variables(name: str, variable: str):
    assert translated({"name": name, "exact_match": "v"})[0].conditions == [(variable, "==", "v")]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"name": "a.b", "exact_match": "x"}, "RT-HEADER"),
        ({"name": ":protocol", "exact_match": "x"}, "RT-HEADER"),
        ({"name": "x-forwarded-proto", "string_match": {"custom": {"name": "lua"}}}, "RT-HEADER"),
        ({"name": "a", "string_match": {"custom": {"name": "lua"}}}, "RT-HEADER"),
        ({"name": "a", "string_match": {}}, "RT-HEADER"),
        ({"name": "a", "string_match": {"safe_regex": {"regex": "("}}}, "RT-REGEX"),
        ({"name": "a", "safe_regex_match": {"regex": "("}}, "RT-REGEX"),
    ],
)
def test_what_cannot_be_expressed_makes_the_match_inexact(header: dict[str, Any], code: str):
    draft, codes = translated(header)
    assert (draft.is_exact, draft.conditions, codes) == (False, [], [code])
    assert translated(header, policy=Policy(overrides={code: Action.WARN}))[0].is_exact


def test_names_that_another_header_can_take_are_remembered():
    draft, _ = translated({"name": "x-a"}, {"name": "b"}, {"name": "c_d"})
    assert [place.path for place in draft.colliding_headers] == ["match.headers[x-a]", "match.headers[c_d]"]


@pytest.mark.parametrize("is_overwritten", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("sent", [None, "http", "https"])
@pytest.mark.parametrize("invert", [False, True])
def test_forwarded_proto_is_what_envoy_sets(is_overwritten, scheme: str, sent: str | None, invert):
    header = {"name": "x-forwarded-proto", "string_match": {"exact": "https"}, "invert_match": invert}
    draft, _ = translated(header, is_proto_overwritten=is_overwritten)
    seen = scheme if is_overwritten or sent is None else sent
    variables = {"scheme": scheme, **({} if sent is None else {"http_x_forwarded_proto": sent})}
    assert takes(draft, **variables) == ((seen == "https") != invert)


def test_a_field_of_a_newer_api_makes_the_match_inexact():
    header = message("envoy.config.route.v3.HeaderMatcher", {"name": "a", "exact_match": "x"})
    header.MergeFromString(b"\xca\x3e\x01x")
    match = message(MATCH, {"prefix": "/"})
    match.headers.append(header)
    findings = Findings(Policy())
    assert not translate_match(match, DECODED, AT, findings).is_exact
    assert [diagnostic.severity.value for diagnostic in findings.diagnostics()] == ["ERROR"]


def test_the_path_is_compared_as_envoy_has_normalised_it():
    draft, codes = translated({"name": ":path", "string_match": {"prefix": "/a"}})
    assert (draft.conditions, codes) == ([("uri", "~~", r"\A/a")], [])


def test_a_text_that_no_normalised_path_holds_is_compared_as_it_was_received():
    draft, _ = translated({"name": ":path", "string_match": {"exact": "//a"}})
    assert draft.conditions == [("real_request_uri", "==", "//a")]


def test_a_regex_over_the_path_says_what_it_does_not_see():
    draft, codes = translated({"name": ":path", "string_match": {"safe_regex": {"regex": "/a.*"}}})
    assert (draft.conditions[0][0], codes) == ("OR", ["RT-DECODED"])
