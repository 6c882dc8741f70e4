"""Requests that change something are denied unless they come from an origin that Envoy accepts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.router import Request, holds
from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome

FULL = {"filter_enabled": {"default_value": {"numerator": 100}}}
NONE = {"filter_enabled": {"default_value": {"numerator": 0}}, "shadow_enabled": {"default_value": {"numerator": 100}}}
EXACT = {"domains": ["foo.com"]}


def checked(config: dict[str, Any], override: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    levels.setdefault("virtual_host", EXACT)
    return route_outcome(forwarded(extra), filters=[http_filter(".csrf.v3.CsrfPolicy", config)], **levels)


def is_denied(outcome: Outcome, method: str = "POST", host: str = "foo.com", **headers: str) -> bool:
    variables = {"http_host": host, **{f"http_{name}": value for name, value in headers.items()}}
    request = Request(host, "/", method, variables)
    part = next(part for part in outcome.parts if all(holds(condition, request) for condition in part.conditions))
    if "upstream_id" in part.fields:
        return False
    abort = part.fields["plugins"]["fault-injection"]["abort"]
    assert (abort["http_status"], abort["body"]) == (403, "Invalid origin")
    assert part.is_blocking
    return True


@pytest.mark.parametrize(
    ("origin", "denied"),
    [
        ("http://foo.com", False),
        ("https://foo.com/x?y", False),
        ("http://user@foo.com", False),
        ("foo.com", False),
        ("http://foo.com:80", True),
        ("http://foo.com.evil", True),
        ("http://evil/foo.com", True),
        ("http://evil?http://foo.com", True),
        ("http://evil@bar.com", True),
        ("null", True),
        ("", True),
    ],
)
def test_the_origin_must_be_the_host(origin, denied):
    assert is_denied(checked(FULL), origin=origin) is denied


def test_the_referer_counts_where_there_is_no_origin():
    outcome = checked(FULL)
    assert not is_denied(outcome, referer="http://foo.com/a")
    assert not is_denied(outcome, origin="", referer="http://foo.com/a")
    assert is_denied(outcome, origin="null", referer="http://foo.com/a")
    assert is_denied(outcome)


@pytest.mark.parametrize(("method", "denied"), [("PUT", True), ("DELETE", True), ("PATCH", True), ("GET", False)])
def test_only_what_changes_something_is_checked(method, denied):
    assert is_denied(checked(FULL), method) is denied


@pytest.mark.parametrize(
    ("matcher", "allowed"),
    [
        ({"exact": "bar.com"}, True),
        ({"suffix": "ar.com"}, True),
        ({"safe_regex": {"regex": "[a-z]+\\.com"}}, True),
        ({"exact": "bar"}, False),
    ],
)
def test_additional_origins_pass(matcher, allowed):
    outcome = checked({**FULL, "additional_origins": [matcher]})
    assert is_denied(outcome, origin="http://bar.com") is not allowed
    assert outcome.codes == []


@pytest.mark.parametrize("matcher", [{"safe_regex": {"regex": "\\C"}}, {}])
def test_an_origin_that_cannot_be_matched_is_denied(matcher):
    outcome = checked({**FULL, "additional_origins": [matcher]})
    assert outcome.codes == ["HF-RESTRICT"]
    assert is_denied(outcome, origin="http://bar.com")


def test_under_a_wildcard_only_additional_origins_pass():
    config = {**FULL, "additional_origins": [{"exact": "bar.com"}]}
    outcome = checked(config, virtual_host={"domains": ["foo.com", "*.com"]})
    assert outcome.codes == ["HF-RESTRICT"]
    assert not is_denied(outcome, origin="http://bar.com")
    assert not is_denied(outcome, origin="http://foo.com")
    assert is_denied(outcome, host="x.com", origin="http://x.com")
    opened = checked(config, virtual_host={"domains": ["*.com"]}, policy={"HF-RESTRICT": "allow"})
    assert len(opened.parts) == 1


@pytest.mark.parametrize(
    ("config", "override"),
    [
        (NONE, None),
        ({}, None),
        (FULL, packed(".csrf.v3.CsrfPolicy", NONE)),
    ],
)
def test_a_policy_that_is_off_checks_nothing(config, override):
    outcome = checked(config, override)
    assert (len(outcome.parts), outcome.codes) == (1, [])


def test_an_override_replaces_and_an_unreadable_one_denies():
    assert is_denied(checked(NONE, packed(".csrf.v3.CsrfPolicy", FULL)))
    broken = checked(FULL, packed(".rbac.v3.RBACPerRoute"))
    assert broken.answer["body"] == "blocked: HF-RESTRICT"
    opened = checked(FULL, packed(".rbac.v3.RBACPerRoute"), policy={"HF-RESTRICT": "allow"})
    assert opened.only.fields["upstream_id"]
