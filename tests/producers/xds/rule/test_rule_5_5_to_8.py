"""control-planes.md section 5, rules 5 to 8: removal, existence, warming, order."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.dialogue import (
    EXISTENCE_MS,
    TYPE_URLS,
    bad_listener,
    cluster,
    endpoints,
    listener,
    routes,
    secret,
    virtual_host,
    wrapped,
)
from tests.producers.xds.rule.said import acks, names_asked, order, replies, requests

CHILDREN = {"EDS": "EDS a", "RDS": "RDS r", "SDS": "SDS s"}


@pytest.fixture
def secured(settled):
    """With a secret too, so that every type that is asked for by name is held."""
    settled.serve("LDS", listener("l", "r", secret="s"), version="2")
    settled.serve("SDS", secret("s"))
    settled.requests.clear()
    settled.told.clear()
    return settled


# 5.5 Removal


@pytest.mark.parametrize(("short", "other"), [("CDS", cluster("z", is_eds=False)), ("LDS", listener("z"))])
def test_rule_5_5_sotw_clusters_and_listeners_are_deleted_by_absence(sotw, short, other):
    sotw.respond(short, other, version="2")
    assert {name for name in sotw.names if name.startswith(short)} == {f"{short} z"}


@pytest.mark.parametrize("short", ["EDS", "RDS", "SDS"])
def test_rule_5_5_an_empty_response_deletes_nothing_that_is_asked_for_by_name(secured, short):
    secured.respond(short, version="2")
    assert len(acks(secured, short)) == 1
    assert CHILDREN[short] in secured.names


@pytest.mark.parametrize("short", ["EDS", "RDS", "SDS"])
def test_rule_5_5_sotw_a_partial_response_deletes_nothing_that_is_asked_for_by_name(sotw, short):
    """Istiod sends the endpoints that have changed only (section 3.3)."""
    sotw.respond("CDS", cluster("a"), cluster("b", secret="t"), version="2")
    sotw.respond("LDS", listener("l", "r", default_routes="r2", secret="s"), version="2")
    more = {
        "EDS": [endpoints("a"), endpoints("b")],
        "RDS": [routes("r"), routes("r2")],
        "SDS": [secret("s"), secret("t")],
    }
    for kind, resources in more.items():
        sotw.respond(kind, *resources, version="2")
    before = sotw.names
    sotw.respond(short, more[short][1], version="3")
    assert sotw.names == before


@pytest.mark.parametrize("short", ["EDS", "RDS", "SDS"])
def test_rule_5_5_what_is_asked_for_by_name_ends_with_the_last_reference(secured, short):
    secured.serve("LDS", listener("l"), version="3")
    secured.serve("CDS", cluster("a", is_eds=False), version="3")
    assert CHILDREN[short] not in secured.names
    assert secured.subscribed[TYPE_URLS[short]] == set()


def test_rule_5_5_what_two_refer_to_stays_with_the_second(settled):
    settled.serve("CDS", cluster("a", "shared"), cluster("b", "shared"), version="2")
    settled.serve("EDS", endpoints("shared"), version="2")
    settled.serve("CDS", cluster("b", "shared"), version="3")
    assert {"CDS b", "EDS shared"} <= settled.names


@pytest.mark.parametrize("short", ["CDS", "EDS", "LDS", "RDS"])
def test_rule_5_5_delta_removed_resources_are_deleted(delta, short):
    name = {"CDS": "a", "EDS": "a", "LDS": "l", "RDS": "r"}[short]
    delta.respond(short, removed=[name])
    assert f"{short} {name}" not in delta.names


def test_rule_5_5_delta_absence_deletes_nothing(delta):
    before = delta.names
    delta.respond("CDS", cluster("b", is_eds=False), version="2")
    assert delta.names == before | {"CDS b"}


def test_rule_5_5_delta_a_removal_says_that_a_name_does_not_exist(delta):
    delta.serve("LDS", listener("l", "r2"), version="2")
    assert delta.told == []
    delta.respond("RDS", removed=["r2"])
    assert delta.told == ["changes +LDS l -RDS r"]


@pytest.mark.parametrize("short", ["CDS", "EDS", "LDS", "RDS"])
def test_rule_5_5_delta_a_removal_of_an_unknown_name_is_ignored(delta, short):
    before = delta.names
    delta.respond(short, removed=["never heard of", "*", ""])
    assert len(acks(delta, short)) == 1
    assert delta.names == before


def test_rule_5_5_delta_what_was_removed_may_come_back_without_a_request(delta):
    delta.respond("EDS", removed=["a"])
    assert "EDS a" not in delta.names
    delta.respond("EDS", endpoints("a"), version="2")
    assert "EDS a" in delta.names
    assert not any(map(names_asked, requests(delta, "EDS")))


# 5.6 Existence


def test_rule_5_6_a_silent_name_is_missing_15_s_after_it_was_asked_for(settled):
    settled.serve("LDS", listener("l", "r", secret="s"), version="2")
    assert settled.told == []
    assert list(settled.timers.values()).count(15_000) == 1
    settled.expire(15_000)
    assert settled.told == ["changes +LDS l"]


def test_rule_5_6_an_answer_that_comes_later_revives_it(settled):
    settled.serve("LDS", listener("l", "r", secret="s"), version="2")
    settled.expire(EXISTENCE_MS)
    settled.serve("SDS", secret("s"))
    assert settled.told == ["changes +LDS l", "changes +SDS s"]


@pytest.mark.parametrize("short", ["EDS", "RDS", "SDS"])
def test_rule_5_6_names_that_were_not_asked_for_are_ignored(secured, short):
    unwanted = {"EDS": endpoints("z"), "RDS": routes("z"), "SDS": secret("z")}[short]
    before = secured.names
    secured.respond(short, unwanted, version="2")
    assert len(acks(secured, short)) == 1
    assert secured.names == before


def test_rule_5_6_a_name_asked_for_anew_is_answered_even_by_what_is_unchanged(settled):
    settled.serve("LDS", listener("l", "r2"), version="2")
    settled.serve("RDS", routes("r2"), version="2")
    settled.serve("LDS", listener("l", "r"), version="3")
    assert "RDS r" not in settled.names
    settled.serve("RDS", routes("r"), version="3")
    assert settled.told[-1] == "changes +LDS l +RDS r -RDS r2"


# 5.7 Warming


def test_rule_5_7_a_new_cluster_is_warm_once_its_endpoints_are_answered(settled):
    settled.serve("CDS", cluster("a"), cluster("b"), version="2")
    assert settled.told == []
    settled.serve("EDS", endpoints("a"), endpoints("b"), version="2")
    assert settled.told == ["changes +CDS b +EDS b"]


def test_rule_5_7_a_cluster_that_changes_its_endpoints_name_waits_while_the_old_one_serves(settled):
    before = settled.image[xds.CLUSTER, "a"]
    settled.serve("CDS", cluster("a", "a2"), version="2")
    assert settled.image[xds.CLUSTER, "a"] == before
    assert "EDS a" in settled.names
    settled.serve("EDS", endpoints("a2"), version="2")
    assert settled.told == ["changes +CDS a +EDS a2 -EDS a"]


def test_rule_5_7_a_cluster_that_changes_otherwise_keeps_its_endpoints_and_need_not_wait(settled):
    """Envoy builds a new cluster and waits for endpoints to fill it; here those that are held stay in force."""
    settled.serve("CDS", cluster("a", timeout="2s"), version="2")
    assert settled.told == ["changes +CDS a"]
    assert "EDS a" in settled.names


def test_rule_5_7_endpoints_that_are_sent_again_for_a_changed_cluster_are_no_change(settled):
    """Istiod sends them after each request for clusters (section 3.4)."""
    settled.serve("CDS", cluster("a", timeout="2s"), version="2")
    settled.told.clear()
    settled.respond("EDS", endpoints("a"), version="2")
    assert settled.told == []
    assert len(acks(settled, "EDS")) == 1


def test_rule_5_7_a_listener_waits_for_its_routes_and_its_secrets(settled):
    before = settled.image[xds.LISTENER, "l"]
    settled.serve("LDS", listener("l", "r2", secret="s"), version="2")
    settled.serve("RDS", routes("r2"), version="2")
    assert settled.image[xds.LISTENER, "l"] == before
    settled.serve("SDS", secret("s"))
    assert settled.told == ["changes +RDS r2", "changes +SDS s +LDS l -RDS r"]


def test_rule_5_7_the_old_listener_and_its_routes_serve_meanwhile(settled):
    settled.serve("LDS", listener("l", "r2"), version="2")
    assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}
    assert settled.subscribed[TYPE_URLS["RDS"]] == {"r", "r2"}
    settled.serve("RDS", routes("r", "b"), version="2")
    assert settled.told == ["changes +RDS r"]


# 5.8 Order


def test_rule_5_8_types_are_asked_for_in_the_order_of_make_before_break(dialogue):
    dialogue.open()
    dialogue.serve("CDS", cluster("a", secret="s"))
    dialogue.serve("LDS", listener("l", "r"))
    asked = order(dialogue)
    assert asked.index("CDS") < asked.index("EDS") < asked.index("LDS") < asked.index("RDS")


def test_rule_5_8_delta_virtual_hosts_are_asked_for_after_their_routes(delta):
    delta.serve("RDS", routes("r", has_vhds=True), version="2")
    assert order(delta) == ["RDS", "VHDS"]
    delta.respond("VHDS", wrapped(virtual_host("v"), "r/v"))
    assert delta.told == ["changes +RDS r"]


def test_rule_5_8_listeners_are_not_asked_for_before_clusters_were_answered(dialogue):
    dialogue.open()
    assert order(dialogue) == ["CDS"]


def test_rule_5_8_what_comes_new_is_delivered_from_what_is_referred_to_upwards(dialogue):
    dialogue.open()
    dialogue.serve("CDS", cluster("a"))
    dialogue.serve("EDS", endpoints("a"))
    dialogue.serve("LDS", listener("l", "r", secret="s"))
    dialogue.serve("SDS", secret("s"))
    dialogue.serve("RDS", routes("r"))
    assert dialogue.told[0] == "complete +SDS s +CDS a +EDS a +LDS l +RDS r"


def test_rule_5_8_what_goes_is_delivered_last_and_the_other_way_round(settled):
    settled.serve("LDS", listener("m", port=81), version="2")
    settled.serve("CDS", cluster("b", is_eds=False), version="2")
    assert settled.told == ["changes +LDS m -RDS r -LDS l", "changes +CDS b -EDS a -CDS a"]


@pytest.mark.parametrize("bad", [bad_listener("l"), listener("l", "r", port=81)], ids=["bad", "good"])
def test_rule_5_8_a_response_is_answered_after_it_was_checked_and_before_anything_else(settled, bad):
    said = settled.respond("LDS", bad, version="2", nonce="x")
    verdict = next(words for words in said if words != "problem")
    assert verdict.startswith("nack LDS" if "problem" in said else "ack LDS")
    assert len(replies(settled, "LDS")) == 1
