from __future__ import annotations

import pytest

from schemas.records import Severity
from tests.translators.route_parts import forwarded, route_outcome


def rewrite(pattern: str, substitution: str) -> dict[str, object]:
    return {"pattern": {"regex": pattern}, "substitution": substitution}


@pytest.mark.parametrize(
    ("pattern", "substitution", "pair"),
    [
        ("^/a/(.*)$", "/b/\\1", [r"(?s:\A/a/(.*)\z)", "/b/${1}"]),
        ("^/a", "/$1\\\\", [r"(?s:\A/a)", "/$$1\\"]),
        ("^(?P<x>/a)", "\\0", [r"(?s:\A(/a))", "${0}"]),
    ],
)
def test_an_anchored_pattern_is_exact(pattern: str, substitution: str, pair: list[str]):
    outcome = route_outcome(forwarded(regex_rewrite=rewrite(pattern, substitution)))
    assert (outcome.plugins, outcome.codes) == ({"proxy-rewrite": {"regex_uri": pair}}, [])


@pytest.mark.parametrize("pattern", ["/a", "^/a|b"])
def test_of_other_patterns_only_the_first_match_is_replaced(pattern: str):
    outcome = route_outcome(forwarded(regex_rewrite=rewrite(pattern, "/b")))
    (found,) = outcome.diagnostics
    assert (found.code, found.severity) == ("RT-REGEX", Severity.WARN)
    assert "regex_uri" in outcome.plugins["proxy-rewrite"]


@pytest.mark.parametrize(("pattern", "substitution"), [("(a", "/b"), ("^/a", "\\q"), ("^/a", "/b\\")])
def test_what_re2_refuses_leaves_the_path_alone(pattern: str, substitution: str):
    outcome = route_outcome(forwarded(regex_rewrite=rewrite(pattern, substitution)))
    (found,) = outcome.diagnostics
    assert (found.code, found.severity, found.effect) == ("RT-REGEX", Severity.ERROR, "the path is not rewritten")
    assert outcome.plugins == {}
    assert outcome.only.fields["upstream_id"]
