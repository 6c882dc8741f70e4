from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.policy import NEWEST, Action, Policy, Version

ports = st.integers(1, 65535)
policies = st.builds(
    Policy,
    overrides=st.dictionaries(st.sampled_from(["RT-REGEX", "TLS-UPSTREAM-UNVERIFIED"]), st.sampled_from(Action)),
    path_matching=st.sampled_from(["decoded", "raw"]),
    port_map=st.dictionaries(ports, ports, max_size=3),
)


@given(policies, policies)
def test_equal_policies_and_only_those_have_equal_digests(one: Policy, other: Policy):
    again = Policy(dict(reversed(one.overrides.items())), one.path_matching, dict(reversed(one.port_map.items())))
    assert again.digest() == one.digest()
    assert (one.digest() == other.digest()) == (one == other)


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
