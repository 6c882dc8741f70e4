"""What holds in both variants, and in delta whatever a control plane makes of the versions a stream begins with."""

from __future__ import annotations

import pytest

from producers.xds.event import ResponseReceived, StreamEnded, StreamOpened
from producers.xds.profile import PROFILES, Facts, build_identity
from producers.xds.session import LocalProtocolError
from producers.xds.subscription import TYPE_RULES
from schemas import xds
from tests.producers.xds.delta_dialogue import DIALOGUES, DeltaDialogue
from tests.producers.xds.dialogue import (
    CORS,
    DISCOVERY_RESPONSE,
    EXISTENCE_MS,
    ROUTER,
    TYPE_URLS,
    Dialogue,
    cluster,
    discovered_filter,
    discovering_listener,
    endpoints,
    listener,
    routes,
    scope,
    scoped_listener,
    secret,
    wrapped,
)

TTL_MS = 60_000
SETTLED = {"CDS a", "EDS a", "LDS l", "RDS r"}


@pytest.fixture(params=DIALOGUES.values(), ids=DIALOGUES)
def dialogue(request):
    return request.param()


@pytest.fixture
def settled(dialogue):
    dialogue.settle()
    dialogue.expire(EXISTENCE_MS)  # delta: only now is everything known
    return dialogue


def image_of(dialogue, short, name):
    type_url = TYPE_URLS[short]
    return xds.parse(type_url, dialogue.image[type_url, name])


class TestTypeOrder:
    """Sections 2, 3.2 and 6: which types are asked for, in which order, of which control plane."""

    @pytest.mark.parametrize("make_dialogue", [Dialogue, DeltaDialogue])
    @pytest.mark.parametrize("profile", PROFILES)
    def test_every_profile_asks_in_the_order_of_make_before_break(self, profile, make_dialogue):
        facts = Facts(name="gw", namespace="ns", ip="10.0.0.1", mesh="m")
        dialogue = make_dialogue(
            build_identity(profile, facts, "1.0", node_id="n" if profile == "generic" else "").node
        )
        dialogue.open()
        dialogue.serve("CDS", cluster("a", secret="s"))
        dialogue.serve("LDS", listener("l", "r"), scoped_listener("m"), discovering_listener("n", "cors"))
        asked = list(dict.fromkeys(request.type_url for request in dialogue.requests))
        assert asked[:2] == [xds.CLUSTER, xds.CLUSTER_LOAD_ASSIGNMENT]
        rest = [xds.LISTENER, xds.SCOPED_ROUTE_CONFIGURATION, xds.ROUTE_CONFIGURATION, xds.TYPED_EXTENSION_CONFIG]
        assert [type_url for type_url in asked if type_url in rest] == rest

    def test_name_tables_and_proxy_configs_are_never_asked_for(self, settled):
        """Istio's NDS and PCDS are for the agent beside a sidecar (section 3.2)."""
        assert {request.type_url for request in settled.requests} <= {rule.type_url for rule in TYPE_RULES}
        assert not any("istio" in request.type_url for request in settled.requests)
        for url in ("istio.networking.nds.v1.NameTable", "istio.mesh.v1alpha1.ProxyConfig"):
            count = len(settled.requests)
            settled.respond(f"type.googleapis.com/{url}")
            assert len(settled.requests) == count


class TestTimeToLive:
    """Section 5.9: a heartbeat renews and nothing else; what is not renewed is dropped as if it had been removed."""

    @pytest.fixture
    def living(self, dialogue):
        """Cluster `a` has a TTL; `b` and the rest have none."""
        dialogue.open()
        dialogue.respond("CDS", wrapped(cluster("a"), version="1", ttl_ms=TTL_MS), cluster("b", is_eds=False))
        dialogue.respond("EDS", endpoints("a"))
        dialogue.respond("LDS", listener("l"))
        dialogue.expire(EXISTENCE_MS)
        assert dialogue.names == {"CDS a", "CDS b", "EDS a", "LDS l"}
        return dialogue

    def heartbeat(self, dialogue, version):
        return dialogue.respond("CDS", wrapped(cluster("a"), version=version, ttl_ms=TTL_MS, body=False))

    @pytest.mark.parametrize("version", ["", "1"])
    def test_a_heartbeat_of_one_resource_removes_no_other_and_delivers_nothing(self, living, version):
        count = len(living.deliveries)
        (said,) = self.heartbeat(living, version)
        assert said.startswith("ack CDS")
        assert len(living.deliveries) == count
        assert not living.problems

    def test_a_heartbeat_renews(self, living):
        before = dict(living.timers)
        self.heartbeat(living, "1")
        living.timers, renewed = before, living.timers
        assert living.expire(TTL_MS) == []
        assert "CDS a" in living.names
        living.timers = {serial: delay for serial, delay in renewed.items() if serial not in before}
        living.expire(TTL_MS)
        assert "CDS a" not in living.names

    def test_a_heartbeat_for_another_version_does_not_renew(self, living):
        before = set(living.timers)
        self.heartbeat(living, "2")
        assert set(living.timers) <= before
        living.expire(TTL_MS)
        assert "CDS a" not in living.names

    def test_a_version_that_came_with_the_same_content_is_the_one_a_heartbeat_renews(self, living):
        living.respond(
            "CDS", wrapped(cluster("a"), version="2", ttl_ms=TTL_MS), wrapped(cluster("b", is_eds=False), version="2")
        )
        before = set(living.timers)
        self.heartbeat(living, "2")
        assert set(living.timers) > before

    def test_what_is_not_renewed_is_dropped_as_removed_and_told(self, living):
        said = living.expire(TTL_MS)
        assert said[0] == "problem"
        assert said[-1] == "changes -EDS a -CDS a"
        assert "not renewed within the time that the control plane gave: a" in living.problems[-1].message

    def test_the_subscription_outlives_its_resource(self, dialogue):
        dialogue.open()
        dialogue.respond("CDS", cluster("a"))
        dialogue.respond("EDS", wrapped(endpoints("a"), ttl_ms=TTL_MS))
        dialogue.respond("LDS", listener("l"))
        assert dialogue.expire(TTL_MS) == ["problem", "changes -EDS a"]
        assert dialogue.subscribed[xds.CLUSTER_LOAD_ASSIGNMENT] == {"a"}
        dialogue.respond("EDS", endpoints("a"), version="2")
        assert "EDS a" in dialogue.names

    def test_one_without_a_ttl_any_more_lives_for_ever(self, living):
        living.respond("CDS", wrapped(cluster("a"), version="2"), cluster("b", is_eds=False), version="2")
        assert living.expire(TTL_MS) == []
        assert "CDS a" in living.names

    def test_time_runs_out_without_a_stream_too(self, living):
        """A TTL is for the case that the control plane has gone."""
        living.end()
        said = living.expire(TTL_MS)
        assert said == ["problem", "changes -EDS a -CDS a"]


class TestDiscoveredFilters:
    """ECDS: what is discovered stands in the filter that names it (mapping.md section 6.4)."""

    @pytest.fixture
    def filled(self, settled):
        settled.serve("LDS", discovering_listener("l", "cors"), version="2")
        settled.serve("ECDS", discovered_filter("cors"))
        settled.serve("RDS", routes("r"))
        return settled

    def http_filters(self, dialogue):
        found = xds.unpack(image_of(dialogue, "LDS", "l").filter_chains[0].filters[0].typed_config)
        return [(f.name, f.WhichOneof("config_type"), f.typed_config.type_url) for f in found.http_filters]

    def test_a_listener_waits_for_its_filters(self, settled):
        settled.serve("LDS", discovering_listener("l", "cors"), version="2")
        assert settled.subscribed[xds.TYPED_EXTENSION_CONFIG] == {"cors"}
        assert self.http_filters(settled) == [("router", "typed_config", ROUTER["@type"])]

    def test_the_listener_carries_what_was_discovered_and_the_filter_is_not_handed_on(self, filled):
        assert self.http_filters(filled)[0] == ("cors", "typed_config", CORS["@type"])
        assert filled.names == SETTLED

    def test_a_change_of_the_filter_is_a_change_of_the_listener(self, filled):
        changed = dict(CORS)
        stateful = {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": changed["@type"]}
        filled.serve("ECDS", discovered_filter("cors", stateful), version="2")
        assert filled.told[-1] == "changes +LDS l"
        assert self.http_filters(filled)[0][2] == stateful["@type"]

    def test_one_of_a_type_that_the_filter_does_not_allow_is_not_filled_in(self, filled):
        filled.serve("ECDS", discovered_filter("cors", ROUTER), version="2")
        assert self.http_filters(filled)[0] == ("cors", "config_discovery", "")
        (note,) = filled.deliveries[-1].notes
        assert (note.code, note.name, note.path) == ("EXT-PENDING", "l", "cors")

    def test_a_filter_that_never_comes_is_noted_after_its_time(self, settled):
        settled.serve("LDS", discovering_listener("l", "cors"), version="2")
        settled.expire(EXISTENCE_MS)
        assert self.http_filters(settled)[0] == ("cors", "config_discovery", "")
        assert [note.code for note in settled.deliveries[-1].notes] == ["EXT-PENDING"]

    def test_the_last_user_gone_ends_the_subscription(self, filled):
        filled.serve("LDS", listener("l", "r"), version="3")
        assert filled.subscribed[xds.TYPED_EXTENSION_CONFIG] == set()


class TestScopes:
    """SRDS: which scopes there are is the control plane's to say; each names a RouteConfiguration."""

    @pytest.fixture
    def scoped(self, settled):
        settled.serve("LDS", scoped_listener("l"), version="2")
        settled.serve("SRDS", scope("s1", "r1"), scope("s2", "r2"))
        settled.serve("RDS", routes("r1"), routes("r2"))
        settled.expire(EXISTENCE_MS)
        return settled

    def test_all_scopes_are_asked_for_while_a_listener_wants_any_and_lead_to_their_routes(self, settled):
        settled.serve("LDS", scoped_listener("l"), version="2")
        assert settled.subscribed[xds.SCOPED_ROUTE_CONFIGURATION] == {"*"}
        settled.serve("SRDS", scope("s1", "r1"), scope("s2", "r2"))
        assert settled.subscribed[xds.ROUTE_CONFIGURATION] == {"r", "r1", "r2"}
        assert "SRDS s1" not in settled.names
        settled.serve("RDS", routes("r1"), routes("r2"))
        assert settled.subscribed[xds.ROUTE_CONFIGURATION] == {"r1", "r2"}

    def test_scopes_are_handed_on_with_their_routes(self, scoped):
        assert scoped.names == {"CDS a", "EDS a", "LDS l", "SRDS s1", "SRDS s2", "RDS r1", "RDS r2"}

    def test_the_last_listener_that_wants_scopes_ends_them_all(self, scoped):
        scoped.serve("LDS", listener("l", "r"), version="3")
        scoped.serve("RDS", routes("r"))
        assert scoped.names == SETTLED


class TestReconnect:
    """Section 5.12 and law 7: what the first answer of a stream takes away stays until it is confirmed."""

    @pytest.fixture
    def larger(self, settled):
        settled.serve("CDS", cluster("a"), cluster("b", is_eds=False), cluster("c", is_eds=False), version="2")
        settled.end()
        settled.open()
        settled.problems.clear()
        return settled

    def test_a_shrunken_first_answer_is_held_until_time_confirms_it(self, larger):
        larger.serve("CDS", cluster("a"), version="3")
        assert larger.names == {*SETTLED, "CDS b", "CDS c"}
        larger.serve("EDS", endpoints("a"))
        larger.serve("LDS", listener("l", "r"))
        larger.expire(EXISTENCE_MS)
        assert larger.names == SETTLED

    def test_an_empty_first_answer_is_held_until_time_confirms_it(self, settled):
        settled.end()
        settled.open()
        settled.serve("LDS", version="3")
        assert settled.names == SETTLED
        settled.serve("CDS", cluster("a"))  # a control plane that ignores announced versions shows it by this
        settled.expire(EXISTENCE_MS)
        assert settled.names == {"CDS a", "EDS a"}

    def test_one_that_stays_silent_after_a_reconnect_has_removed_nothing(self, settled):
        """Java says nothing when its version is the one that is held (section 6)."""
        settled.end()
        settled.open()
        assert settled.expire(EXISTENCE_MS) == []
        assert settled.names == SETTLED
        settled.serve("EDS", endpoints("a", 81), version="2")
        assert settled.told[-1] == "changes +EDS a"

    def test_what_comes_back_before_that_was_never_away(self, larger):
        count = len(larger.deliveries)
        larger.serve("CDS", cluster("a"), version="3")
        larger.serve("CDS", cluster("a"), cluster("b", is_eds=False), cluster("c", is_eds=False), version="4")
        larger.expire(EXISTENCE_MS)
        assert larger.names == {*SETTLED, "CDS b", "CDS c"}
        assert not [change for delivery in larger.deliveries[count:] for change in delivery.changes]

    def test_a_stream_that_ends_before_that_has_removed_nothing(self, larger):
        larger.serve("CDS", cluster("a"), version="3")
        larger.end()
        larger.expire(EXISTENCE_MS)
        assert larger.names == {*SETTLED, "CDS b", "CDS c"}

    def test_a_removal_once_the_stream_is_heard_counts_at_once(self, larger):
        larger.serve("CDS", cluster("a"), cluster("b", is_eds=False), cluster("c", is_eds=False), version="3")
        larger.expire(EXISTENCE_MS)
        larger.serve("CDS", cluster("a"), cluster("c", is_eds=False), version="4")
        assert larger.names == {*SETTLED, "CDS c"}


class TestMisuse:
    """The table says what can happen; anything else is a fault of the caller."""

    @pytest.mark.parametrize("event", [ResponseReceived(DISCOVERY_RESPONSE()), StreamEnded()])
    def test_what_needs_a_stream_is_refused_without_one(self, dialogue, event):
        with pytest.raises(LocalProtocolError, match=f"{type(event).__name__} while DISCONNECTED"):
            dialogue.session.receive(event)

    def test_a_stream_cannot_open_twice(self, dialogue):
        dialogue.open()
        with pytest.raises(LocalProtocolError, match="StreamOpened while CONNECTED"):
            dialogue.session.receive(StreamOpened())


def test_secrets_are_followed_and_end_with_their_last_reference(settled):
    settled.serve("LDS", listener("l", "r", secret="s"), version="2")
    settled.serve("SDS", secret("s"))
    assert settled.names == {*SETTLED, "SDS s"}
    settled.serve("LDS", listener("l", "r"), version="3")
    assert settled.names == SETTLED
    assert settled.subscribed[xds.SECRET] == set()
