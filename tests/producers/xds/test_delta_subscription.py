from __future__ import annotations

import pytest

from producers.xds.delta_subscription import DELTA_TYPE_RULES, DeltaSubscription
from producers.xds.interest import WILDCARD
from producers.xds.response import Entry, Fault, Reading
from producers.xds.subscription import TYPE_RULES, TypeRule
from schemas import xds

NOTHING: frozenset[str] = frozenset()


def response(nonce="n"):
    message = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
    return message(type_url=xds.CLUSTER, nonce=nonce)


def held(**versions):
    return {name: Entry(None, b"", version, frozenset(), ()) for name, version in versions.items()}


def reading(removed=(), faults=(), **versions):
    return Reading(
        changed={},
        mentioned=frozenset(versions),
        faults=tuple(Fault(name, "bad") for name in faults),
        answered=frozenset(versions) - set(faults),
        removed=frozenset(removed),
        versions=versions,
    )


@pytest.fixture
def named():
    return DeltaSubscription(TypeRule(xds.CLUSTER_LOAD_ASSIGNMENT, is_wildcard=False))


@pytest.fixture
def wildcard():
    return DeltaSubscription(TypeRule(xds.CLUSTER, is_wildcard=True))


def test_virtual_hosts_are_what_delta_has_more_and_come_after_their_route_configurations():
    assert {rule.type_url for rule in DELTA_TYPE_RULES} - {rule.type_url for rule in TYPE_RULES} == {xds.VIRTUAL_HOST}
    for index, rule in enumerate(DELTA_TYPE_RULES):
        assert {*rule.parents, *rule.after} <= {earlier.type_url for earlier in DELTA_TYPE_RULES[:index]}


def test_the_first_request_has_all_names_and_all_versions(named):
    (request,) = named.next_requests({"b", "a"}, held(a="1"))
    assert list(request.resource_names_subscribe) == ["a", "b"]
    assert dict(request.initial_resource_versions) == {"a": "1"}
    assert named.next_requests({"b", "a"}, held(a="1")) == []


def test_a_type_without_names_is_not_asked_for(named):
    assert named.next_requests(NOTHING, {}) == []


def test_later_requests_hold_the_difference_of_names_and_no_versions(named):
    named.next_requests({"a", "b"}, {})
    (request,) = named.next_requests({"b", "c"}, held(b="1"))
    assert list(request.resource_names_subscribe) == ["c"]
    assert list(request.resource_names_unsubscribe) == ["a"]
    assert not request.initial_resource_versions
    assert not request.response_nonce


def test_answers_come_before_changes_and_apart_from_them(named):
    named.next_requests({"a"}, {})
    named.receive(response("x"), "")
    named.receive(response("y"), "bad")
    first, second, change = named.next_requests({"b"}, {})
    assert (first.response_nonce, first.HasField("error_detail")) == ("x", False)
    assert (second.response_nonce, second.error_detail.message) == ("y", "bad")
    assert (change.response_nonce, list(change.resource_names_subscribe)) == ("", ["b"])


def test_a_rejection_that_must_rest_is_kept_and_an_acceptance_is_not(wildcard):
    wildcard.next_requests(NOTHING, {})
    wildcard.receive(response("x"), "bad")
    wildcard.next_requests(NOTHING, {})
    assert wildcard.is_resting
    wildcard.receive(response("y"), "worse")
    wildcard.receive(response("z"), "")
    assert [request.response_nonce for request in wildcard.next_requests(NOTHING, {})] == ["z"]
    wildcard.is_resting = False
    assert [request.response_nonce for request in wildcard.next_requests(NOTHING, {})] == ["y"]


def test_a_rejection_after_the_end_of_interest_becomes_an_acknowledgement(named):
    named.next_requests({"a"}, {})
    named.receive(response("x"), "bad")
    answer, change = named.next_requests(NOTHING, {})
    assert (answer.response_nonce, answer.HasField("error_detail")) == ("x", False)
    assert list(change.resource_names_unsubscribe) == ["a"]
    named.receive(response("y"), "bad")
    assert named.next_requests(NOTHING, {}) == []


def test_names_are_unheard_until_the_stream_speaks_of_them(named):
    named.next_requests({"a", "b", "c"}, held(a="1", b="1", c="1"))
    named.hear(reading(a="2", removed=["b"]), may_tell=False)
    assert named.unheard == {"c": "1"}


@pytest.mark.parametrize(("version", "may_tell", "tells"), [("1", True, True), ("", True, True), ("2", True, False)])
def test_the_announced_version_sent_again_shows_that_it_was_ignored(wildcard, version, may_tell, tells):
    wildcard.next_requests(NOTHING, held(a="1"))
    wildcard.hear(reading(a=version), may_tell=may_tell)
    assert wildcard.is_resending is tells


def test_what_may_not_tell_shows_nothing(named):
    named.next_requests({"a"}, held(a="1"))
    named.hear(reading(a="1"), may_tell=False)
    assert not named.is_resending


def test_a_bad_resource_is_faulty_until_it_is_answered_or_removed(wildcard):
    wildcard.next_requests(NOTHING, {})
    wildcard.hear(reading(a="1", b="1", faults=["a", "b"]), may_tell=True)
    assert wildcard.faulty == {"a", "b"}
    wildcard.hear(reading(a="2", removed=["b"]), may_tell=True)
    assert wildcard.faulty == set()


def test_what_is_not_wanted_any_more_is_not_waited_for(named):
    named.next_requests({WILDCARD}, held(a="1"))
    named.next_requests(NOTHING, {})
    assert named.unheard == {}


def test_a_new_stream_forgets_everything(wildcard):
    wildcard.next_requests(NOTHING, held(a="1"))
    wildcard.receive(response("x"), "bad")
    wildcard.hear(reading(a="1", faults=["a"]), may_tell=True)
    wildcard.open()
    assert (wildcard.unheard, wildcard.faulty, wildcard.is_resending, wildcard.is_requested) == (
        {},
        set(),
        False,
        False,
    )
    assert len(wildcard.next_requests(NOTHING, {})) == 1
