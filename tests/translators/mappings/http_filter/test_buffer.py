"""Bodies above the limit are refused, whether or not their length is announced."""

from __future__ import annotations

import pytest

from tests.oracle.router import Request, holds
from tests.translators.route_parts import forwarded, http_filter, packed, route_outcome

LIMIT = {"max_request_bytes": 10}


def limited(config=None, override=None, to=forwarded, **levels):
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    return route_outcome(to(extra), filters=[http_filter(".buffer.v3.Buffer", config)], **levels)


def test_an_announced_length_is_answered_as_envoy_does_and_others_by_nginx():
    outcome = limited(LIMIT)
    guard, route = outcome.parts
    assert guard.fields["plugins"]["fault-injection"]["abort"]["http_status"] == 413
    assert not guard.is_blocking
    assert route.fields["plugins"] == {"client-control": {"max_body_size": 10, "_meta": {"priority": 20000}}}
    assert outcome.codes == []


@pytest.mark.parametrize(("length", "is_refused"), [("11", True), ("10", False), ("1e9", False), (None, False)])
def test_the_limit_itself_passes(length, is_refused):
    variables = {} if length is None else {"http_content_length": length}
    request = Request("h", "/", "POST", variables)
    assert all(holds(condition, request) for condition in limited(LIMIT).parts[0].conditions) is is_refused


def test_answers_come_after_the_body_too():
    parts = limited(LIMIT, to=lambda extra: {"redirect": {"host_redirect": "b"}, **extra}).parts
    assert [part.fields["plugins"]["fault-injection"]["abort"]["http_status"] for part in parts] == [413, 301]


def test_a_route_sets_another_limit_or_none():
    assert limited(LIMIT, packed(".buffer.v3.BufferPerRoute", {"disabled": True})).plugins == {}
    other = limited(LIMIT, packed(".buffer.v3.BufferPerRoute", {"buffer": {"max_request_bytes": 7}}))
    assert other.parts[1].fields["plugins"]["client-control"]["max_body_size"] == 7


def test_an_unreadable_override_and_a_second_filter_are_said():
    outcome = limited(LIMIT, packed(".rbac.v3.RBACPerRoute"))
    assert (outcome.codes, outcome.plugins) == (["HF-UNTRANSLATED"], {})
    filters = [http_filter(".buffer.v3.Buffer", LIMIT), {**http_filter(".buffer.v3.Buffer", LIMIT), "name": "b"}]
    two = route_outcome(forwarded(), filters=filters)
    assert two.codes == ["HF-UNTRANSLATED"]
    assert len(two.parts) == 3
