from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from translators.policy import Action, Policy

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
