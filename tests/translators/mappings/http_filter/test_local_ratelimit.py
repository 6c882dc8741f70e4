"""Local rate limits limit whom Envoy limits, all routes of a bucket together, or block the route."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Severity
from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome

TYPE = ".local_ratelimit.v3.LocalRateLimit"
FULL = {"default_value": {"numerator": 100}}
HALF = {"default_value": {"numerator": 50}}
BUCKET = {"max_tokens": 3, "tokens_per_fill": 3, "fill_interval": "60s"}
BASE: dict[str, Any] = {"filter_enabled": FULL, "filter_enforced": FULL}
LIMIT = {**BASE, "token_bucket": BUCKET}
USER = {"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}
PAID = {"header_value_match": {"descriptor_value": "yes", "headers": [{"name": "x-paid"}]}}


def limited(config: dict[str, Any], route: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    return route_outcome(route or forwarded(), filters=[http_filter(TYPE, config)], **levels)


def descriptor(value: str = "", key: str = "user", **fields: Any) -> dict[str, Any]:
    return {"entries": [{"key": key, **({"value": value} if value else {})}], "token_bucket": BUCKET, **fields}


def by_user(*actions: dict[str, Any]) -> dict[str, Any]:
    return forwarded(rate_limits=[{"actions": list(actions or (USER,))}])


def by_header(name: str) -> dict[str, Any]:
    return {"actions": [{"request_headers": {"header_name": f"x-{name}", "descriptor_key": name}}]}


MANY = forwarded(rate_limits=[by_header(name) for name in ("user", "paid", "gold")])
"""Any of their values may come together."""


def group(outcome: Outcome) -> str:
    found: str = outcome.plugins["limit-count"]["group"]
    return found


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"token_bucket": BUCKET},
        BASE,
        {**LIMIT, "filter_enforced": {"default_value": {"numerator": 0}}},
        {**BASE, "token_bucket": {**BUCKET, "max_tokens": 2**32 - 1}},
    ],
)
def test_what_limits_nothing_leaves_no_trace(config: dict[str, Any]):
    outcome = limited(config)
    assert (outcome.plugins, outcome.codes) == ({}, [])


def test_the_whole_bucket_is_granted_a_window():
    conf = limited({**LIMIT, "token_bucket": {**BUCKET, "max_tokens": 6}}).plugins["limit-count"]
    assert (conf["count"], conf["time_window"]) == (6, 120)
    assert (conf["rejected_code"], conf["show_limit_quota_header"]) == (429, False)


def test_a_bucket_that_is_full_after_part_of_a_second_is_metered():
    bucket = {"max_tokens": 10, "tokens_per_fill": 5, "fill_interval": "0.1s"}
    conf = limited({**LIMIT, "token_bucket": bucket}).plugins["limit-req"]
    assert (conf["rate"], conf["burst"], conf["nodelay"]) == (50, 9, True)


def test_shares_are_drawn_apart():
    conf = limited({**LIMIT, "filter_enabled": HALF, "filter_enforced": HALF}).plugins["limit-count"]
    assert conf["_meta"]["filter"] == [
        ("request_id", "~~", r"\A.{28}(?:[0-7]...)"),
        ("request_id", "~~", r"\A.{24}(?:[0-7]...)"),
    ]


def test_routes_count_together_whatever_else_draws_on_them():
    """A service is its content, so another draw would be another count."""
    fault = {"abort": {"http_status": 500, "percentage": {"numerator": 50}}}
    faults = http_filter(".fault.v3.HTTPFault", name="fault")
    limits = http_filter(TYPE, {**LIMIT, "filter_enabled": HALF})
    extra = {"typed_per_filter_config": {"fault": packed(".fault.v3.HTTPFault", fault)}}
    plain, faulty = (route_outcome(forwarded(more), filters=[faults, limits]).parts[-1] for more in ({}, extra))
    assert plain.fields["plugins"]["limit-count"] == faulty.fields["plugins"]["limit-count"]


def test_a_bucket_belongs_to_where_it_is_configured():
    on_listener = limited(LIMIT, {**forwarded(), "match": {"prefix": "/a"}})
    assert group(on_listener) == group(limited(LIMIT, {**forwarded(), "match": {"prefix": "/b"}}))
    config = {"typed_per_filter_config": {"guard": packed(TYPE, LIMIT)}}
    on_host = [limited({}, {**forwarded(), "match": {"prefix": p}}, virtual_host=config) for p in ("/a", "/b")]
    on_config = [limited({}, {**forwarded(), "match": {"prefix": p}}, route_config=config) for p in ("/a", "/b")]
    on_route = [limited({}, {**forwarded(config), "match": {"prefix": p}}) for p in ("/a", "/b")]
    assert group(on_host[0]) == group(on_host[1])
    assert group(on_config[0]) == group(on_config[1])
    assert len({group(one) for one in (on_listener, on_host[0], on_config[0], *on_route)}) == 5


def test_a_group_with_another_configuration_is_another_group():
    """A node refuses a group whose configuration has changed."""
    assert group(limited(LIMIT)) != group(limited({**LIMIT, "status": {"code": 503}}))
    assert group(limited(LIMIT)) != group(limited({**LIMIT, "token_bucket": {**BUCKET, "fill_interval": "61s"}}))


def test_a_weighted_cluster_has_a_bucket_of_its_own():
    config = {"typed_per_filter_config": {"guard": packed(TYPE, LIMIT)}}
    weighted = {"clusters": [{"name": name, "weight": 1, **config} for name in ("backend", "other")]}
    outcome = limited({}, {"route": {"weighted_clusters": weighted}}, clusters=("backend", "other"))
    groups = {part.fields["plugins"]["limit-count"]["group"] for part in outcome.parts}
    assert len(groups) == len(outcome.parts) == 2


@pytest.mark.parametrize("hcm", [{"rds": {"route_config_name": "routes"}}, {}])
def test_listeners_share_a_route_configuration_that_comes_by_rds(hcm: dict[str, Any]):
    config = {"typed_per_filter_config": {"guard": packed(TYPE, LIMIT)}}
    one, two = (limited({}, forwarded(config), hcm=hcm, listener=name) for name in ("a", "b"))
    assert (group(one) == group(two)) is bool(hcm)


def test_a_value_that_is_named_is_a_condition_and_any_value_is_a_key():
    named = limited({**BASE, "descriptors": [descriptor("bob")]}, by_user()).plugins["limit-count"]
    assert named["_meta"]["filter"] == [("http_x_user", "==", "bob")]
    assert (named["key"], named["key_type"]) == ("all", "constant")
    each = limited({**BASE, "descriptors": [descriptor()]}, by_user()).plugins["limit-count"]
    assert each["_meta"]["filter"] == [("http_x_user", "~~", ".*")]
    assert (each["key"], each["key_type"]) == ("${http_x_user}", "var_combination")


def test_the_bucket_of_all_stays_one_where_a_descriptor_has_another():
    config = {**LIMIT, "descriptors": [descriptor("bob")]}
    with_descriptor, without = limited(config, by_user()), limited(config)
    assert group(with_descriptor) == group(without)
    meter = with_descriptor.plugins["limit-req"]
    assert (meter["burst"], meter["rate"]) == (2, 0.05)
    assert meter["_meta"]["filter"] == [("http_x_user", "==", "bob")]
    assert meter["_meta"]["priority"] > with_descriptor.plugins["limit-count"]["_meta"]["priority"]


def test_the_bucket_of_all_is_for_the_others_only():
    config = {**LIMIT, "descriptors": [descriptor("bob")], "always_consume_default_token_bucket": False}
    outcome = limited(config, by_user())
    filters = {name: conf["_meta"]["filter"] for name, conf in outcome.plugins.items()}
    assert filters == {
        "limit-count": [("http_x_user", "~=", "bob")],
        "limit-req": [("http_x_user", "==", "bob")],
    }


def test_an_endless_descriptor_keeps_the_bucket_of_all_from_being_used():
    endless = descriptor("bob", token_bucket={**BUCKET, "max_tokens": 2**32 - 1})
    config = {**LIMIT, "descriptors": [endless], "always_consume_default_token_bucket": False}
    assert limited(config, by_user()).plugins["limit-count"]["_meta"]["filter"] == [("http_x_user", "~=", "bob")]


def test_several_buckets_are_rules_and_that_is_said():
    actions = [{"actions": [USER]}, {"actions": [{"remote_address": {}}]}]
    config = {**LIMIT, "descriptors": [descriptor(), descriptor(key="remote_address")]}
    outcome = limited(config, forwarded(rate_limits=actions))
    conf = outcome.plugins["limit-count"]
    keys = [rule["key"].partition(".")[2] for rule in conf["rules"]]
    assert keys == ["${http_x_user}", "${remote_addr}", "${_ ?? -}"]
    assert len({rule["key"] for rule in conf["rules"]}) == 3
    assert [(found.code, found.severity) for found in outcome.diagnostics] == [("HF-RESTRICT", Severity.WARN)]


def test_a_bucket_for_each_of_several_values_is_a_case():
    config = {**LIMIT, "descriptors": [descriptor("a"), descriptor("b"), descriptor("c")]}
    outcome = limited(config, by_user())
    assert set(outcome.plugins) == {"limit-req", "workflow"}
    rules = outcome.plugins["workflow"]["rules"]
    assert [rule["case"] for rule in rules] == [[("http_x_user", "==", value)] for value in "abc"]
    assert len({rule["actions"][0][1]["key"] for rule in rules}) == 3
    assert outcome.plugins["limit-req"]["key"].endswith(".${_ ?? -}")
    assert [found.severity for found in outcome.diagnostics] == [Severity.WARN]


@pytest.mark.parametrize(
    ("config", "route"),
    [
        ({**LIMIT, "local_rate_limit_per_downstream_connection": True}, forwarded()),
        ({**LIMIT, "local_cluster_rate_limit": {}}, forwarded()),
        ({**LIMIT, "descriptors": [descriptor("a"), descriptor("b", "paid"), descriptor("c", "gold")]}, MANY),
        ({**BASE, "descriptors": [descriptor(key="source_cluster")]}, by_user({"source_cluster": {}})),
        (
            {**BASE, "descriptors": [descriptor(key="masked_remote_address")]},
            by_user({"masked_remote_address": {"v4_prefix_mask_len": 8}}),
        ),
    ],
)
def test_what_cannot_be_counted_blocks_the_route(config: dict[str, Any], route: dict[str, Any]):
    outcome = limited(config, route)
    assert outcome.answer["body"] == "blocked: HF-RESTRICT"
    assert outcome.codes == ["HF-RESTRICT"]
    assert limited(config, route, policy={"HF-RESTRICT": "warn"}).only.fields["upstream_id"]


def test_an_override_that_cannot_be_read_blocks_the_route():
    unknown = {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": "x/example.Unknown"}
    outcome = limited(LIMIT, forwarded({"typed_per_filter_config": {"guard": unknown}}))
    assert outcome.answer["body"] == "blocked: HF-RESTRICT"


def test_two_filters_count_with_two_plugins_and_a_third_blocks():
    filters = [http_filter(TYPE, LIMIT, name=f"f{number}") for number in range(3)]
    assert set(route_outcome(forwarded(), filters=filters[:2]).plugins) == {"limit-count", "limit-req"}
    blocked = route_outcome(forwarded(), filters=filters)
    assert blocked.codes == ["HF-DUP"]
    assert blocked.plugins["mocking"]["response_example"] == "blocked: HF-DUP"


def test_a_second_filter_counts_one_limit():
    second = {**LIMIT, "descriptors": [descriptor()]}
    filters = [http_filter(TYPE, LIMIT, name="a"), http_filter(TYPE, second, name="b")]
    outcome = route_outcome(by_user(), filters=filters)
    assert outcome.codes == ["HF-RESTRICT"]
    assert outcome.plugins["mocking"]["response_example"] == "blocked: HF-RESTRICT"


def test_each_limit_is_counted_by_one_plugin_on_all_routes():
    """Else a bucket would be two: that of a group, and that of a service."""
    config = {**BASE, "descriptors": [descriptor(), descriptor(key="paid"), descriptor(key="gold")]}
    first, second, both, others = (
        limited(config, forwarded(rate_limits=[by_header(name) for name in names]))
        for names in (["user"], ["paid"], ["user", "paid"], ["paid", "gold"])
    )
    assert (set(first.plugins), set(second.plugins)) == ({"limit-count"}, {"limit-req"})
    assert both.plugins["limit-count"] == first.plugins["limit-count"]
    assert both.plugins["limit-req"] == second.plugins["limit-req"]
    assert not both.codes
    assert [found.severity for found in others.diagnostics] == [Severity.WARN]


def test_two_limits_that_only_limit_req_can_count_block_the_route():
    odd = {"max_tokens": 2, "tokens_per_fill": 1, "fill_interval": "0.3s"}
    config = {**BASE, "token_bucket": odd, "descriptors": [descriptor(token_bucket=odd)]}
    assert limited(config, by_user()).answer["body"] == "blocked: HF-RESTRICT"


def test_limits_under_one_condition_are_rules_under_it():
    actions = [{"actions": [{"generic_key": {"descriptor_value": name}}, PAID]} for name in "abc"]
    entries = [[{"key": "generic_key", "value": name}, {"key": "header_match", "value": "yes"}] for name in "abc"]
    config = {**BASE, "descriptors": [{"entries": one, "token_bucket": BUCKET} for one in entries]}
    conf = limited(config, forwarded(rate_limits=actions)).plugins["limit-count"]
    assert (len(conf["rules"]), conf["_meta"]["filter"]) == (3, [("http_x_paid", "~~", ".*")])


@pytest.mark.parametrize(("name", "is_blocked"), [("X-User", True), ("x-other", False)])
def test_a_header_that_is_removed_behind_the_filter_cannot_be_counted_by(name: str, *, is_blocked: bool):
    """It is removed before anything is counted, and what has no value is not limited."""
    config = {**BASE, "descriptors": [descriptor()]}
    outcome = limited(config, by_user() | {"request_headers_to_remove": [name]})
    assert ("HF-ORDER" in outcome.codes) is is_blocked
    assert ("upstream_id" in outcome.only.fields) is not is_blocked


def test_headers_that_are_not_added_are_said():
    added = [{"header": {"key": "x", "value": "y"}}]
    assert limited({**LIMIT, "response_headers_to_add": added}).codes == ["HF-UNTRANSLATED"]
