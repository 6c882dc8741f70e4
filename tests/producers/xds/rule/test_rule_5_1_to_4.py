"""control-planes.md section 5, rules 1 to 4: subscription, nonce, version, rejection."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.dialogue import (
    NACK_MS,
    TYPE_URLS,
    bad_cluster,
    bad_listener,
    cluster,
    endpoints,
    http_listener,
    listener,
    routes,
    scope,
    scoped_listener,
    secret,
)
from tests.producers.xds.rule.said import acks, nacks, names_asked, replies, requests

ALL = ["CDS", "EDS", "LDS", "RDS"]


# 5.1 Subscription


@pytest.mark.parametrize("short", ["CDS", "LDS"])
def test_rule_5_1_an_empty_list_means_everything_of_clusters_and_listeners(dialogue, short):
    dialogue.settle()
    assert names_asked(requests(dialogue, short)[0]) == []
    served = {"CDS": [cluster("a"), cluster("n", is_eds=False)], "LDS": [listener("l", "r"), listener("n")]}
    dialogue.serve(short, *served[short], version="2")
    assert f"{short} n" in dialogue.names


def test_rule_5_1_clusters_and_listeners_are_never_asked_for_by_name_so_that_empty_stays_everything(settled):
    settled.serve("CDS", cluster("a"), cluster("b"), version="2")
    settled.serve("CDS", cluster("b"), version="3")
    settled.end()
    settled.open()
    for short in ("CDS", "LDS"):
        assert not any(names_asked(request) for request in requests(settled, short))
        assert not any(getattr(r, "resource_names_unsubscribe", ()) for r in requests(settled, short))


def test_rule_5_1_delta_the_explicit_wildcard_means_everything(delta):
    delta.serve("LDS", scoped_listener("l"), version="2")
    assert names_asked(requests(delta, "SRDS")[0]) == ["*"]


def test_rule_5_1_sotw_all_scopes_are_asked_for_by_an_empty_list(sotw):
    """As Envoy does it; go-control-plane's snapshot caches are silent about the explicit wildcard."""
    sotw.serve("LDS", scoped_listener("l"), version="2")
    assert names_asked(requests(sotw, "SRDS")[0]) == []


def test_rule_5_1_all_scopes_come_while_a_listener_wants_any(settled):
    settled.serve("LDS", scoped_listener("l"), version="2")
    settled.serve("SRDS", scope("x", "r"), scope("y", "r"))
    assert {"SRDS x", "SRDS y"} <= settled.names


def test_rule_5_1_an_empty_list_after_names_means_nothing(settled):
    settled.serve("LDS", listener("l"), version="2")
    assert settled.subscribed[TYPE_URLS["RDS"]] == set()
    settled.respond("RDS", routes("r"), routes("other"), version="2")
    assert not any(name.startswith("RDS") for name in settled.names)


def test_rule_5_1_the_wildcard_and_names_are_never_held_at_once(settled):
    settled.serve("LDS", scoped_listener("l"), listener("m", "s"), version="2")
    settled.serve("SRDS", scope("x", "r"))
    settled.serve("RDS", routes("r"), routes("s"), version="2")
    assert settled.subscribed[TYPE_URLS["RDS"]] == {"r", "s"}
    for request in settled.requests:
        assert "*" not in names_asked(request) or names_asked(request) == ["*"]


@pytest.mark.parametrize("name", ["*", ""])
def test_rule_5_1_a_resource_cannot_ask_for_everything_by_what_it_names(settled, name):
    settled.serve("LDS", listener("l", "r"), http_listener("m", rds=rds(name)), version="2")
    assert settled.subscribed[TYPE_URLS["RDS"]] == {"r"}


def rds(name):
    return {"route_config_name": name, "config_source": {"ads": {}}}


def test_rule_5_1_the_end_of_the_wildcard_leaves_what_others_name(settled):
    settled.serve("LDS", scoped_listener("l"), listener("m", "r"), version="2")
    settled.serve("SRDS", scope("x", "r"))
    settled.serve("LDS", listener("m", "r"), version="3")
    assert settled.subscribed[TYPE_URLS["RDS"]] == {"r"}
    assert {name for name in settled.names if "RDS" in name} == {"RDS r"}


# 5.2 Nonce


def test_rule_5_2_a_nonce_belongs_to_its_type(settled):
    settled.respond("CDS", cluster("a", timeout="2s"), version="2", nonce="c")
    settled.respond("EDS", endpoints("a", 81), version="2", nonce="e")
    assert (acks(settled, "CDS"), acks(settled, "EDS")) == (["c"], ["e"])


def test_rule_5_2_sotw_every_request_after_the_first_response_carries_the_latest_nonce(sotw):
    sotw.respond("EDS", endpoints("a", 81), version="2", nonce="x")
    sotw.respond("EDS", endpoints("a", 82), version="3", nonce="y")
    sotw.respond("CDS", cluster("a"), cluster("b"), version="2")
    change = requests(sotw, "EDS")[-1]
    assert (list(change.resource_names), change.response_nonce) == (["a", "b"], "y")


def test_rule_5_2_delta_a_nonce_is_sent_in_an_answer_only(delta):
    delta.respond("CDS", cluster("a"), cluster("b"), cluster("c"), version="2", nonce="x")
    delta.respond("CDS", removed=["b"], version="3", nonce="y")
    changes = [r for r in delta.requests if r.resource_names_subscribe or r.resource_names_unsubscribe]
    assert len(changes) == 2
    assert not any(change.response_nonce for change in changes)
    assert acks(delta, "CDS") == ["x", "y"]


def test_rule_5_2_delta_a_change_of_names_is_a_request_of_its_own(delta):
    """Servers must heed it whatever the nonce; istiod drops all of a request whose nonce is stale (section 3.4)."""
    delta.respond("LDS", listener("l", "r2"), version="2", nonce="x")
    delta.respond("RDS", routes("r2"), version="2", nonce="y")
    for request in delta.requests:
        assert not (request.response_nonce and (request.resource_names_subscribe or request.resource_names_unsubscribe))


def test_rule_5_2_every_response_gets_exactly_one_answer(settled):
    settled.respond("CDS", cluster("a", timeout="2s"), version="2", nonce="good")
    settled.respond("CDS", bad_cluster("a"), version="3", nonce="bad")
    settled.respond("CDS", cluster("a", timeout="2s"), version="4", nonce="equal")
    settled.respond("CDS", version="5", nonce="empty")
    settled.expire(NACK_MS)
    assert replies(settled, "CDS") == [("good", False), ("bad", True), ("equal", False), ("empty", False)]


def test_rule_5_2_a_new_stream_forgets_nonces(settled):
    settled.respond("CDS", cluster("a", timeout="2s"), version="2", nonce="old")
    settled.end()
    settled.requests.clear()
    settled.open()
    assert settled.requests
    assert not any(request.response_nonce for request in settled.requests)


# 5.3 Version


def test_rule_5_3_sotw_the_last_accepted_version_is_in_the_first_request_of_a_new_stream(sotw):
    sotw.respond("CDS", cluster("a", timeout="2s"), version="7")
    sotw.respond("CDS", bad_cluster("a"), version="8")
    sotw.end()
    sotw.requests.clear()
    sotw.open()
    assert {short: requests(sotw, short)[0].version_info for short in ALL} == {
        "CDS": "7",
        "EDS": "1",
        "LDS": "1",
        "RDS": "1",
    }


def test_rule_5_3_sotw_no_version_is_claimed_once_interest_has_ended(sotw):
    """The Java control plane is silent to whoever begins a stream with its version (section 6)."""
    sotw.serve("LDS", listener("l", "r", secret="s"), version="2")
    sotw.respond("SDS", secret("s"), version="5")
    sotw.serve("LDS", listener("l", "r"), version="3")
    sotw.end()
    sotw.open()
    sotw.serve("LDS", listener("l", "r", secret="s"), version="4")
    first_again = requests(sotw, "SDS")[-1]
    assert (names_asked(first_again), first_again.version_info) == (["s"], "")


def test_rule_5_3_sotw_scopes_that_are_wanted_again_are_asked_for_without_a_version(sotw):
    """They are named by no list, so that only the version tells a control plane that they are to be sent again."""
    for version, wanted in enumerate((scoped_listener("l"), listener("l", "r"), scoped_listener("l")), start=2):
        sotw.serve("LDS", wanted, version=f"{version}")
        sotw.respond("SRDS", scope("x", "r"), version=f"{version}")
    assert [request.version_info for request in requests(sotw, "SRDS")] == ["", "2", "2", "3", "", "4"]


def test_rule_5_3_sotw_no_version_is_claimed_while_a_name_was_never_answered(sotw):
    sotw.respond("CDS", cluster("a"), cluster("new"), version="2")
    sotw.end()
    sotw.requests.clear()
    sotw.open()
    assert [request.version_info for request in sotw.requests] == ["2", "", "1", "1"]


def test_rule_5_3_delta_a_new_stream_begins_with_all_names_and_the_versions_that_are_held(delta):
    delta.respond("EDS", endpoints("a", 81), version="7")
    delta.end()
    delta.requests.clear()
    delta.open()
    first = {short: requests(delta, short)[0] for short in ALL}
    assert {short: sorted(request.initial_resource_versions) for short, request in first.items()} == {
        "CDS": ["a"],
        "EDS": ["a"],
        "LDS": ["l"],
        "RDS": ["r"],
    }
    assert first["EDS"].initial_resource_versions["a"] == "7"
    assert {short: names_asked(request) for short, request in first.items()} == {
        "CDS": [],
        "EDS": ["a"],
        "LDS": [],
        "RDS": ["r"],
    }


def test_rule_5_3_delta_versions_are_announced_in_the_first_request_of_a_type_only(delta):
    delta.end()
    delta.requests.clear()
    delta.open()
    delta.respond("CDS", cluster("a"), cluster("b"), version="2")
    delta.respond("LDS", listener("l", "r2"), version="2")
    for short in ALL:
        _first, *later = requests(delta, short)
        assert not any(request.initial_resource_versions for request in later)


# 5.4 Rejection


def test_rule_5_4_a_rejection_carries_its_reason_and_the_nonce_of_what_it_rejects(settled):
    settled.respond("LDS", bad_listener("l"), version="2", nonce="bad")
    (nack,) = nacks(settled, "LDS")
    assert nack.response_nonce == "bad"
    assert nack.error_detail.message == "l: address is missing"


def test_rule_5_4_sotw_a_rejection_carries_the_last_accepted_version(sotw):
    sotw.respond("LDS", listener("l", "r", port=81), version="5")
    sotw.respond("LDS", bad_listener("l"), version="6")
    assert nacks(sotw, "LDS")[0].version_info == "5"


def test_rule_5_4_an_acknowledgement_means_valid_and_not_applied(settled):
    settled.serve("LDS", listener("l", "awaited"), version="2")
    assert len(acks(settled, "LDS")) == 1
    assert settled.told == []


@pytest.mark.parametrize("short", ["CDS", "EDS"])
def test_rule_5_4_a_name_that_is_there_twice_is_rejected(settled, short):
    one, other = {"CDS": (cluster("a"), cluster("a", timeout="2s")), "EDS": (endpoints("a"), endpoints("a", 81))}[short]
    before = dict(settled.image)
    settled.respond(short, one, other, version="2")
    assert "a: is in the response 2 times" in nacks(settled, short)[0].error_detail.message
    assert settled.image == before


def test_rule_5_4_of_a_rejected_response_the_valid_are_taken_and_the_invalid_keep_their_version(settled):
    before = settled.image[xds.LISTENER, "l"]
    settled.respond("LDS", bad_listener("l"), listener("n", port=81), bad_listener("m"), version="2")
    assert {name for name in settled.names if name.startswith("LDS")} == {"LDS l", "LDS n"}
    assert settled.image[xds.LISTENER, "l"] == before
    message = nacks(settled, "LDS")[0].error_detail.message
    assert "l: address is missing" in message
    assert "m: address is missing" in message
    assert "n:" not in message


def test_rule_5_4_an_invalid_one_that_was_not_there_before_is_absent(settled):
    settled.respond("CDS", cluster("a"), bad_cluster("b"), cluster("c", is_eds=False), version="2")
    assert {name for name in settled.names if name.startswith("CDS")} == {"CDS a", "CDS c"}
