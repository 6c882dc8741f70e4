"""Headers that a rule removes are removed; the metadata is nobody's business here."""

from __future__ import annotations

from typing import Any

from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome

TYPE = ".header_to_metadata.v3.Config"


def rule(header: str, *, remove: bool = True) -> dict[str, Any]:
    return {"header": header, "on_header_present": {"key": "k"}, "remove": remove}


def read(config: dict[str, Any], override: dict[str, Any] | None = None) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    return route_outcome(forwarded(extra), filters=[http_filter(TYPE, config)])


def test_headers_are_removed_where_the_rule_says_so():
    outcome = read({"request_rules": [rule("X-A"), rule("x-b", remove=False)], "response_rules": [rule("x-c")]})
    assert outcome.plugins["proxy-rewrite"]["headers"] == {"remove": ["x-a"]}
    assert outcome.plugins["response-rewrite"]["headers"] == {"remove": ["x-c"]}
    assert outcome.codes == []


def test_rules_that_remove_nothing_do_nothing():
    assert read({"request_rules": [rule("x-a", remove=False)]}).plugins == {}
    assert read({}).plugins == {}


def test_an_override_replaces_and_an_unreadable_one_is_said():
    other = read({"request_rules": [rule("x-a")]}, packed(TYPE, {"request_rules": [rule("x-b")]}))
    assert other.plugins["proxy-rewrite"]["headers"] == {"remove": ["x-b"]}
    broken = read({"request_rules": [rule("x-a")]}, packed(".rbac.v3.RBACPerRoute"))
    assert (broken.plugins, broken.codes) == ({}, ["HF-UNTRANSLATED"])
