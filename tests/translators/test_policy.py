"""A policy says only what translation can do; its digest is that of its values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.policy import NEWEST, Action, OPAService, Policy, StaticLimit, Version

LIMIT = {"descriptor": [["user", ""]], "requests_per_unit": 1, "unit": "day"}

names = st.sampled_from(["a", "b"])
ports = st.integers(1, 65535)
limits = st.builds(
    StaticLimit,
    descriptor=st.tuples(st.tuples(names, names)),
    requests_per_unit=st.integers(1, 2),
    unit=st.sampled_from(["day", "hour"]),
)
policies = st.builds(
    Policy,
    overrides=st.dictionaries(st.sampled_from(["RT-REGEX", "TLS-UPSTREAM-UNVERIFIED"]), st.sampled_from(Action)),
    path_matching=st.sampled_from(["decoded", "raw"]),
    port_map=st.dictionaries(ports, ports, max_size=3),
    authorization_services=st.dictionaries(names, names.map("http://{}".format)),
    opa_services=st.dictionaries(names, st.builds(OPAService, names.map("http://{}".format), names)),
    rls_static_limits=st.dictionaries(names, st.lists(limits, max_size=2).map(tuple)),
    circuit_breakers=st.sampled_from(["ignore", "limit_conn"]),
)


@given(policies, policies)
def test_equal_policies_and_only_those_have_equal_digests(one: Policy, other: Policy):
    again = Policy(
        **{
            field: dict(reversed(value.items())) if isinstance(value, dict) else value
            for field, value in msgspec.structs.asdict(one).items()
        }
    )
    assert again.digest() == one.digest()
    assert (one.digest() == other.digest()) == (one == other)


def test_a_policy_that_says_its_defaults_is_the_default_one():
    assert msgspec.convert(msgspec.to_builtins(Policy()), Policy).digest() == Policy().digest()


@pytest.mark.parametrize(
    "tree",
    [
        {"rls_static_limits": {"shop": [LIMIT]}},
        {"authorization_services": {"authz": "http://127.0.0.1:9000/verify"}},
        {"opa_services": {"authz": {"host": "https://opa:8181", "policy": "envoy/authz"}}},
        {"circuit_breakers": "limit_conn"},
    ],
)
def test_what_a_policy_may_say(tree: dict[str, Any]):
    policy = msgspec.convert(tree, Policy)
    assert policy.digest() != Policy().digest()
    assert msgspec.convert(msgspec.to_builtins(policy), Policy) == policy


@pytest.mark.parametrize(
    "tree",
    [
        {"rls_static_limits": {"shop": [{**LIMIT, "requests_per_unit": 0}]}},
        {"rls_static_limits": {"shop": [{**LIMIT, "unit": "week"}]}},
        {"rls_static_limits": {"shop": [{**LIMIT, "descriptor": []}]}},
        {"authorization_services": {"authz": "127.0.0.1:9000"}},
        {"opa_services": {"authz": {"host": "http://opa:8181/v1/data", "policy": "p"}}},
        {"opa_services": {"authz": {"host": "http://opa:8181", "policy": ""}}},
        {"circuit_breakers": "on"},
    ],
)
def test_what_it_may_not(tree: dict[str, Any]):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(tree, Policy)


@pytest.mark.parametrize(
    ("text", "oldest", "newest"),
    [("3.18", (3, 18), (3, 18)), ("3.9-3.18", (3, 9), (3, 18)), (" 3.14.1 - 3.15.0", (3, 14), (3, 15))],
)
def test_versions_of_the_nodes(text: str, oldest: Version, newest: Version):
    assert Policy(apisix_versions=text).versions() == (oldest, newest)


@pytest.mark.parametrize("text", ["3.8", "3.8-3.18", "3.9-3.19", "3.18-3.9", "", "3", "3.x", "3.9-3.10-3.11", "2.15"])
def test_versions_that_nothing_is_known_of(text: str):
    with pytest.raises(ValueError, match=r"^apisix_versions: "):
        Policy(apisix_versions=text)


def test_untold_the_nodes_are_of_the_version_that_translations_are_compared_with():
    assert Policy().versions() == (NEWEST, NEWEST)
