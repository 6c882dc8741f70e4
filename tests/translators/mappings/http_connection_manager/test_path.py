from __future__ import annotations

import re

from schemas.records import Severity
from tests.translators.managed import managed


def test_escaped_slashes_are_refused_in_the_path_only():
    (refusal,) = managed({"path_with_escaped_slashes_action": "REJECT_REQUEST"}).draft.refusals
    variable, operator, pattern = refusal.condition
    assert (variable, operator, refusal.status) == ("real_request_uri", "~*", 400)
    for target in ("/a%2Fb", "/%5c"):
        assert re.search(pattern, target, re.IGNORECASE), target
    for target in ("/a?b=%2F", "/%252F", "/a/b"):
        assert not re.search(pattern, target, re.IGNORECASE), target


def test_what_nginx_does_otherwise():
    found = managed({"path_with_escaped_slashes_action": "KEEP_UNCHANGED"})
    assert (found.draft.refusals, found.said) == ([], [("HCM-PATH", "path_with_escaped_slashes_action")])


def test_slashes_are_redirected_and_backslashes_refused():
    found = managed({"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"})
    backslash, slash = found.draft.refusals
    assert (backslash.status, slash.status) == (400, 307)
    assert [(one.code, one.severity) for one in found.diagnostics] == [("HCM-PATH", Severity.INFO)]
    assert slash.plugins["redirect"]["uri"] == "$uri"
    for target, refused, redirected in (
        ("/a%2Fb?c", False, True),
        ("/a%5Cb", True, False),
        ("/a%2Fb%3Fc", False, False),
        ("/a?b=%2F%5C", False, False),
    ):
        assert bool(re.search(backslash.condition[2], target, re.IGNORECASE)) == refused, target
        assert bool(re.search(slash.condition[2], target, re.IGNORECASE)) == redirected, target


def test_what_nginx_does_anyway():
    found = managed({"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"})
    assert (found.draft.refusals, found.said) == ([], [])
