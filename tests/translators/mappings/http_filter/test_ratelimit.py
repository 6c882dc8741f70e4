"""Limits of a rate limit service are those that the operator gives, else they are missed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome
from translators.policy import StaticLimit

SLOW = StaticLimit((("generic_key", "slow"),), 2, "minute")
ANY_USER = StaticLimit((("user", ""),), 10, "second")
ROOT = StaticLimit((("user", "root"),), 1000, "second")
USER = {"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}
GENERIC = {"generic_key": {"descriptor_value": "slow"}}


def limited(
    *limits: StaticLimit, action: dict[str, Any] = GENERIC, override: dict[str, Any] | None = None, **config: Any
) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    route = forwarded(extra, rate_limits=[{"actions": [action]}])
    filters = [http_filter(".ratelimit.v3.RateLimit", {"domain": "shop", **config})]
    return route_outcome(route, filters=filters, decisions={"rls_static_limits": {"shop": limits}})


def test_a_limit_is_counted_in_its_unit():
    outcome = limited(
        SLOW, failure_mode_deny=True, rate_limited_status={"code": 503}, filter_enforced={"default_value": {}}
    )
    assert (outcome.plugins, outcome.codes) == ({}, [])
    conf = limited(SLOW, rate_limited_status={"code": 503}).plugins["limit-count"]
    assert (conf["count"], conf["time_window"], conf["rejected_code"]) == (2, 60, 503)


def test_a_descriptor_without_a_limit_is_not_limited():
    outcome = limited(ANY_USER)
    assert (outcome.plugins, outcome.codes) == ({}, [])


def test_a_value_that_is_named_wins_over_any_value():
    plugins = limited(ANY_USER, ROOT, action=USER).plugins
    any_user, root = plugins["limit-count"], plugins["limit-req"]
    assert (any_user["count"], any_user["key"], root["burst"]) == (10, "${http_x_user}", 999)
    assert any_user["_meta"]["filter"] == [("http_x_user", "~=", "root"), ("http_x_user", "~~", ".*")]
    assert root["_meta"]["filter"] == [("http_x_user", "==", "root")]


def test_a_domain_of_the_route():
    override = packed(".ratelimit.v3.RateLimitPerRoute", {"domain": "other"})
    assert limited(SLOW, override=override).codes == ["HF-RLS"]


def test_limits_of_the_route_in_the_filter():
    override = packed(".ratelimit.v3.RateLimitPerRoute", {"rate_limits": [{"actions": [USER]}]})
    assert limited(SLOW, ANY_USER, override=override).plugins["limit-req"]["burst"] == 9


@pytest.mark.parametrize(
    ("action", "limits"),
    [({"source_cluster": {}}, [SLOW]), ({"masked_remote_address": {"v4_prefix_mask_len": 8}}, [])],
)
def test_what_cannot_be_told_is_missed(action: dict[str, Any], limits: list[StaticLimit]):
    any_network = StaticLimit((("masked_remote_address", ""),), 1, "day")
    assert limited(*limits, any_network, action=action).codes == ["HF-RLS"]
    assert limited(*limits, any_network, action=action, failure_mode_deny=True).answer["body"] == "blocked: HF-RLS"


def test_an_override_that_cannot_be_read_is_missed():
    unknown = {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": "x/example.Unknown"}
    assert limited(SLOW, override=unknown).codes == ["HF-RLS"]
