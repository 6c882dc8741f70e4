"""The key that a token names is found in the text of the token."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.mappings.http_filter.jwt_key_id import can_be_compared, names_another_key

FILLING = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=9)
KEY_IDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


def token(header: dict[str, Any], *, is_close: bool = False) -> str:
    separators = (",", ":") if is_close else None
    head, body = (json.dumps(part, separators=separators).encode() for part in (header, {"kid": "in the payload"}))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (head, body)) + ".c2ln"


def is_refused(text: str, *key_ids: str) -> bool:
    """Evaluate the expression as nginx would."""
    _, has_member, (_, _, _, pattern) = names_another_key("http_authorization", key_ids)
    return re.search(has_member[2], text) is not None and re.search(pattern, text) is None


@given(KEY_IDS, KEY_IDS, FILLING, st.booleans(), st.sampled_from(["", "Bearer ", "bearer "]))
def test_only_a_token_that_names_another_key_is_refused(named: str, known: str, filling: str, is_close, prefix: str):
    for header in ({"alg": filling, "kid": named}, {"kid": named, "typ": filling}):
        text = prefix + token(header, is_close=is_close)
        assert not is_refused(text, named)
        assert not is_refused(text, known, named)
        assert is_refused(text, known) is (named != known)
    assert not is_refused(prefix + token({"alg": "RS256", "typ": "JWT"}, is_close=is_close), known)


def test_a_slash_may_be_escaped():
    head = base64.urlsafe_b64encode(rb'{"kid":"a\/b"}').decode().rstrip("=")
    assert not is_refused(f"{head}.e30.c2ln", "a/b")


@pytest.mark.parametrize(("key_id", "is_possible"), [("k", True), ("", False), ("k" * 129, False), ("é", False)])
def test_what_tokens_can_be_asked_for(key_id: str, is_possible: bool):  # noqa: FBT001 - a parameter of the test
    assert can_be_compared(key_id) is is_possible
