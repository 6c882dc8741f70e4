"""control-planes.md section 6: what running control planes were seen to do, and a client has to bear."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.delta_dialogue import ForgetfulDialogue
from tests.producers.xds.dialogue import (
    EXISTENCE_MS,
    NACK_MS,
    TYPE_URLS,
    bad_cluster,
    cluster,
    endpoints,
    listener,
    routes,
    secret,
)
from tests.producers.xds.rule.said import acks, nacks, names_asked, replies, requests

WHOLE = {"CDS a", "EDS a", "LDS l", "RDS r"}
FOREIGN = (
    "type.googleapis.com/stats.PluginConfig",
    "type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    "type.googleapis.com/udpa.type.v1.TypedStruct",
)


def test_rule_6_wire_bytes_are_never_compared(settled):
    """Map entries come in any order; the same routes in another order of bytes are no change."""
    message = xds.message_class(xds.CLUSTER)()
    message.CopyFrom(cluster("a"))
    for key in ("one", "two"):
        message.metadata.filter_metadata[key].fields["k"].string_value = key
    first, second = (_in_order(message, keys) for keys in (("one", "two"), ("two", "one")))
    assert first.value != second.value
    settled.respond("CDS", *_ready(settled, first), version="2")
    settled.told.clear()
    settled.respond("CDS", *_ready(settled, second), version="3")
    assert settled.told == []
    assert len(acks(settled, "CDS")) == 2


def _in_order(message, keys):
    """Serialise a cluster with the entries of its metadata in this order: messages that follow each other merge."""
    parts = []
    for key in keys:
        part = type(message)(name="")
        part.metadata.filter_metadata[key].CopyFrom(message.metadata.filter_metadata[key])
        parts.append(part.SerializeToString())
    bare = type(message)()
    bare.CopyFrom(message)
    bare.ClearField("metadata")
    return xds.message_class("google.protobuf.Any")(
        type_url=xds.CLUSTER, value=bare.SerializeToString() + b"".join(parts)
    )


def _ready(dialogue, body):
    if not hasattr(dialogue, "heeds_versions"):
        return [body]
    return [xds.message_class("envoy.service.discovery.v3.Resource")(name="a", version="1", resource=body)]


@pytest.mark.parametrize("nonce", ["n1", "n2", "same"])
def test_rule_6_a_nonce_that_came_before_is_answered_like_any_other(settled, nonce):
    """Even one nonce for everything."""
    for index in range(3):
        settled.respond("CDS", cluster("a", timeout=f"{index + 2}s"), version=f"{index + 2}", nonce=nonce)
    assert replies(settled, "CDS") == [(nonce, False)] * 3
    assert settled.told == ["changes +CDS a"] * 3


def test_rule_6_endpoints_may_come_before_clusters(dialogue):
    dialogue.open()
    dialogue.respond("EDS", endpoints("a"))
    assert requests(dialogue, "EDS") == []
    dialogue.serve("CDS", cluster("a"))
    dialogue.serve("LDS", listener("l", "r"))
    dialogue.serve("RDS", routes("r"))
    assert dialogue.told == []
    dialogue.respond("EDS", endpoints("a"))
    assert dialogue.names == WHOLE


def test_rule_6_routes_may_come_before_listeners(dialogue):
    dialogue.open()
    dialogue.serve("CDS", cluster("a"))
    dialogue.serve("EDS", endpoints("a"))
    dialogue.respond("RDS", routes("r"))
    assert requests(dialogue, "RDS") == []
    dialogue.serve("LDS", listener("l", "r"))
    dialogue.respond("RDS", routes("r"))
    assert dialogue.names == WHOLE


def test_rule_6_an_empty_answer_for_an_unknown_name_is_an_answer(settled):
    """Istiod gives an empty ClusterLoadAssignment, an empty RouteConfiguration."""
    settled.serve("CDS", cluster("a"), cluster("b"), version="2")
    settled.serve("LDS", listener("l", "r2"), version="2")
    settled.respond("EDS", xds.message_class(xds.CLUSTER_LOAD_ASSIGNMENT)(cluster_name="b"), version="2")
    settled.respond("RDS", xds.message_class(xds.ROUTE_CONFIGURATION)(name="r2"), version="2")
    assert settled.told == ["changes +CDS b +EDS b", "changes +LDS l +RDS r2 -RDS r"]
    assert nacks(settled, "EDS") == nacks(settled, "RDS") == []


def test_rule_6_an_unknown_name_may_be_met_with_silence_and_holds_up_nothing_else(settled):
    """go-control-plane and the Java control plane; a snapshot cache is silent about all names then."""
    settled.serve("CDS", cluster("a"), cluster("unknown"), cluster("b", is_eds=False), version="2")
    assert settled.told == ["changes +CDS b"]
    settled.expire(EXISTENCE_MS)
    assert settled.told == ["changes +CDS b", "changes +CDS unknown"]


@pytest.mark.parametrize("short", ["EDS", "RDS"])
def test_rule_6_everything_may_come_after_the_last_name_was_unsubscribed(settled, short):
    settled.serve("LDS", listener("l"), version="2")
    settled.serve("CDS", cluster("a", is_eds=False), version="2")
    before = dict(settled.image)
    flood = {"EDS": [endpoints(name) for name in "abc"], "RDS": [routes(name) for name in "rst"]}[short]
    settled.respond(short, *flood, version="3")
    assert settled.image == before
    assert nacks(settled, short) == []
    assert settled.subscribed[TYPE_URLS[short]] == set()


@pytest.mark.parametrize("type_url", FOREIGN)
def test_rule_6_unknown_types_inside_are_taken_along(settled, type_url):
    foreign = listener("l", "r")
    config = foreign.filter_chains[0].filters.add(name="foreign").typed_config
    config.type_url, config.value = type_url, b"\x0a\x01x"
    settled.respond("LDS", foreign, version="2", nonce="x")
    assert replies(settled, "LDS") == [("x", False)]
    assert settled.told == ["changes +LDS l"]


def test_rule_6_what_is_sent_again_and_again_is_acknowledged_and_is_no_change(settled):
    for index in range(5):
        settled.respond("CDS", cluster("a"), version=f"{index + 2}")
        settled.respond("EDS", endpoints("a"), version=f"{index + 2}")
    assert (len(acks(settled, "CDS")), len(acks(settled, "EDS"))) == (5, 5)
    assert settled.told == []


def test_rule_6_a_server_that_answers_every_rejection_at_once_is_no_hot_loop(settled):
    """go-control-plane resends 2,750 times in a second."""
    answers = 0
    settled.respond("CDS", bad_cluster("a"), version="2")
    for second in range(5):
        while len(nacks(settled, "CDS")) > answers:
            answers = len(nacks(settled, "CDS"))
            settled.respond("CDS", bad_cluster("a"), version="2")
        assert answers == second + 1
        settled.expire(NACK_MS)


def test_rule_6_delta_a_server_that_says_nothing_of_removals_after_a_reconnect_loses_them_all_the_same():
    """The Java control plane heeds no initial versions and sends what it has."""
    dialogue = ForgetfulDialogue()
    dialogue.open()
    dialogue.serve("CDS", cluster("a"), cluster("vanished"))
    dialogue.serve("EDS", endpoints("a"), endpoints("vanished"))
    dialogue.serve("LDS", listener("l", "r"), listener("vanished", port=81))
    dialogue.serve("RDS", routes("r"))
    dialogue.expire(EXISTENCE_MS)
    dialogue.end()
    dialogue.open()
    dialogue.serve("CDS", cluster("a"))
    dialogue.serve("LDS", listener("l", "r"))
    assert {"CDS vanished", "LDS vanished"} <= dialogue.names
    dialogue.expire(EXISTENCE_MS)
    assert dialogue.names == WHOLE


@pytest.mark.parametrize("short", ["SDS", "VHDS", "ECDS", "SRDS"])
def test_rule_6_a_type_that_was_never_asked_for_is_never_answered(settled, short):
    """Istiod ends itself at a NACK for a type without a watch."""
    settled.respond(short, secret("s"), nonce="x")  # which is bad in all the types but one
    settled.expire(NACK_MS)
    assert settled.requests == []
    assert settled.names == WHOLE


@pytest.mark.parametrize("type_url", ["", "type.googleapis.com/istio.networking.nds.v1.NameTable"])
def test_rule_6_a_type_that_nobody_knows_is_never_answered(settled, type_url):
    settled.respond(type_url, cluster("a"), nonce="x")
    assert settled.requests == []


def test_rule_6_a_rejection_that_waits_is_dropped_with_the_last_name(settled):
    for index in range(3):
        settled.respond("RDS", routes("r"), routes("r"), version=f"{index + 2}")
    settled.serve("LDS", listener("l"), version="2")
    settled.expire(NACK_MS)
    assert len(nacks(settled, "RDS")) == 1
    assert settled.requests.index(nacks(settled, "RDS")[0]) < _place_of_unsubscription(settled)


def _place_of_unsubscription(dialogue):
    found = [
        index
        for index, request in enumerate(dialogue.requests)
        if request.type_url == xds.ROUTE_CONFIGURATION
        and not names_asked(request)
        and (not request.response_nonce or not hasattr(dialogue, "heeds_versions"))
    ]
    return found[-1]


def test_rule_6_a_bad_resource_after_the_last_name_is_never_rejected(settled):
    settled.serve("LDS", listener("l"), version="2")
    settled.respond("RDS", routes(""), routes("r"), routes("r"), version="3", nonce="late")
    settled.expire(NACK_MS)
    assert nacks(settled, "RDS") == []


def test_rule_6_the_node_is_in_the_first_request_of_each_stream_only(dialogue):
    """Later ones are ignored; Kuma ends a stream whose node changes (section 2.3)."""
    dialogue.settle()
    dialogue.end()
    count = len(dialogue.requests)
    dialogue.open()
    dialogue.serve("CDS", cluster("a"), cluster("b"), version="2")
    carrying = [index for index, request in enumerate(dialogue.requests) if request.HasField("node")]
    assert carrying == [0, count]


def test_rule_6_versions_that_rise_without_content_deliver_nothing(settled):
    """All types of istiod share one version, which rises with every push (section 3.3)."""
    for short, resource in {
        "CDS": cluster("a"),
        "EDS": endpoints("a"),
        "LDS": listener("l", "r"),
        "RDS": routes("r"),
    }.items():
        settled.respond(short, resource, version="2026-01-01T00:00:00Z/7")
    assert settled.told == []
