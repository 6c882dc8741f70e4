from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, Router
from tests.translators.traffic import paths
from translators.path_key import (
    ANY_PATH,
    RAW,
    PathMatch,
    PathView,
    begins_with,
    is_at_or_below,
    is_exactly,
    is_safe,
    matches_regex,
    safe_prefix,
)
from translators.regex import translate_regex


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("/", True),
        ("/a", True),
        ("/a/", True),
        ("/a.b/", True),
        ("/a+b", True),
        ("/a+b/", False),
        ("/a(b)/", False),
        ("/a$b/c", True),
        ("/a*", False),
        ("/:a", False),
        ("/a/:b", False),
        ("/a/:b/c", False),
        ("/a:b/", True),
        ("/a\\/", False),
        ("/" + "a" * 4096, False),
    ],
)
def test_which_prefixes_the_router_takes_literally(prefix: str, wanted):
    assert is_safe(prefix) == wanted


@given(paths())
def test_the_safe_part_of_a_prefix_is_one_of_its_prefixes(prefix: str):
    cut = safe_prefix(prefix)
    assert prefix.startswith(cut)
    assert is_safe(cut)
    assert cut == prefix or not is_safe(prefix)


def router_takes(match: PathMatch, path: str, *, flat: bool = False) -> bool:
    keys, guard = (["/*"], match.flat_guard) if flat else (list(match.keys), match.guard)
    route = {"uris": keys, "vars": list(guard)}
    request = Request("", path, variables={"real_request_uri": f"{path}?q=1"})
    return Router({"r": route}).find(request) is not None


@given(paths(), paths(), st.sampled_from(["", "x", "/", "/x", ";v=1", ";v=1/x"]), st.booleans(), st.booleans())
def test_keys_and_guards_mean_what_envoy_means(text: str, other: str, tail: str, ignore_case, flat):
    for path in (text + tail, other, text.swapcase()):
        if "//" in path:
            continue
        for view in (PathView(), PathView("uri", ";"), RAW):
            seen = path.partition(";")[0] if view.stops.startswith(";") else path
            fold = str.lower if ignore_case else str
            own, found = fold(text), fold(seen)
            assert router_takes(begins_with(text, view, ignore_case=ignore_case), path, flat=flat) == found.startswith(
                own
            )
            assert router_takes(is_exactly(text, view, ignore_case=ignore_case), path, flat=flat) == (found == own)
            if not text.endswith("/"):
                below = is_at_or_below(text, view, ignore_case=ignore_case)
                assert router_takes(below, path, flat=flat) == (found == own or found.startswith(f"{own}/"))


@pytest.mark.parametrize("text", ["/a%2Fb", "/a//b", "/a/../b", "/a/./b", "/a/.", "/a/.."])
def test_what_never_occurs_in_a_normalised_path_is_compared_as_received(text: str):
    match = is_exactly(text)
    assert match.keys == ("/*",)
    assert match.guard[0][0] == "real_request_uri"


def test_a_prefix_may_end_inside_a_dot_segment():
    assert begins_with("/a/.") == PathMatch(("/a/.*",), (), (("uri", "~~", r"\A/a/\."),))
    assert begins_with("/a/../").guard[0][0] == "real_request_uri"


def test_everything_needs_no_guard():
    assert begins_with("") == begins_with("/") == ANY_PATH


@pytest.mark.parametrize("condition", [begins_with, is_exactly, is_at_or_below])
def test_a_text_that_begins_no_path_matches_none(condition):
    assert condition("a") is None


def test_a_path_longer_than_a_uri_may_be_is_guarded():
    path = "/" + "a" * 5000
    assert is_exactly(path).keys == (path[:4095] + "*",)
    assert begins_with(path).guard


def test_regexes_stand_under_their_literal_prefix():
    assert matches_regex(translate_regex("/v[0-9]/x")).keys == ("/v*",)
    assert matches_regex(translate_regex("/a/\\.\\./b")).keys == ("/a*",)
    assert matches_regex(translate_regex("/a|/b")).keys == ("/*",)
    assert matches_regex(translate_regex("/a:b/.*")).keys == ("/a:b/*",)
    assert matches_regex(translate_regex("/v1", "?"), RAW) == PathMatch(
        ("/*",),
        (("real_request_uri", "~~", r"\A(?s:/v1)(?:[?]|\z)"),),
        (("real_request_uri", "~~", r"\A(?s:/v1)(?:[?]|\z)"),),
    )
