"""control-planes.md section 5, rules 9 to 11, and of rule 12 what is the session's; the rest is the transport's."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.dialogue import (
    EXISTENCE_MS,
    NACK_MS,
    bad_cluster,
    bad_listener,
    cluster,
    endpoints,
    listener,
    routes,
    wrapped,
)
from tests.producers.xds.rule.said import acks, nacks, replies, requests

TTL_MS = 60_000
CLUSTER_XDSTP = "xdstp://authority/envoy.config.endpoint.v3.ClusterLoadAssignment/a?"


def sent(dialogue, short, message, **how):
    """Send a resource in its wrapper, which the state of the world has inside an Any."""
    wrapper = wrapped(message, **how)
    dialogue.respond(short, wrapper if hasattr(dialogue, "heeds_versions") else xds.pack(wrapper), version="2")


# 5.9 TTL


def test_rule_5_9_what_the_client_can_do_is_announced(dialogue):
    dialogue.open()
    features = set(dialogue.requests[0].node.client_features)
    assert features == {"xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"}


def test_rule_5_9_what_is_not_renewed_goes_as_if_it_had_been_removed(settled):
    sent(settled, "EDS", endpoints("a"), ttl_ms=TTL_MS)
    settled.expire(TTL_MS)
    assert settled.told == ["changes -EDS a"]


def test_rule_5_9_the_subscription_stays(settled):
    sent(settled, "EDS", endpoints("a"), ttl_ms=TTL_MS)
    settled.requests.clear()
    settled.expire(TTL_MS)
    assert requests(settled, "EDS") == []
    settled.respond("EDS", endpoints("a", 81), version="3")
    assert settled.told == ["changes -EDS a", "changes +EDS a"]


def test_rule_5_9_a_heartbeat_renews_and_does_nothing_else(settled):
    sent(settled, "EDS", endpoints("a"), ttl_ms=TTL_MS)
    early = list(settled.timers)
    sent(settled, "EDS", endpoints("a"), ttl_ms=TTL_MS, body=False)
    late = {serial: settled.timers.pop(serial) for serial in list(settled.timers) if serial not in early}
    settled.expire(TTL_MS)
    assert settled.told == []
    settled.timers.update(late)
    settled.expire(TTL_MS)
    assert settled.told == ["changes -EDS a"]


def test_rule_5_9_a_heartbeat_of_one_is_no_removal_of_the_others(settled):
    settled.serve("CDS", cluster("a"), cluster("b", is_eds=False), version="2")
    before = settled.names
    sent(settled, "CDS", cluster("a"), ttl_ms=TTL_MS, body=False)
    assert settled.names == before
    assert nacks(settled, "CDS") == []


def test_rule_5_9_a_heartbeat_of_what_is_not_held_is_nothing(settled):
    settled.serve("LDS", listener("l", "r2"), version="2")
    sent(settled, "RDS", routes("r2"), ttl_ms=TTL_MS, body=False)
    assert settled.told == []
    assert TTL_MS not in settled.timers.values()


def test_rule_5_9_the_time_runs_out_without_a_stream_too(settled):
    sent(settled, "EDS", endpoints("a"), ttl_ms=TTL_MS)
    settled.end()
    settled.expire(TTL_MS)
    assert settled.told == ["changes -EDS a"]


# 5.10 Aliases and xdstp names


def test_rule_5_10_any_alias_satisfies_the_pending_subscription(settled):
    settled.serve("CDS", cluster("a"), cluster("b", "alias-of-b"), version="2")
    sent(settled, "EDS", endpoints("b"), aliases=("unused", "alias-of-b"))
    assert settled.told == ["changes +CDS b +EDS alias-of-b"]


@pytest.mark.parametrize("order", ["x=1&y=2", "y=2&x=1"])
def test_rule_5_10_context_parameters_come_in_any_order(settled, order):
    settled.serve("CDS", cluster("a"), cluster("b", f"{CLUSTER_XDSTP}x=1&y=2"), version="2")
    settled.respond("EDS", endpoints(f"{CLUSTER_XDSTP}{order}"), version="2")
    assert settled.told == [f"changes +CDS b +EDS {CLUSTER_XDSTP}x=1&y=2"]


@pytest.mark.parametrize("other", ["x=1", "x=1&y=3", "x=1&y=2&z=3", "X=1&y=2"])
def test_rule_5_10_other_context_parameters_are_another_name(settled, other):
    settled.serve("CDS", cluster("a"), cluster("b", f"{CLUSTER_XDSTP}x=1&y=2"), version="2")
    settled.respond("EDS", endpoints(f"{CLUSTER_XDSTP}{other}"), version="2")
    assert settled.told == []


# 5.11 Ignored safely


def test_rule_5_11_what_is_defined_and_hardly_ever_implemented_is_ignored(settled):
    """resource_errors, control_plane, resource_locators and dynamic parameters, all of them filled in."""
    is_delta = hasattr(settled, "heeds_versions")
    wrapper = wrapped(cluster("a", timeout="2s"), version="2")
    wrapper.resource_name.name = "a"
    wrapper.resource_name.dynamic_parameter_constraints.constraint.key = "k"
    name = "Delta" * is_delta + "DiscoveryResponse"
    response = xds.message_class(f"envoy.service.discovery.v3.{name}")(
        type_url=xds.CLUSTER, nonce="x", resources=[wrapper if is_delta else xds.pack(wrapper)]
    )
    response.control_plane.identifier = "istiod"
    response.resource_errors.add().resource_name.name = "other"
    if is_delta:
        response.removed_resource_names.add().dynamic_parameter_constraints.constraint.key = "k"
    settled.receive(response)
    assert replies(settled, "CDS") == [("x", False)]
    assert settled.told == ["changes +CDS a"]


def test_rule_5_11_unknown_fields_are_never_a_reason_to_reject(settled):
    future = cluster("a")
    future.MergeFromString(b"\xfa\x3f\x01z")
    settled.respond("CDS", future, version="2", nonce="x")
    assert replies(settled, "CDS") == [("x", False)]


# 5.12 Reconnect


def test_rule_5_12_the_last_good_state_is_kept_for_ever_while_disconnected(settled):
    before = dict(settled.image)
    settled.serve("CDS", cluster("a"), cluster("b"), version="2")
    settled.end()
    for delay_ms in set(settled.timers.values()):
        settled.expire(delay_ms)
    assert settled.image == before


def test_rule_5_12_nothing_is_emptied_by_a_control_plane_that_comes_back_silent(settled):
    before = dict(settled.image)
    settled.end()
    settled.open()
    settled.expire(EXISTENCE_MS)
    assert settled.image == before


@pytest.mark.parametrize("short", ["CDS", "LDS"])
def test_rule_5_12_nothing_is_emptied_by_one_that_comes_back_empty_until_time_confirms_it(settled, short):
    settled.end()
    settled.open()
    removed = {"removed": ["a" if short == "CDS" else "l"]} if hasattr(settled, "heeds_versions") else {}
    settled.respond(short, version="2", **removed)
    assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}
    settled.expire(EXISTENCE_MS)
    assert not any(name.startswith(short) for name in settled.names)


def test_rule_5_12_rejections_of_a_type_come_once_in_a_second_at_most(settled):
    for index in range(20):
        settled.respond("LDS", bad_listener("l"), version=f"{index + 2}")
    assert len(nacks(settled, "LDS")) == 1
    settled.expire(NACK_MS)
    settled.respond("LDS", bad_listener("l"), version="30")
    count = len(nacks(settled, "LDS"))
    settled.respond("LDS", bad_listener("l"), version="31")
    assert len(nacks(settled, "LDS")) == count


def test_rule_5_12_each_type_has_a_rate_of_its_own(settled):
    settled.respond("LDS", bad_listener("l"), version="2")
    settled.respond("CDS", bad_cluster("a"), version="2")
    assert (len(nacks(settled, "LDS")), len(nacks(settled, "CDS"))) == (1, 1)


def test_rule_5_12_acceptances_are_not_held_up(settled):
    settled.respond("CDS", bad_cluster("a"), version="2")
    for index in range(20):
        settled.respond("CDS", cluster("a", timeout=f"{index + 2}s"), version=f"{index + 3}")
    assert len(acks(settled, "CDS")) == 20
