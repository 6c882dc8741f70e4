"""Playbooks of delta; each states a rule of control-planes.md section 5, or a fact of 3 or 6."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.delta_dialogue import DeltaDialogue, ForgetfulDialogue, UnversionedDialogue
from tests.producers.xds.dialogue import (
    EXISTENCE_MS,
    NACK_MS,
    bad_cluster,
    bad_listener,
    cluster,
    endpoints,
    listener,
    routes,
    scope,
    scoped_listener,
    secret,
    virtual_host,
    wrapped,
)

SETTLED = {"CDS a", "EDS a", "LDS l", "RDS r"}


@pytest.fixture
def dialogue():
    return DeltaDialogue()


@pytest.fixture
def settled(dialogue):
    """An initial fetch, and the time after which it is known to be whole."""
    dialogue.open()
    dialogue.respond("CDS", cluster("a"))
    dialogue.respond("EDS", endpoints("a"))
    dialogue.respond("LDS", listener("l", "r"))
    dialogue.respond("RDS", routes("r"))
    dialogue.expire(EXISTENCE_MS)
    dialogue.told.clear()
    assert dialogue.names == SETTLED
    return dialogue


class TestSubscription:
    """Sections 5.1, 5.2 and 3.4."""

    def test_types_are_asked_for_by_reference_in_order(self, dialogue):
        assert dialogue.open() == ["ask CDS *"]
        said = dialogue.respond("CDS", cluster("a"), cluster("b", "svc-b"))
        assert said == ["ack CDS", "ask EDS a,svc-b", "ask LDS *"]
        assert dialogue.respond("EDS", endpoints("a"), endpoints("svc-b")) == ["ack EDS"]
        said = dialogue.respond("LDS", listener("l", "r1", default_routes="r2", secret="s"))
        assert said == ["ack LDS", "ask RDS r1,r2", "ask SDS s"]

    def test_the_wildcard_is_an_empty_list_in_the_first_request_only(self, settled):
        (request,) = [r for r in settled.requests if r.type_url == xds.CLUSTER and not r.response_nonce]
        assert not request.resource_names_subscribe
        assert not request.initial_resource_versions

    def test_a_change_of_names_is_a_request_of_its_own_without_a_nonce(self, settled):
        """Istiod drops one that comes with a stale nonce (section 3.4)."""
        said = settled.respond("CDS", cluster("b"), removed=["a"], version="2")
        assert said == ["ack CDS", "ask EDS +b -a", "changes -EDS a -CDS a"]
        changes = [r for r in settled.requests if r.resource_names_subscribe or r.resource_names_unsubscribe]
        assert not any(request.response_nonce for request in changes)

    def test_every_response_gets_one_answer_with_its_nonce(self, settled):
        for nonce in "xyz":
            settled.respond("CDS", cluster("a", timeout=f"{ord(nonce)}s"), nonce=nonce)
            assert settled.requests[-1].response_nonce == nonce

    def test_a_response_without_a_nonce_is_taken_and_cannot_be_answered(self, settled):
        assert settled.respond("EDS", endpoints("a", 81), nonce="", version="2") == ["changes +EDS a"]

    def test_after_the_last_name_nothing_of_a_type_is_answered(self, settled):
        """Istiod takes any request for a first one then, and dies of a NACK (section 3.6)."""
        said = settled.respond("LDS", listener("l"), version="2")
        assert said == ["ack LDS", "ask RDS -r", "changes +LDS l -RDS r"]
        assert settled.respond("RDS", routes("r", "z"), version="2") == []
        assert "RDS r" not in settled.names

    def test_a_name_asked_for_again_is_asked_for_as_new(self, settled):
        settled.respond("LDS", listener("l"), version="2")
        assert settled.respond("LDS", listener("l", "r"), version="3") == ["ack LDS", "ask RDS +r"]
        assert settled.respond("RDS", routes("r"))[-1] == "changes +LDS l +RDS r"


class TestVersion:
    """Section 5.3: what is held is announced in the first request of each type on a new stream, and only there."""

    def test_a_new_stream_begins_with_all_names_and_the_versions_held(self, settled):
        settled.respond("CDS", cluster("a", timeout="2s"), version="7")
        settled.end()
        assert settled.open() == ["ask CDS * have a", "ask EDS a have a", "ask LDS * have l", "ask RDS r have r"]
        assert dict(settled.requests[-4].initial_resource_versions) == {"a": "7"}

    def test_a_version_without_a_change_is_the_one_announced_later(self, settled):
        settled.respond("CDS", cluster("a"), version="9")
        settled.end()
        settled.open()
        assert dict(settled.requests[-4].initial_resource_versions) == {"a": "9"}

    def test_the_version_of_a_bad_resource_is_never_announced(self, settled):
        settled.respond("LDS", bad_listener("l"), version="2")
        settled.end()
        settled.open()
        assert dict(settled.requests[-2].initial_resource_versions) == {"l": "1"}

    def test_resources_without_versions_are_announced_by_their_content(self, dialogue):
        """Istiod gives none (section 3.4); what it is told then it ignores."""
        dialogue.open()
        dialogue.respond("CDS", wrapped(cluster("a", is_eds=False)))
        dialogue.end()
        dialogue.open()
        (version,) = dialogue.requests[-2].initial_resource_versions.values()
        assert len(version) == 32


class TestRejection:
    """Section 5.4: valid resources are taken, bad ones keep their last version and are named."""

    def test_a_rejection_names_the_bad_resource(self, settled):
        said = settled.respond("LDS", bad_listener("l"), listener("new"), version="2")
        assert said == ["problem", "nack LDS", "changes +LDS new"]
        assert settled.requests[-1].error_detail.message == "l: address is missing"
        assert {"LDS l", "LDS new"} <= settled.names

    def test_one_that_is_sent_twice_or_sent_and_removed_is_bad(self, settled):
        settled.respond("EDS", endpoints("a", 81), endpoints("a", 82), version="2")
        assert settled.requests[-1].error_detail.message == "a: is in the response 2 times"
        settled.expire(NACK_MS)
        settled.respond("EDS", endpoints("a", 81), removed=["a"], version="2")
        assert settled.requests[-1].error_detail.message == "a: is sent and removed in one response"
        assert settled.names == SETTLED

    def test_rejections_wait_a_second_and_none_is_lost(self, settled):
        assert "nack LDS" in settled.respond("LDS", bad_listener("l"), nonce="x")
        assert settled.respond("LDS", bad_listener("l"), nonce="y") == []
        assert settled.respond("LDS", listener("l", "r", port=81), version="3", nonce="z") == [
            "ack LDS",
            "changes +LDS l",
        ]
        assert settled.expire(NACK_MS) == ["nack LDS"]
        assert settled.requests[-1].response_nonce == "y"

    def test_a_bad_resource_keeps_its_type_from_being_spoken_for(self, dialogue):
        dialogue.image[xds.CLUSTER, "b"] = b"its last good version, in the log"
        dialogue.open()
        dialogue.respond("CDS", cluster("a", is_eds=False), bad_cluster("b"))
        dialogue.respond("LDS", listener("l"))
        dialogue.expire(EXISTENCE_MS)
        assert dialogue.names == {"CDS a", "CDS b", "LDS l"}
        dialogue.respond("CDS", removed=["b"])
        assert dialogue.names == {"CDS a", "LDS l"}


class TestRemoval:
    """Section 5.5: `removed_resources` removes, in any type; absence never does."""

    def test_what_is_absent_stays(self, settled):
        settled.respond("CDS", cluster("b", is_eds=False), version="2")
        assert settled.names == {*SETTLED, "CDS b"}

    @pytest.mark.parametrize("short", ["EDS", "RDS"])
    def test_named_resources_are_removed_and_may_come_back_without_a_request(self, settled, short):
        name = {"EDS": "a", "RDS": "r"}[short]
        assert settled.respond(short, removed=[name]) == [f"ack {short}", f"changes -{short} {name}"]
        resource = {"EDS": endpoints("a"), "RDS": routes("r")}[short]
        assert settled.respond(short, resource, version="2") == [f"ack {short}", f"changes +{short} {name}"]

    def test_a_removal_of_an_unknown_name_is_nothing(self, settled):
        assert settled.respond("CDS", removed=["z"]) == ["ack CDS"]

    def test_a_removal_answers_a_name_that_was_asked_for(self, settled):
        settled.respond("CDS", cluster("b"), version="2")
        assert settled.respond("EDS", removed=["b"]) == ["ack EDS", "changes +CDS b"]
        assert settled.expire(EXISTENCE_MS) == []

    def test_users_go_before_what_they_use(self, settled):
        settled.respond("LDS", removed=["l"])
        settled.respond("CDS", removed=["a"])
        assert settled.told == ["changes -RDS r -LDS l", "changes -EDS a -CDS a"]


class TestExistence:
    """Section 5.6 and 6: what nobody answers is absent after its time; a first answer is whole only after its time."""

    def test_a_silent_name_is_absent_after_its_time_and_revived_by_a_late_answer(self, settled):
        assert settled.respond("CDS", cluster("b"), version="2") == ["ack CDS", "ask EDS +b"]
        assert settled.expire(EXISTENCE_MS) == ["problem", "changes +CDS b"]
        assert "no answer within 15 s for b" in settled.problems[-1].message
        assert settled.respond("EDS", endpoints("b")) == ["ack EDS", "changes +EDS b"]

    def test_more_may_come_and_absence_means_nothing_until_then(self, dialogue):
        """Nothing marks the end of a first answer; a control plane may give it in parts."""
        dialogue.image[xds.CLUSTER, "old"] = b"in the log"
        dialogue.open()
        dialogue.respond("CDS", cluster("a", is_eds=False))
        assert dialogue.respond("LDS", listener("l")) == ["ack LDS", "complete +CDS a +LDS l"]
        assert dialogue.names == {"CDS a", "CDS old", "LDS l"}
        dialogue.respond("CDS", cluster("b", is_eds=False))
        dialogue.expire(EXISTENCE_MS)
        assert dialogue.names == {"CDS a", "CDS b", "LDS l"}


class TestReconnect:
    """Section 5.12, law 7, and what control planes make of announced versions (sections 3.4 and 6)."""

    def reconnect(self, dialogue):
        dialogue.settle()
        dialogue.serve("CDS", cluster("a"), cluster("gone", is_eds=False), version="2")
        dialogue.expire(EXISTENCE_MS)
        assert "CDS gone" in dialogue.names
        dialogue.end()
        dialogue.open()

    def test_one_that_heeds_versions_is_silent_about_what_has_not_changed(self, dialogue):
        self.reconnect(dialogue)
        count = len(dialogue.deliveries)
        dialogue.serve("CDS", cluster("a", timeout="2s"), cluster("gone", is_eds=False), version="3")
        dialogue.expire(EXISTENCE_MS)
        assert dialogue.names == {*SETTLED, "CDS gone"}
        assert [c.name for delivery in dialogue.deliveries[count:] for c in delivery.changes] == ["a"]

    def test_one_that_does_not_speak_at_all_has_removed_nothing(self, dialogue):
        self.reconnect(dialogue)
        assert dialogue.expire(EXISTENCE_MS) == []
        assert dialogue.names == {*SETTLED, "CDS gone"}

    @pytest.mark.parametrize("make_dialogue", [ForgetfulDialogue, UnversionedDialogue])
    def test_what_one_that_sends_all_it_has_leaves_out_is_gone_after_its_time(self, make_dialogue):
        """Java ignores initial_resource_versions and sends no removals (section 6): a cluster would stay for ever."""
        dialogue = make_dialogue()
        self.reconnect(dialogue)
        dialogue.serve("CDS", cluster("a"), version="3")
        assert "CDS gone" in dialogue.names
        assert dialogue.expire(EXISTENCE_MS) == ["changes -CDS gone"]

    def test_what_it_sends_late_but_in_time_stays(self):
        dialogue = ForgetfulDialogue()
        self.reconnect(dialogue)
        dialogue.respond("CDS", wrapped(cluster("a"), version=dialogue.version_of(cluster("a"))))
        dialogue.respond("CDS", cluster("gone", is_eds=False), version="z")
        dialogue.expire(EXISTENCE_MS)
        assert dialogue.names == {*SETTLED, "CDS gone"}

    def test_a_bad_resource_is_not_left_out(self):
        dialogue = ForgetfulDialogue()
        self.reconnect(dialogue)
        dialogue.respond(
            "CDS", wrapped(cluster("a"), version=dialogue.version_of(cluster("a"))), bad_cluster("gone"), version="3"
        )
        dialogue.expire(EXISTENCE_MS)
        assert dialogue.names == {*SETTLED, "CDS gone"}

    def test_children_that_come_again_unasked_do_not_show_what_becomes_of_versions(self, dialogue):
        """Consul sends the children of what has changed again, unchanged or not (section 2.4)."""
        self.reconnect(dialogue)
        dialogue.respond("CDS", cluster("a", timeout="2s"), version="3")
        dialogue.respond("EDS", wrapped(endpoints("a"), version=dialogue.version_of(endpoints("a"))))
        dialogue.expire(EXISTENCE_MS)
        assert "CDS gone" in dialogue.names

    def test_a_removal_in_the_first_answer_is_held_and_told(self, dialogue):
        self.reconnect(dialogue)
        said = dialogue.respond("CDS", removed=["gone"])
        assert said == ["problem", "ack CDS"]
        assert "lacks 1 of 2 resources; they stay until that is confirmed" in dialogue.problems[-1].message
        assert dialogue.expire(EXISTENCE_MS) == ["changes -CDS gone"]

    def test_a_second_removal_confirms_the_first(self, dialogue):
        self.reconnect(dialogue)
        dialogue.respond("CDS", removed=["gone"])
        assert dialogue.respond("CDS", removed=["gone"]) == ["ack CDS", "changes -CDS gone"]

    def test_endpoints_that_the_first_answer_removes_are_held_too(self, dialogue):
        self.reconnect(dialogue)
        dialogue.respond("EDS", removed=["a"])
        assert "EDS a" in dialogue.names
        assert dialogue.expire(EXISTENCE_MS) == ["changes -EDS a"]


class TestVirtualHosts:
    """VHDS: virtual hosts that come one by one are handed on in their RouteConfiguration."""

    @pytest.fixture
    def discovered(self, settled):
        settled.respond("RDS", routes("r", has_vhds=True), version="2")
        settled.respond("VHDS", wrapped(virtual_host("one", "one.example"), "r/one", version="1"))
        return settled

    def hosts(self, dialogue):
        message = xds.parse(xds.ROUTE_CONFIGURATION, dialogue.image[xds.ROUTE_CONFIGURATION, "r"])
        return [(host.name, list(host.domains)) for host in message.virtual_hosts]

    def test_they_are_asked_for_by_their_route_configuration_which_waits(self, settled):
        assert settled.respond("RDS", routes("r", has_vhds=True), version="2") == ["ack RDS", "ask VHDS r"]
        said = settled.respond("VHDS", wrapped(virtual_host("one", "one.example"), "r/one", version="1"))
        assert said == ["ack VHDS", "changes +RDS r"]
        assert self.hosts(settled) == [("v", ["*"]), ("one", ["one.example"])]
        assert settled.names == SETTLED

    def test_each_change_is_one_of_the_route_configuration(self, discovered):
        discovered.respond("VHDS", wrapped(virtual_host("two", "two.example"), "r/two", version="1"))
        assert self.hosts(discovered) == [("v", ["*"]), ("one", ["one.example"]), ("two", ["two.example"])]
        said = discovered.respond("VHDS", removed=["r/one"])
        assert said == ["ack VHDS", "changes +RDS r"]
        assert self.hosts(discovered) == [("v", ["*"]), ("two", ["two.example"])]

    def test_a_route_configuration_that_changes_keeps_them(self, discovered):
        discovered.respond("RDS", routes("r", "z", has_vhds=True), version="3")
        assert self.hosts(discovered) == [("v", ["*"]), ("one", ["one.example"])]

    def test_they_end_with_its_vhds(self, discovered):
        said = discovered.respond("RDS", routes("r"), version="3")
        assert said == ["ack RDS", "ask VHDS -r", "changes +RDS r"]
        assert self.hosts(discovered) == [("v", ["*"])]

    def test_those_of_another_route_configuration_are_not_taken(self, discovered):
        said = discovered.respond("VHDS", wrapped(virtual_host("x", "x.example"), "other/x", version="1"))
        assert said == ["ack VHDS"]

    def test_a_bad_one_is_named_by_its_resource(self, discovered):
        bad = virtual_host("one", "one.example")
        bad.routes[0].ClearField("match")
        discovered.respond("VHDS", wrapped(bad, "r/one", version="2"))
        assert discovered.requests[-1].error_detail.message == "r/one: routes[0].match is missing"

    def test_a_new_stream_announces_them(self, discovered):
        discovered.end()
        assert discovered.open()[-1] == "ask VHDS r have r/one"

    def test_a_silent_one_lets_its_route_configuration_go_after_its_time(self, settled):
        settled.respond("RDS", routes("r", has_vhds=True), version="2")
        assert settled.expire(EXISTENCE_MS) == ["problem", "changes +RDS r"]

    def test_while_they_are_silent_their_route_configurations_are_not_spoken_for(self, dialogue):
        """A restart must not take away what the log holds of them (law 7)."""
        dialogue.open()
        dialogue.respond("CDS", cluster("a", is_eds=False))
        dialogue.respond("LDS", listener("l", "r"))
        dialogue.respond("RDS", routes("r", has_vhds=True))
        dialogue.expire(EXISTENCE_MS)
        assert not any(xds.ROUTE_CONFIGURATION in (delivery.covers or ()) for delivery in dialogue.deliveries)
        dialogue.respond("VHDS", wrapped(virtual_host("one", "one.example"), "r/one", version="1"))
        dialogue.expire(EXISTENCE_MS)
        assert any(xds.ROUTE_CONFIGURATION in (delivery.covers or ()) for delivery in dialogue.deliveries)
        assert self.hosts(dialogue) == [("v", ["*"]), ("one", ["one.example"])]


class TestOtherTypes:
    def test_aliases_satisfy_a_subscription(self, settled):
        """Section 5.10."""
        settled.respond("LDS", listener("l", "r", secret="s"), version="2")
        said = settled.respond("SDS", wrapped(secret("s"), "s", version="1", aliases=["other"]))
        assert said == ["ack SDS", "changes +SDS s +LDS l"]

    def test_scopes_are_asked_for_all_at_once_while_a_listener_wants_any(self, settled):
        assert "ask SRDS *" in settled.respond("LDS", scoped_listener("l"), version="2")
        settled.respond("SRDS", scope("s1", "r"))
        assert "ask SRDS -*" in settled.respond("LDS", listener("l", "r"), version="3")

    def test_scopes_are_removed_by_name(self, settled):
        settled.respond("LDS", scoped_listener("l"), version="2")
        settled.respond("SRDS", scope("s1", "r"), scope("s2", "r"))
        settled.respond("SRDS", removed=["s2"])
        settled.expire(EXISTENCE_MS)
        assert settled.names == {*SETTLED, "SRDS s1"}

    def test_a_type_never_asked_for_is_neither_answered_nor_taken(self, settled):
        assert settled.respond("SDS", secret("s")) == ["problem"]
        assert settled.names == SETTLED
