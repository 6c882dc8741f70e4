from __future__ import annotations

import re

import pytest

from tests.translators.managed import managed


def test_escaped_slashes_are_refused_in_the_path_only():
    (refusal,) = managed({"path_with_escaped_slashes_action": "REJECT_REQUEST"}).draft.refusals
    variable, operator, pattern = refusal.condition
    assert (variable, operator, refusal.status) == ("real_request_uri", "~*", 400)
    for target in ("/a%2Fb", "/%5c"):
        assert re.search(pattern, target, re.IGNORECASE), target
    for target in ("/a?b=%2F", "/%252F", "/a/b"):
        assert not re.search(pattern, target, re.IGNORECASE), target


@pytest.mark.parametrize("action", ["KEEP_UNCHANGED", "UNESCAPE_AND_REDIRECT"])
def test_what_nginx_does_otherwise(action: str):
    found = managed({"path_with_escaped_slashes_action": action})
    assert (found.draft.refusals, found.said) == ([], [("HCM-PATH", "path_with_escaped_slashes_action")])


def test_what_nginx_does_anyway():
    found = managed({"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"})
    assert (found.draft.refusals, found.said) == ([], [])
