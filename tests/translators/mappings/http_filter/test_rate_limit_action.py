"""What a request is limited by, as far as it is known when the route is translated."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import message
from translators.expr import ALWAYS, NEVER
from translators.mappings.http_filter.rate_limit_action import Entry, applicable, descriptors_of

RATE_LIMIT = "envoy.config.route.v3.RateLimit"
USER = {"request_headers": {"header_name": "X-User", "descriptor_key": "user"}}
OPTIONAL = {"request_headers": {"header_name": "x-team", "descriptor_key": "team", "skip_if_absent": True}}
PRESENT, ABSENT = ("http_x_team", "~~", ".*"), ("http_x_team", "!", "~~", ".*")


def made(*actions: dict[str, Any], cluster: str = "backend", **fields: Any) -> list[Any] | None:
    found = descriptors_of(message(RATE_LIMIT, {"actions": list(actions), **fields}), cluster)
    return None if found is None else [(one.entries, one.condition) for one in found]


@pytest.mark.parametrize(
    ("action", "entry", "condition"),
    [
        ({"generic_key": {"descriptor_value": "v"}}, Entry("generic_key", "v"), ALWAYS),
        ({"generic_key": {"descriptor_value": "v", "descriptor_key": "k"}}, Entry("k", "v"), ALWAYS),
        ({"destination_cluster": {}}, Entry("destination_cluster", "backend"), ALWAYS),
        ({"remote_address": {}}, Entry("remote_address", "", "remote_addr"), ALWAYS),
        (
            {"masked_remote_address": {"v4_prefix_mask_len": 8}},
            Entry("masked_remote_address", "", "remote_addr", (8, 128)),
            ALWAYS,
        ),
        (USER, Entry("user", "", "http_x_user"), ("http_x_user", "~~", ".*")),
        (
            {"request_headers": {"header_name": ":path", "descriptor_key": "p"}},
            Entry("p", "", "real_request_uri"),
            ("real_request_uri", "~~", ".*"),
        ),
        (
            {"query_parameters": {"query_parameter_name": "q", "descriptor_key": "k"}},
            Entry("k", "", "arg_q"),
            ("arg_q", "~~", ".*"),
        ),
        (
            {"header_value_match": {"descriptor_value": "v", "headers": [{"name": "x-a", "exact_match": "1"}]}},
            Entry("header_match", "v"),
            ("http_x_a", "==", "1"),
        ),
        (
            {
                "header_value_match": {
                    "descriptor_value": "v",
                    "expect_match": False,
                    "headers": [{"name": "x-a", "exact_match": "1"}],
                }
            },
            Entry("header_match", "v"),
            ("http_x_a", "~=", "1"),
        ),
        (
            {
                "query_parameter_value_match": {
                    "descriptor_key": "k",
                    "descriptor_value": "v",
                    "query_parameters": [{"name": "q"}],
                }
            },
            Entry("k", "v"),
            ("args", "~~", r"\A(?:(?!q(?:[=&]|\z))[^&]*&)*q(?:[=&]|\z)"),
        ),
    ],
)
def test_an_action_is_an_entry_under_a_condition(action: dict[str, Any], entry: Entry, condition: Any):
    assert made(action) == [((entry,), condition)]


@pytest.mark.parametrize(
    ("actions", "fields"),
    [
        ([{"source_cluster": {}}], {}),
        ([{"metadata": {"descriptor_key": "k", "metadata_key": {"key": "k"}}}], {}),
        ([{"generic_key": {"descriptor_value": "%REQ(x)%"}}], {}),
        ([{"request_headers": {"header_name": "a b", "descriptor_key": "k"}}], {}),
        ([{"header_value_match": {"descriptor_value": "v", "headers": [{"name": "a b"}]}}], {}),
        (
            [
                {
                    "header_value_match": {
                        "descriptor_value": "v",
                        "headers": [{"name": "a", "safe_regex_match": {"regex": "("}}],
                    }
                }
            ],
            {},
        ),
        ([USER], {"hits_addend": {"number": 2}}),
        ([USER], {"limit": {}}),
        ([USER], {"apply_on_stream_done": True}),
        ([OPTIONAL] * 5, {}),
    ],
)
def test_what_cannot_be_told(actions: list[dict[str, Any]], fields: dict[str, Any]):
    assert made(*actions, **fields) is None


def test_a_cluster_that_is_drawn_cannot_be_told():
    assert made({"destination_cluster": {}}, cluster="") is None


def test_an_entry_that_may_be_left_out_makes_two_descriptors():
    key, team = Entry("generic_key", "v"), Entry("team", "", "http_x_team")
    generic = {"generic_key": {"descriptor_value": "v"}}
    assert made(generic, OPTIONAL) == [((key, team), PRESENT), ((key,), ABSENT)]
    assert made(OPTIONAL) == [((team,), PRESENT)]


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        ("10.0.0.0/8", ("remote_addr", "ipmatch", ("10.0.0.0/8",))),
        ("10.0.0.0/16", NEVER),
        ("10.0.0.1/8", NEVER),
        ("10.0.0.1", NEVER),
        ("fd00::/64", NEVER),
        ("fd00::1/128", ("remote_addr", "ipmatch", ("fd00::1/128",))),
    ],
)
def test_a_network_is_one_that_the_mask_can_give(wanted: str, condition: Any):
    assert Entry("masked_remote_address", "", "remote_addr", (8, 128)).condition(wanted) == condition


@pytest.mark.parametrize(
    ("own", "option", "is_included", "stage", "chosen"),
    [
        ([0], 0, False, 0, ["own"]),
        ([], 0, False, 0, ["outer"]),
        ([0], 1, False, 0, ["own", "outer"]),
        ([0], 2, False, 0, ["own"]),
        ([], 2, False, 0, []),
        ([0], 2, True, 0, ["own", "outer"]),
        ([1], 0, False, 0, []),
        ([1, 0], 0, False, 1, ["own"]),
    ],
)
def test_the_limits_of_a_route_and_its_host(
    own: list[int], option: int, stage: int, chosen: list[str], *, is_included: bool
):
    def limits(name: str, stages: list[int]) -> list[Any]:
        action = {"generic_key": {"descriptor_value": name}}
        return [message(RATE_LIMIT, {"stage": one, "actions": [action]}) for one in stages]

    found = applicable(limits("own", own), limits("outer", [0]), option, is_included=is_included, stage=stage)
    assert [one.actions[0].generic_key.descriptor_value for one in found] == chosen
