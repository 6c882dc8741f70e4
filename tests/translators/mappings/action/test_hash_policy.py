from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import forwarded, route_outcome

RING = {"name": "backend", "lb_policy": "RING_HASH"}

REWRITE = {"pattern": {"regex": "/.*"}, "substitution": "/"}


@pytest.mark.parametrize(
    ("policy", "codes"),
    [
        ({"header": {"header_name": "x-user"}}, []),
        ({"header": {"header_name": ":path"}}, []),
        ({"header": {"header_name": ":path", "regex_rewrite": REWRITE}}, ["RA-HASH-COOKIE"]),
        ({"cookie": {"name": "session"}}, []),
        ({"cookie": {"name": "session", "ttl": "0s"}}, ["RA-HASH-COOKIE"]),
        ({"filter_state": {"key": "k"}}, ["RA-HASH-COOKIE"]),
    ],
)
def test_what_is_lost_is_said(policy: dict[str, Any], codes: list[str]):
    assert route_outcome(forwarded(hash_policy=[policy]), clusters=[RING]).codes == codes


def test_nothing_is_lost_where_no_cluster_hashes():
    assert route_outcome(forwarded(hash_policy=[{"filter_state": {"key": "k"}}])).codes == []


def test_the_upstream_is_the_variant_that_hashes():
    plain = route_outcome(forwarded(), clusters=[RING]).only
    hashed = route_outcome(forwarded(hash_policy=[{"header": {"header_name": "x-user"}}]), clusters=[RING]).only
    assert plain.fields["upstream_id"] != hashed.fields["upstream_id"]
