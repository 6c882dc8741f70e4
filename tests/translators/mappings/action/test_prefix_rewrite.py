from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, route_outcome


@pytest.mark.parametrize(
    ("match", "rewrite"),
    [
        ({"prefix": "/a.b"}, {"regex_uri": [r"(?s)\A/a\.b(.*)\z", "/n${1}"]}),
        ({"prefix": "/a", "case_sensitive": False}, {"regex_uri": [r"(?si)\A/a(.*)\z", "/n${1}"]}),
        ({"path_separated_prefix": "/a"}, {"regex_uri": [r"(?s)\A/a(.*)\z", "/n${1}"]}),
        ({"path": "/a"}, {"uri": "/n"}),
        ({"safe_regex": {"regex": "/a.*"}}, {"uri": "/n"}),
    ],
)
def test_the_matched_part_is_replaced(match: dict[str, Any], rewrite: dict[str, Any]):
    outcome = route_outcome(forwarded({"match": match}, prefix_rewrite="/n"))
    assert outcome.plugins == {"proxy-rewrite": rewrite}


def test_dollars_are_literal():
    assert route_outcome(forwarded({"match": {"path": "/a"}}, prefix_rewrite="/$1")).plugins == {
        "proxy-rewrite": {"uri": "/${_ ?? $}1"}
    }
    assert route_outcome(forwarded({"match": {"prefix": "/a"}}, prefix_rewrite="/$1")).plugins == {
        "proxy-rewrite": {"regex_uri": [r"(?s)\A/a(.*)\z", "/$$1${1}"]}
    }


def test_a_path_without_a_leading_slash_is_kept_as_it_is():
    outcome = route_outcome(forwarded({"match": {"path": "/a"}}, prefix_rewrite="n$"))
    assert outcome.plugins == {"proxy-rewrite": {"regex_uri": [r"(?s)\A.*\z", "n$$"]}}
