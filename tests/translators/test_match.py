"""Fields of RouteMatch besides headers and query parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.oracle.router import Request, Router, holds
from tests.translators.unit_builder import message
from translators.findings import Findings
from translators.mappings.match.path_match_policy import template_regex
from translators.match import translate_match
from translators.path_key import ANY_PATH, DECODED, RAW, PathView
from translators.policy import Policy
from translators.where import Where

if TYPE_CHECKING:
    from translators.match_draft import MatchDraft

TEMPLATE = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"


def translated(data: dict[str, Any], view: PathView = DECODED) -> tuple[MatchDraft, list[str]]:
    findings = Findings(Policy())
    match = message("envoy.config.route.v3.RouteMatch", data)
    draft = translate_match(match, view, Where("", "r"), findings)
    return draft, [diagnostic.code for diagnostic in findings.diagnostics()]


def takes(draft: MatchDraft, path: str, **variables: Any) -> bool:
    vars_ = [*draft.path.guard, *draft.conditions]
    request = Request("", path, variables={"real_request_uri": path, **variables})
    return Router({"r": {"uris": draft.path.keys, "vars": vars_}}).find(request) is not None


def uri_template(template: str) -> dict[str, Any]:
    return {"path_match_policy": {"name": "t", "typed_config": {"@type": TEMPLATE, "path_template": template}}}


@pytest.mark.parametrize(
    ("template", "path", "wanted"),
    [
        ("/a/*/b", "/a/x/b", True),
        ("/a/*/b", "/a/x/y/b", False),
        ("/a/{id}", "/a/7", True),
        ("/a/{id}", "/a/", False),
        ("/a/{rest=**}", "/a/x/y", True),
        ("/a/{one=b/*}/c", "/a/b/x/c", True),
        ("/a/{one=b/*}/c", "/a/d/x/c", False),
        ("/a.b/*", "/axb/1", False),
        ("/**", "/any/thing", True),
    ],
)
def test_uri_templates(template: str, path: str, wanted):
    draft, codes = translated(uri_template(template))
    assert codes == []
    assert takes(draft, path) == wanted


@pytest.mark.parametrize("template", ["/a/{", "/a/}", "/a/{1}", "/a/{b=*}}"])
def test_broken_templates(template: str):
    assert template_regex(template) is None
    assert translated(uri_template(template))[1] == ["RT-REGEX"]


def test_another_path_match_policy():
    config = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"}
    draft, codes = translated({"path_match_policy": {"name": "t", "typed_config": config}})
    assert (draft.is_exact, codes) == (False, ["RT-MATCHER"])


def test_a_regex_that_names_an_escape_sees_the_path_as_received():
    draft, _ = translated({"safe_regex": {"regex": "/a%2[Ff].*"}})
    assert draft.path.guard[0][0] == "real_request_uri"
    assert takes(draft, "/a%2Fb")
    assert not takes(draft, "/a?%2F")


def test_raw_paths_end_at_the_query():
    for data in ({"path": "/a"}, {"safe_regex": {"regex": "/a"}}, {"path_separated_prefix": "/a"}):
        draft, codes = translated(data, RAW)
        assert codes == []
        assert takes(draft, "/a?b")
        assert takes(draft, "/a")
        assert not takes(draft, "/ab")


@pytest.mark.parametrize("kind", ["prefix", "path", "path_separated_prefix"])
def test_characters_that_requests_carry_encoded_are_reported(kind: str):
    assert translated({kind: "/a|b"})[1] == ["RT-DECODED"]
    assert translated({kind: "/é"})[1] == ["RT-DECODED"]
    assert translated({kind: "/a|b"}, RAW)[1] == []
    assert translated({kind: "/a-b"})[1] == []


def test_connect_is_never_routed():
    draft, codes = translated({"connect_matcher": {}})
    assert (draft.is_possible, codes) == (False, ["RT-CONNECT"])


@pytest.mark.parametrize(
    ("content_type", "wanted"),
    [("application/grpc", True), ("application/grpc+proto", True), ("application/grpc-web", False), (None, False)],
)
def test_grpc(content_type: str | None, wanted):
    draft, _ = translated({"prefix": "/", "grpc": {}})
    assert takes(draft, "/", http_content_type=content_type) == wanted


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({"presented": True}, {"SUCCESS", "FAILED:x"}),
        ({"presented": False}, {None, "NONE"}),
        ({"validated": True}, {"SUCCESS"}),
        ({"validated": False}, {None, "NONE", "FAILED:x"}),
        ({"presented": True, "validated": False}, {"FAILED:x"}),
        ({}, {None, "NONE", "FAILED:x", "SUCCESS"}),
    ],
)
def test_tls_context(options: dict[str, bool], taken: set[str | None]):
    draft, _ = translated({"prefix": "/", "tls_context": options})
    for verify in (None, "NONE", "FAILED:x", "SUCCESS"):
        request = Request("a", "/", variables={"ssl_client_verify": verify})
        assert all(holds(condition, request) for condition in draft.conditions) == (verify in taken)


@pytest.mark.parametrize(
    ("numerator", "is_possible", "count"), [(0, False, 0), (100, True, 0), (200, True, 0), (5, True, 1)]
)
def test_fractions(numerator: int, is_possible, count: int):
    draft, _ = translated({"prefix": "/", "runtime_fraction": {"default_value": {"numerator": numerator}}})
    assert (draft.is_possible, len(draft.conditions)) == (is_possible, count)


@pytest.mark.parametrize("field", ["dynamic_metadata", "filter_state"])
def test_what_is_not_known_before_the_route_is_chosen(field: str):
    draft, codes = translated({"prefix": "/", field: [{}]})
    assert (draft.is_exact, codes) == (False, ["RT-METADATA"])


def test_a_prefix_of_everything_is_no_condition():
    draft, _ = translated({"prefix": "/"})
    assert (draft.path, draft.conditions, draft.is_exact, draft.is_possible) == (ANY_PATH, [], True, True)


def test_a_path_that_no_request_has():
    assert not translated({"prefix": "a"})[0].is_possible
