from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import xds
from tests.translators.unit_builder import message
from translators.policy import Policy, Redirects
from translators.redirect import Redirect, destined_port, redirect


def destined(match: dict[str, Any], policy: Policy, **fields: Any) -> int | None:
    made = message(xds.LISTENER, {"filter_chains": [{"filter_chain_match": match}], **fields})
    return destined_port(made, made.filter_chains[0].filter_chain_match, 80, policy)


@pytest.mark.parametrize(
    ("match", "fields", "port"),
    [
        ({}, {}, 0),
        ({"destination_port": 80}, {}, 0),
        ({"destination_port": 8080}, {}, 0),
        ({"destination_port": 81}, {}, None),
        ({"destination_port": 81}, {"use_original_dst": True}, 81),
        ({}, {"bind_to_port": False}, 80),
        ({"destination_port": 81}, {"bind_to_port": False, "use_original_dst": True}, None),
    ],
)
def test_which_port_connections_were_meant_for(match: dict[str, Any], fields: dict[str, Any], port: int | None):
    assert destined(match, Policy(port_map={80: 8080}), **fields) == port


def test_what_comes_in_and_what_goes_out_are_redirected_apart():
    ways = [
        redirect(message(xds.LISTENER, {"traffic_direction": way}), None, 80, Policy())
        for way in ("INBOUND", "OUTBOUND")
    ]
    assert [way.name() for way in ways] == ["prerouting/*:80", "output/*:80"]
    assert ways[0].to != ways[1].to


@given(st.text(max_size=30), st.integers(1, 65535), st.integers(1, 65535))
def test_a_port_comes_from_the_name_alone_and_lies_in_the_range(name: str, one: int, other: int):
    first, last = sorted((one, other))
    redirects = Redirects(first, last)
    assert first <= redirects.port_of(name) <= last
    assert redirects.port_of(name) == Redirects(first, last, {"another": 1}).port_of(name)


def test_a_range_without_a_port_is_refused():
    with pytest.raises(ValueError, match="last_port 1 is below first_port 2"):
        Redirects(2, 1)


def test_longer_prefixes_stand_first():
    destinations = [None, ip_network("10.0.0.0/8"), ip_network("10.1.1.1/32"), ip_network("fd00::/8")]
    rules = [Redirect("output", destination, 80, 20000) for destination in destinations]
    assert [rule.destination for rule in sorted(rules, key=Redirect.rank)] == [
        ip_network("10.1.1.1/32"),
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
        None,
    ]
    assert [rule.rule().split()[6] for rule in rules[1:]] == ["ip", "ip", "ip6"]
    assert rules[3].name() == "output/[fd00::/8]:80"
