"""Conditions on the request target are those on the target as Envoy has normalised it."""

from __future__ import annotations

import re

import pytest

from tests.oracle.nginx_uri import normalised
from tests.oracle.router import Request, holds
from translators.request_target import UNNORMALISED_WITH_QUERY, literal_condition, regex_condition

TARGETS = (
    "/a", "//a", "/./a", "/x/../a", "/a?", "/a?x=1", "//a?x=1", "/b/a", "/b?/a", "/b?x=/a", "/b?x=/a&y", "/b//a?y?x=1",
    "/A", "/ab", "/a/?x=1", "/", "/a?x=1?x=1", "/c?a?x=1",
)  # fmt: skip
TEXTS = ("/a", "/a?x=1", "a?x", "?x=1", "x=1", "/b?", "/", "=/a", "a")
COMPARISONS = {
    "exact": str.__eq__, "prefix": str.startswith, "suffix": str.endswith, "contains": str.__contains__,
}  # fmt: skip


def request_of(target: str) -> Request:
    """Give what APISIX knows of a target."""
    return Request("a.com", normalised(target.partition("?")[0]), variables={"real_request_uri": target})


def of_envoy(target: str) -> str:
    """Give a target as Envoy matches it."""
    path, mark, query = target.partition("?")
    return normalised(path) + mark + query


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("kind", COMPARISONS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_found_where_envoy_finds_it(text: str, kind: str, *, ignore_case: bool):
    condition = literal_condition(kind, text, ignore_case=ignore_case)
    assert condition is not None
    for target in TARGETS:
        seen, wanted = of_envoy(target), text
        if ignore_case:
            seen, wanted = seen.lower(), wanted.lower()
        assert holds(condition, request_of(target)) == COMPARISONS[kind](seen, wanted), target


@pytest.mark.parametrize("text", ["//a", "/%41", "/a/../b", "/a//?x=1"])
def test_a_text_that_is_in_no_normalised_path_is_none(text: str):
    assert literal_condition("prefix", text) is None


@pytest.mark.parametrize("regex", ["/a", "/a.*", r"/a(\?.*)?", ".*x=1", "[^?]*", "/b.*a"])
def test_a_regex_is_exact_but_for_what_is_said(regex: str):
    condition = regex_condition(regex)
    for target in TARGETS:
        if not holds(UNNORMALISED_WITH_QUERY, request_of(target)):
            expected = re.fullmatch(regex, of_envoy(target)) is not None
            assert holds(condition, request_of(target)) == expected, target
