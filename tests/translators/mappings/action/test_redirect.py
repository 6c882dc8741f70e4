"""Redirects send clients where Envoy sends them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.translators.redirecting import Request, location_by_apisix, location_by_envoy
from tests.translators.route_parts import route_outcome

MATCHES: list[dict[str, Any]] = [{"prefix": "/app"}, {"path": "/app"}, {"path_separated_prefix": "/app"}]
PATHS = {"prefix": ("/app", "/app/x", "/apple"), "path": ("/app",), "path_separated_prefix": ("/app", "/app/x")}
REWRITES: list[dict[str, Any]] = [
    {},
    {"path_redirect": "/new"},
    {"path_redirect": "/new?fixed=1"},
    {"path_redirect": "/$1/new"},
    {"prefix_rewrite": "/new"},
    {"prefix_rewrite": "/a$b"},
    {"regex_rewrite": {"pattern": {"regex": "^/app(.*)$"}, "substitution": "/v2\\1"}},
]


def actions() -> st.SearchStrategy[dict[str, Any]]:
    schemes = [{}, {"https_redirect": True}, {"scheme_redirect": "https"}, {"scheme_redirect": "http"}]
    hosts: list[dict[str, Any]] = [{}, {"host_redirect": "b.org"}]
    ports: list[dict[str, Any]] = [{}, {"port_redirect": 443}, {"port_redirect": 8443}]
    drawn = st.tuples(*(st.sampled_from(options) for options in (schemes, hosts, ports, REWRITES)), st.booleans())
    return drawn.map(
        lambda parts: parts[0] | parts[1] | parts[2] | parts[3] | ({"strip_query": True} if parts[4] else {})
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], Request]:
    match = draw(st.sampled_from(MATCHES))
    hosts = ("a.com", "a.com:80", "a.com:443", "a.com:8080", "[::1]:80")
    request = Request(
        draw(st.sampled_from(("http", "https"))),
        draw(st.sampled_from(hosts)),
        draw(st.sampled_from(PATHS[next(iter(match))])),
        draw(st.sampled_from(("", "q=1", "q=%2F&r"))),
    )
    return match, draw(actions()), request


@settings(max_examples=600, deadline=None, derandomize=True)
@given(cases())
def test_the_location_is_that_of_envoy(case: tuple[dict[str, Any], dict[str, Any], Request]):
    match, action, request = case
    if "regex_rewrite" in action:
        action = {**action, "strip_query": False}
    outcome = route_outcome({"match": match, "redirect": action})
    assert outcome.codes == []
    assert location_by_apisix(outcome.parts, request) == location_by_envoy(match, action, request)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("MOVED_PERMANENTLY", 301),
        ("FOUND", 302),
        ("SEE_OTHER", 303),
        ("TEMPORARY_REDIRECT", 307),
        ("PERMANENT_REDIRECT", 308),
    ],
)
def test_the_status(code: str, status: int):
    outcome = route_outcome({"redirect": {"path_redirect": "/new", "response_code": code}})
    assert outcome.answer["http_status"] == status
    assert outcome.answer["body"] == ""
    assert not outcome.only.is_blocking


def test_only_the_last_answer_is_unconditional():
    parts = route_outcome({"redirect": {"https_redirect": True}}).parts
    assert [(part.suffix, bool(part.conditions)) for part in parts] == [("port80", True), ("", False)]


def test_a_case_insensitive_prefix_is_rewritten_in_any_case():
    match = {"prefix": "/App", "case_sensitive": False}
    outcome = route_outcome({"match": match, "redirect": {"prefix_rewrite": "/new"}})
    assert outcome.plugins["proxy-rewrite"] == {"regex_uri": [r"(?si)\A/App(.*)\z", "/new${1}"]}


def test_a_query_that_cannot_be_stripped_is_said():
    action = {"regex_rewrite": {"pattern": {"regex": "^/a"}, "substitution": "/b"}, "strip_query": True}
    outcome = route_outcome({"redirect": action})
    assert outcome.codes == ["RA-REDIRECT"]
    assert "proxy-rewrite" in outcome.plugins


@pytest.mark.parametrize(
    "action",
    [
        {"regex_rewrite": {"pattern": {"regex": "(?<x>"}, "substitution": "/b"}},
        {"path_redirect": "/ends in a backslash\\"},
    ],
)
def test_what_has_no_counterpart_is_blocked(action: dict[str, Any]):
    outcome = route_outcome({"redirect": action})
    assert outcome.only.is_blocking
    assert outcome.answer["http_status"] == 503
    assert outcome.codes == ["RA-REDIRECT"]


def test_the_routes_response_mutations_are_on_the_redirect():
    added = {"header": {"key": "X-A", "value": "1"}}
    outcome = route_outcome({"redirect": {"path_redirect": "/new"}, "response_headers_to_add": [added]})
    assert outcome.plugins["response-rewrite"] == {"headers": {"add": ["x-a: 1"]}}
