"""Playbooks of the state of the world; each states a rule of control-planes.md section 5, or a fact of 3 or 6."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.dialogue import (
    EXISTENCE_MS,
    NACK_MS,
    Dialogue,
    bad_cluster,
    bad_listener,
    cluster,
    endpoints,
    listener,
    routes,
    scope,
    scoped_listener,
    secret,
)


@pytest.fixture
def dialogue():
    return Dialogue()


@pytest.fixture
def settled():
    return Dialogue().settle()


class TestSubscription:
    """Section 5.1 and 3.2: what is asked for, when, in which order."""

    def test_types_are_asked_for_by_reference_in_order(self, dialogue):
        assert dialogue.open() == ["ask CDS *"]
        said = dialogue.respond("CDS", cluster("a"), cluster("b", "svc-b"), cluster("static", is_eds=False))
        assert said == ["ack CDS * v1", "ask EDS a,svc-b", "ask LDS *"]
        assert dialogue.respond("EDS", endpoints("a"), endpoints("svc-b")) == ["ack EDS a,svc-b v1"]
        said = dialogue.respond("LDS", listener("l", "r1", default_routes="r2", secret="s"))
        assert said == ["ack LDS * v1", "ask RDS r1,r2", "ask SDS s"]

    def test_secrets_of_clusters_are_asked_for_too(self, dialogue):
        dialogue.open()
        said = dialogue.respond("CDS", cluster("a", is_eds=False, secret="ca"))
        assert said == ["ack CDS * v1", "ask LDS *", "ask SDS ca"]

    def test_nothing_is_asked_by_name_before_there_is_a_name(self, dialogue):
        dialogue.open()
        dialogue.respond("CDS", cluster("a", is_eds=False))
        dialogue.respond("LDS", listener("l"))
        assert {request.type_url for request in dialogue.requests} == {xds.CLUSTER, xds.LISTENER}

    def test_listeners_are_asked_for_when_clusters_stay_silent(self, dialogue):
        dialogue.open()
        assert dialogue.expire(EXISTENCE_MS) == ["problem", "ask LDS *"]

    def test_only_the_first_request_of_a_stream_carries_the_node(self, dialogue):
        dialogue.settle()
        dialogue.end()
        dialogue.open()
        carrying = [index for index, request in enumerate(dialogue.requests) if request.HasField("node")]
        assert len(carrying) == 2
        assert carrying[0] == 0
        assert dialogue.requests[0].node.id == "node"

    def test_names_that_nobody_refers_to_are_unsubscribed_and_dropped(self, settled):
        said = settled.respond("CDS", cluster("b"), version="2")
        assert said == ["ack CDS * v2", "ack EDS b v1", "changes -EDS a -CDS a"]

    def test_the_last_name_gone_is_an_unsubscription(self, settled):
        said = settled.respond("LDS", listener("l"), version="2")
        assert said == ["ack LDS * v2", "ack RDS * v1", "changes +LDS l -RDS r"]
        assert settled.respond("RDS", routes("r"), version="2") == ["ack RDS * v2"]  # some send everything after that
        assert "RDS r" not in settled.names

    def test_a_type_never_asked_for_is_neither_answered_nor_taken(self, settled):
        """Istiod dies of a NACK for a type without a watch (section 3.6)."""
        assert settled.respond("SDS", secret("s")) == ["problem"]
        assert settled.respond("type.googleapis.com/istio.networking.nds.v1.NameTable") == ["problem"]
        assert "SDS s" not in settled.names

    def test_resources_nobody_asked_for_are_ignored_in_an_answer(self, settled):
        assert settled.respond("EDS", endpoints("a"), endpoints("z"), version="2") == ["ack EDS a v2"]

    def test_a_resource_nobody_asked_for_is_never_rejected(self, settled):
        unnamed = xds.message_class(xds.CLUSTER_LOAD_ASSIGNMENT)(cluster_name="z")
        unnamed.endpoints.add().lb_endpoints.add().endpoint.health_check_config.port_value = 1
        assert settled.respond("EDS", endpoints("a"), unnamed, version="2") == ["ack EDS a v2"]


class TestReply:
    """Section 5.2 to 5.4: nonces, versions, ACK and NACK."""

    def test_every_request_carries_the_latest_nonce_of_its_type(self, settled):
        settled.respond("CDS", cluster("a", timeout="2s"), version="7", nonce="x")
        settled.respond("CDS", cluster("a", timeout="3s"), version="8", nonce="y")
        assert [r.response_nonce for r in settled.requests[-2:]] == ["x", "y"]
        settled.respond("CDS", cluster("a"), cluster("b"), version="9", nonce="z")
        ack, change = settled.requests[-2:]
        assert (ack.response_nonce, ack.type_url) == ("z", xds.CLUSTER)
        assert change.type_url == xds.CLUSTER_LOAD_ASSIGNMENT
        assert change.response_nonce not in ("", "z")

    def test_a_new_stream_forgets_nonces_and_resumes_versions(self, settled):
        settled.end()
        assert settled.open() == ["ask CDS * v1", "ask EDS a v1", "ask LDS * v1", "ask RDS r v1"]

    def test_a_rejection_names_the_bad_resource_and_keeps_the_last_version(self, settled):
        said = settled.respond("LDS", bad_listener("l"), listener("new"), version="2")
        assert said == ["problem", "nack LDS * v1", "changes +LDS new"]
        nack = settled.requests[-1]
        assert nack.error_detail.code == 3
        assert nack.error_detail.message == "l: address is missing"
        assert "address is missing" in str(settled.problems[-1])

    def test_valid_resources_of_a_rejected_response_are_taken_and_bad_ones_keep_their_version(self, settled):
        before = settled.image[xds.LISTENER, "l"]
        settled.respond("LDS", bad_listener("l"), listener("new"), version="2")
        assert settled.image[xds.LISTENER, "l"] == before
        assert "LDS new" in settled.names

    def test_a_newly_bad_resource_is_absent(self, settled):
        settled.respond("CDS", cluster("a"), bad_cluster("b"), version="2")
        assert "CDS b" not in settled.names

    def test_a_resource_in_a_response_twice_is_rejected(self, settled):
        said = settled.respond("EDS", endpoints("a", 81), endpoints("a", 82), version="2")
        assert said == ["problem", "nack EDS a v1"]
        assert settled.requests[-1].error_detail.message == "a: is in the response 2 times"

    def test_a_nameless_damaged_resource_lets_nothing_vanish(self, settled):
        """Which of the absent ones it is, nobody can say."""
        damaged = xds.message_class("google.protobuf.Any")(type_url=xds.CLUSTER, value=b"\xff")
        said = settled.respond("CDS", damaged, version="2")
        assert said == ["problem", "nack CDS * v1"]
        assert "CDS a" in settled.names

    def test_a_rejection_is_reported_once(self, settled):
        settled.respond("LDS", bad_listener("l"), version="2")
        assert settled.respond("LDS", bad_listener("l"), version="2") == []
        settled.respond("LDS", listener("l", "r"), version="3")
        assert settled.respond("LDS", bad_listener("l"), version="4")[0] == "problem"

    def test_unknown_fields_are_carried_and_noted_never_rejected(self, settled):
        future = cluster("a")
        future.MergeFromString(b"\xfa\x3f\x01z")
        assert settled.respond("CDS", future, version="2") == ["ack CDS * v2", "changes +CDS a"]
        (note,) = settled.deliveries[-1].notes
        assert (note.code, note.name, note.path) == ("CFG-UNKNOWN-FIELD", "a", "#1023")
        assert b"\xfa\x3f\x01z" in settled.image[xds.CLUSTER, "a"]

    def test_unknown_types_inside_are_never_rejected(self, settled):
        foreign = listener("l", "r")
        config = foreign.filter_chains[0].filters.add(name="stats").typed_config
        config.type_url, config.value = "type.googleapis.com/stats.PluginConfig", b"\xff\xff"
        assert settled.respond("LDS", foreign, version="2") == ["ack LDS * v2", "changes +LDS l"]


class TestNackRate:
    """Section 5.12 and 6: some control planes answer a NACK at once."""

    def test_the_next_rejection_waits_a_second(self, settled):
        assert "nack LDS * v1" in settled.respond("LDS", bad_listener("l"), version="2")
        for _ in range(50):
            assert settled.respond("LDS", bad_listener("l"), version="2") == []
        assert settled.expire(NACK_MS) == ["nack LDS * v1"]
        assert settled.expire(NACK_MS) == []

    def test_a_waiting_rejection_carries_the_latest_nonce(self, settled):
        settled.respond("LDS", bad_listener("l"), nonce="x")
        settled.respond("LDS", bad_listener("l"), nonce="y")
        settled.expire(NACK_MS)
        assert settled.requests[-1].response_nonce == "y"

    def test_an_acceptance_does_not_wait_and_replaces_a_waiting_rejection(self, settled):
        settled.respond("LDS", bad_listener("l"), version="2")
        settled.respond("LDS", bad_listener("l"), version="3")
        assert settled.respond("LDS", listener("l", "r"), version="4") == ["ack LDS * v4"]
        assert settled.expire(NACK_MS) == []

    def test_each_type_has_its_own_second(self, settled):
        settled.respond("LDS", bad_listener("l"), version="2")
        assert "nack CDS * v1" in settled.respond("CDS", bad_cluster("a"), version="2")

    def test_unsubscribing_drops_the_waiting_rejection(self, settled):
        """Istiod dies of a NACK after the last name was unsubscribed (section 3.6)."""
        for _ in range(2):
            settled.respond("RDS", routes("r"), routes("r"), version="2")
        settled.respond("LDS", listener("l"), version="2")
        settled.expire(NACK_MS)
        unsubscription = settled.requests[-1]
        assert (unsubscription.type_url, list(unsubscription.resource_names)) == (xds.ROUTE_CONFIGURATION, [])
        assert not unsubscription.HasField("error_detail")
        assert len([r for r in settled.requests if r.HasField("error_detail")]) == 1

    def test_an_answer_without_a_nonce_cannot_make_a_loop(self, settled):
        """A server that takes the reply for a first request answers it again."""
        assert settled.respond("CDS", cluster("a"), nonce="") == ["ask CDS * v1"]
        assert settled.respond("CDS", cluster("a"), nonce="") == []
        assert settled.expire(NACK_MS) == ["ask CDS * v1"]


class TestRemoval:
    """Section 5.5: who deletes by absence."""

    def test_clusters_and_listeners_are_removed_by_absence(self, settled):
        settled.respond("CDS", cluster("b", is_eds=False), version="2")
        settled.respond("LDS", listener("m"), version="2")
        assert settled.names == {"CDS b", "LDS m"}

    @pytest.mark.parametrize("short", ["EDS", "RDS"])
    def test_endpoints_and_routes_are_not_removed_by_absence(self, settled, short):
        assert settled.respond(short, version="2")[0].startswith(f"ack {short}")
        assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}

    def test_secrets_end_with_their_last_reference(self, settled):
        settled.respond("LDS", listener("l", "r", secret="s"), version="2")
        settled.respond("SDS", secret("s"))
        settled.respond("SDS")
        assert "SDS s" in settled.names
        said = settled.respond("LDS", listener("l", "r"), version="3")
        assert said == ["ack LDS * v3", "ack SDS * v1", "changes +LDS l -SDS s"]

    def test_what_two_refer_to_stays_with_the_second(self, settled):
        settled.respond("LDS", listener("l", "r"), listener("m", "r"), version="2")
        settled.respond("LDS", listener("m", "r"), version="3")
        assert settled.names == {"CDS a", "EDS a", "LDS m", "RDS r"}

    def test_removals_come_last_and_users_go_before_what_they_use(self, settled):
        settled.respond("LDS", listener("m"), version="2")
        settled.respond("CDS", cluster("b", is_eds=False), version="2")
        assert settled.told == ["changes +LDS m -RDS r -LDS l", "changes +CDS b -EDS a -CDS a"]


class TestDifferences:
    """Section 3.3 and 6: versions rise without content, bytes differ without content."""

    def test_a_new_version_of_the_same_content_is_acknowledged_and_not_delivered(self, settled):
        assert settled.respond("CDS", cluster("a"), version="2") == ["ack CDS * v2"]
        assert settled.respond("RDS", routes("r"), version="2") == ["ack RDS r v2"]

    def test_only_what_changed_is_delivered(self, settled):
        settled.respond("CDS", cluster("a"), cluster("b", is_eds=False), version="2")
        assert [c.name for c in settled.deliveries[-1].changes] == ["b"]
        assert settled.deliveries[-1].is_complete is False

    def test_the_version_and_the_source_are_told(self, settled):
        settled.respond("EDS", endpoints("a", 81), version="2")
        (change,) = settled.deliveries[-1].changes
        assert change.version_info == "2"
        assert settled.deliveries[-1].source == "cp:18000"


class TestExistence:
    """Section 5.6: 15 s after subscription a silent name is missing."""

    def test_the_first_delivery_waits_for_every_name(self, dialogue):
        dialogue.open()
        dialogue.respond("CDS", cluster("a"), cluster("b"))
        dialogue.respond("LDS", listener("l", "r"))
        dialogue.respond("RDS", routes("r"))
        assert not dialogue.deliveries
        assert dialogue.respond("EDS", endpoints("a")) == ["ack EDS a,b v1"]
        said = dialogue.respond("EDS", endpoints("b"), version="2")
        assert said == ["ack EDS a,b v2", "complete +CDS a +CDS b +EDS a +EDS b +LDS l +RDS r"]

    def test_a_silent_name_is_absent_after_its_time_and_revived_by_a_late_answer(self, dialogue):
        dialogue.open()
        dialogue.respond("CDS", cluster("a"), cluster("b"))
        dialogue.respond("LDS", listener("l"))
        dialogue.respond("EDS", endpoints("a"))
        assert dialogue.expire(EXISTENCE_MS) == ["problem", "complete +CDS a +CDS b +EDS a +LDS l"]
        assert "no answer within 15 s for b" in dialogue.problems[-1].message
        assert dialogue.respond("EDS", endpoints("b"), version="2")[1] == "changes +EDS b"

    def test_a_type_that_stays_silent_altogether_is_not_spoken_for(self, dialogue):
        """What could not be heard is not emptied (law 7): a last good state may be in the log."""
        dialogue.image[xds.CLUSTER_LOAD_ASSIGNMENT, "a"] = b"from the log"
        dialogue.open()
        dialogue.respond("CDS", cluster("a"))
        dialogue.respond("LDS", listener("l"))
        dialogue.expire(EXISTENCE_MS)
        assert xds.CLUSTER_LOAD_ASSIGNMENT not in dialogue.deliveries[-1].covers
        assert "EDS a" in dialogue.names
        said = dialogue.respond("EDS", endpoints("a"))
        assert said == ["ack EDS a v1", "complete +EDS a"]
        assert dialogue.deliveries[-1].covers == {xds.CLUSTER_LOAD_ASSIGNMENT}

    def test_a_silent_control_plane_delivers_nothing(self, dialogue):
        dialogue.open()
        dialogue.expire(EXISTENCE_MS)
        dialogue.expire(EXISTENCE_MS)
        assert not dialogue.deliveries
        assert len(dialogue.problems) == 2

    @pytest.mark.parametrize("late", ["CDS", "LDS"])
    def test_one_that_is_silent_about_clusters_or_listeners_delivers_nothing_until_it_speaks(self, dialogue, late):
        answers = {"CDS": cluster("a", is_eds=False), "LDS": listener("l")}
        dialogue.open()
        if late == "CDS":
            dialogue.expire(EXISTENCE_MS)  # only then are listeners asked for
        (early,) = answers.keys() - {late}
        dialogue.respond(early, answers[early])
        dialogue.expire(EXISTENCE_MS)
        assert not dialogue.deliveries
        assert dialogue.respond(late, answers[late])[-1] == "complete +CDS a +LDS l"

    def test_a_bad_resource_keeps_its_type_from_being_spoken_for(self, dialogue):
        dialogue.image[xds.CLUSTER, "b"] = b"its last good version, in the log"
        dialogue.open()
        dialogue.respond("CDS", cluster("a", is_eds=False), bad_cluster("b"))
        dialogue.respond("LDS", listener("l"))
        assert {"CDS a", "CDS b", "LDS l"} == dialogue.names
        dialogue.respond("CDS", cluster("a", is_eds=False), version="2")
        assert {"CDS a", "LDS l"} == dialogue.names

    def test_an_answer_stops_the_time_of_its_name(self, settled):
        assert settled.expire(EXISTENCE_MS) == []

    def test_the_time_of_an_earlier_subscription_does_not_end_a_later_one(self, settled):
        settled.respond("LDS", listener("l", "r2"), version="2")
        early = list(settled.timers)
        settled.respond("LDS", listener("l", "r"), version="3")
        settled.respond("LDS", listener("l", "r2"), version="4")
        late = {serial: settled.timers.pop(serial) for serial in list(settled.timers) if serial not in early}
        assert settled.expire(EXISTENCE_MS) == []
        settled.timers.update(late)
        assert settled.expire(EXISTENCE_MS) == ["ack RDS r2 v1"]
        assert settled.expire(EXISTENCE_MS) == ["problem", "changes +LDS l -RDS r"]

    def test_time_does_not_pass_while_disconnected(self, dialogue):
        dialogue.open()
        dialogue.respond("CDS", cluster("a"))
        stale = dict(dialogue.timers)
        dialogue.end()
        dialogue.timers.update(stale)
        assert dialogue.expire(EXISTENCE_MS) == []
        assert dialogue.open() == ["ask CDS * v1", "ask EDS a", "ask LDS *"]
        dialogue.respond("LDS", listener("l"))
        assert not dialogue.deliveries


class TestWarming:
    """Section 5.7: the old one serves until the new one has what it names."""

    def test_a_changed_listener_waits_for_its_routes_while_the_old_one_serves(self, settled):
        assert settled.respond("LDS", listener("l", "r2"), version="2") == ["ack LDS * v2", "ack RDS r,r2 v1"]
        assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}
        said = settled.respond("RDS", routes("r2"), version="2")
        assert said == ["ack RDS r2 v2", "changes +LDS l +RDS r2 -RDS r"]

    def test_a_listener_whose_secret_never_comes_is_delivered_after_the_existence_timer(self, settled):
        settled.respond("LDS", listener("l", "r", secret="s"), version="2")
        assert settled.expire(EXISTENCE_MS) == ["problem", "changes +LDS l"]

    def test_silence_about_old_and_new_is_answered_by_asking_for_the_new_alone(self, settled):
        """The Java control plane says nothing when one of the names is not in its snapshot (section 6)."""
        settled.respond("LDS", listener("l", "r2"), version="2")
        assert settled.expire(EXISTENCE_MS) == ["ack RDS r2 v1"]
        assert not settled.problems
        assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}
        said = settled.respond("RDS", routes("r2"), version="2")
        assert said == ["ack RDS r2 v2", "changes +LDS l +RDS r2 -RDS r"]

    def test_what_is_left_out_stays_so_until_there_is_an_answer(self, settled):
        settled.respond("LDS", listener("l", "r2", secret="s"), version="2")
        settled.expire(EXISTENCE_MS)
        settled.respond("LDS", listener("l", "r3", secret="s"), version="3")
        assert list(settled.requests[-1].resource_names) == ["r3"]

    def test_a_name_that_an_answer_left_out_is_not_asked_for_once_more(self, settled):
        settled.respond("LDS", listener("l", "r2"), version="2")
        settled.respond("RDS", routes("r"), version="2")
        assert settled.expire(EXISTENCE_MS) == ["problem", "ack RDS r2 v2", "changes +LDS l -RDS r"]

    def test_others_are_not_held_up(self, settled):
        settled.respond("LDS", listener("l", "r2"), version="2")
        assert settled.respond("EDS", endpoints("a", 81), version="2")[1] == "changes +EDS a"


class TestReconnect:
    """Section 5.12 and law 7: nothing is emptied because something could not be reached."""

    def test_the_known_state_is_kept_and_only_differences_are_delivered(self, settled):
        settled.end()
        settled.open()
        assert settled.respond("CDS", cluster("a"), version="1") == ["ack CDS * v1"]
        assert settled.respond("EDS", endpoints("a", 81), version="2")[1] == "changes +EDS a"
        assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}

    @pytest.mark.parametrize("short", ["CDS", "LDS"])
    def test_an_empty_first_answer_is_not_a_removal(self, settled, short):
        settled.end()
        settled.open()
        assert settled.respond(short, version="2") == ["problem", f"ack {short} * v2"]
        assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}

    def test_a_second_empty_answer_confirms_the_first(self, settled):
        settled.end()
        settled.open()
        settled.respond("CDS", version="2")
        settled.respond("CDS", version="3")
        assert settled.names == {"LDS l", "RDS r"}

    def test_time_confirms_an_empty_first_answer(self, settled):
        settled.end()
        settled.open()
        settled.respond("CDS", version="2")
        assert settled.expire(EXISTENCE_MS) == ["ask EDS * v1", "changes -EDS a -CDS a"]

    def test_a_full_second_answer_takes_the_first_back(self, settled):
        settled.end()
        settled.open()
        settled.respond("CDS", version="2")
        assert settled.respond("CDS", cluster("a"), version="3") == ["ack CDS * v3"]
        assert settled.expire(EXISTENCE_MS) == []
        assert "CDS a" in settled.names

    def test_an_unconfirmed_empty_answer_ends_with_its_stream(self, settled):
        settled.end()
        settled.open()
        settled.respond("CDS", version="2")
        stale = dict(settled.timers)
        settled.end()
        settled.open()
        settled.timers.update(stale)
        settled.expire(EXISTENCE_MS)
        assert "CDS a" in settled.names

    def test_an_empty_answer_later_in_the_stream_is_a_removal(self, settled):
        assert settled.respond("LDS", version="2") == ["ack LDS * v2", "ack RDS * v1", "changes -RDS r -LDS l"]

    def test_at_the_start_an_empty_answer_is_confirmed_before_it_counts(self, dialogue):
        """The log may hold a good state, and the control plane may have just started."""
        dialogue.open()
        dialogue.respond("CDS")
        dialogue.respond("LDS", listener("l"))
        assert not dialogue.deliveries
        assert dialogue.expire(EXISTENCE_MS) == ["complete +LDS l"]
        assert dialogue.deliveries[-1].covers is None


class TestDiscoveredTypes:
    """What there is beside clusters, endpoints, listeners and routes."""

    def test_scopes_are_a_set_and_end_by_absence(self, settled):
        settled.respond("LDS", scoped_listener("l"), version="2")
        assert settled.requests[-1].type_url == xds.SCOPED_ROUTE_CONFIGURATION
        assert not settled.requests[-1].resource_names  # as Envoy does; some are silent about `*`
        settled.respond("SRDS", scope("s1", "r"), scope("s2", "r"))
        assert {"SRDS s1", "SRDS s2"} <= settled.names
        settled.respond("SRDS", scope("s1", "r"), version="2")
        assert "SRDS s2" not in settled.names

    def test_scopes_that_no_listener_wants_any_more_are_acknowledged_and_ignored(self, settled):
        settled.respond("LDS", scoped_listener("l"), version="2")
        settled.respond("SRDS", scope("s1", "r"))
        settled.respond("LDS", listener("l", "r"), version="3")
        assert settled.respond("SRDS", scope("s1", "r"), version="2") == ["ack SRDS * v2"]
        assert settled.names == {"CDS a", "EDS a", "LDS l", "RDS r"}

    def test_virtual_hosts_by_discovery_are_told_to_need_delta(self, settled):
        said = settled.respond("RDS", routes("r", has_vhds=True), version="2")
        assert said == ["problem", "ack RDS r v2", "changes +RDS r"]
        problem = settled.problems[-1]
        assert "r takes its virtual hosts by VHDS, which only the variant delta has" in problem.message
        assert problem.remedy == "set `variant: delta`"
        assert settled.respond("RDS", routes("r", "z", has_vhds=True), version="3")[0] == "ack RDS r v3"  # once
