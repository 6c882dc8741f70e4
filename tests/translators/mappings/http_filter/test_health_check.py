"""Health checks are answered in front of the routes."""

from __future__ import annotations

import pytest

from tests.translators.route_parts import forwarded, http_filter, route_outcome

PATH = {"headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}]}


def checked(config):
    return route_outcome(forwarded(), filters=[http_filter(".health_check.v3.HealthCheck", config)])


def test_a_check_is_answered_where_the_headers_match():
    outcome = checked({"pass_through_mode": False, **PATH})
    guard, route = outcome.parts
    assert guard.conditions == (("AND", ("uri", "==", "/healthz"), ("real_request_uri", "~~", r"\A[^?]*\z")),)
    assert guard.fields["plugins"] == {"fault-injection": {"abort": {"http_status": 200, "body": ""}}}
    assert route.fields["upstream_id"]
    assert outcome.codes == []


def test_without_headers_everything_is_a_check():
    assert checked({"pass_through_mode": False}).answer["http_status"] == 200


@pytest.mark.parametrize(
    ("config", "codes", "part_count"),
    [
        ({"pass_through_mode": True, **PATH}, [], 1),
        ({"pass_through_mode": True, "cache_time": "1s", **PATH}, ["HF-UNTRANSLATED"], 1),
        ({"cluster_min_healthy_percentages": {"c": {"value": 50}}, **PATH}, ["HF-UNTRANSLATED"], 2),
        ({"headers": [{"name": "a b"}]}, ["HF-UNTRANSLATED"], 1),
        ({"headers": [{"name": "a", "string_match": {"safe_regex": {"regex": "\\C"}}}]}, ["HF-UNTRANSLATED"], 1),
    ],
)
def test_what_is_not_answered_as_envoy_does_is_said(config, codes, part_count):
    outcome = checked(config)
    assert (outcome.codes, len(outcome.parts)) == (codes, part_count)


def test_a_filter_without_a_configuration_does_nothing():
    assert route_outcome(forwarded(), filters=[{"name": "envoy.filters.http.health_check"}]).plugins == {}
