from __future__ import annotations

import pytest

from producers.xds.sotw import SotWSubscription
from producers.xds.subscription import TYPE_RULES, TypeRule
from schemas import xds
from tests.producers.xds.dialogue import DISCOVERY_RESPONSE

NOTHING: frozenset[str] = frozenset()


def response(nonce="n", version="1"):
    return DISCOVERY_RESPONSE(type_url=xds.CLUSTER, nonce=nonce, version_info=version)


@pytest.fixture
def named():
    return SotWSubscription(TypeRule(xds.CLUSTER_LOAD_ASSIGNMENT, is_wildcard=False))


@pytest.fixture
def wildcard():
    return SotWSubscription(TypeRule(xds.CLUSTER, is_wildcard=True))


def test_what_a_type_waits_for_stands_before_it():
    for index, rule in enumerate(TYPE_RULES):
        assert {*rule.parents, *rule.after} <= {earlier.type_url for earlier in TYPE_RULES[:index]}


def test_a_wildcard_is_asked_for_once(wildcard):
    request = wildcard.next_request(NOTHING)
    assert (list(request.resource_names), request.response_nonce, request.version_info) == ([], "", "")
    assert wildcard.next_request(NOTHING) is None


def test_names_are_sent_sorted_and_only_when_they_change(named):
    assert named.next_request(set()) is None
    assert list(named.next_request({"b", "a"}).resource_names) == ["a", "b"]
    assert named.next_request({"a", "b"}) is None
    assert list(named.next_request(set()).resource_names) == []
    assert named.next_request(set()) is None


def test_one_request_replies_and_changes_names(named):
    named.next_request({"a"})
    named.receive(response("x", "7"), "")
    request = named.next_request({"a", "b"})
    assert (request.response_nonce, request.version_info, list(request.resource_names)) == ("x", "7", ["a", "b"])
    assert named.next_request({"a", "b"}) is None


def test_a_rejection_keeps_the_version(wildcard):
    wildcard.next_request(NOTHING)
    wildcard.receive(response("x", "1"), "")
    wildcard.next_request(NOTHING)
    wildcard.receive(response("y", "2"), "bad")
    request = wildcard.next_request(NOTHING)
    assert (request.response_nonce, request.version_info, request.error_detail.message) == ("y", "1", "bad")


def test_two_responses_before_a_reply_are_answered_by_the_later_nonce(wildcard):
    wildcard.next_request(NOTHING)
    wildcard.receive(response("x"), "")
    wildcard.receive(response("y"), "")
    assert wildcard.next_request(NOTHING).response_nonce == "y"
    assert wildcard.next_request(NOTHING) is None


def test_a_new_stream_keeps_only_the_version(named):
    named.next_request({"a"})
    named.receive(response("x", "7"), "bad")
    named.next_request({"a"})
    named.receive(response("y", "8"), "")
    named.open()
    assert (named.is_requested, named.requested, named.response_count, named.is_resting) == (False, NOTHING, 0, False)
    request = named.next_request({"a"})
    assert (request.response_nonce, request.version_info, request.HasField("error_detail")) == ("", "8", False)


def test_names_are_left_out_until_something_comes(named):
    named.next_request({"a", "b"})
    assert named.is_unanswered
    named.left_out = frozenset({"a"})
    named.receive(response("x"), "")
    assert (named.is_unanswered, named.left_out) == (False, NOTHING)
    named.next_request({"a", "b"})  # the answer alone asks for nothing new
    assert not named.is_unanswered
