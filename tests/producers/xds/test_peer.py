"""Control planes that misbehave, over real gRPC and in both variants.

Whatever they do: no crash, no hang, no hot loop, nothing lost that was good, and the right state once they behave.
"""

from __future__ import annotations

import time

import pytest

from producers.xds.session import Timing
from producers.xds.transport import Lifetime
from schemas import xds
from tests.peers.half_open import HalfOpen
from tests.peers.misbehaviour import Nonces
from tests.producers.xds.dialogue import bad_cluster, bad_listener, cluster, endpoints, routes, secret
from tests.producers.xds.recovery import MAX_REQUESTS, recover
from tests.producers.xds.state import STATE, TYPES

NAMED_TYPES = [xds.CLUSTER_LOAD_ASSIGNMENT, xds.ROUTE_CONFIGURATION, xds.SECRET]
RATED = Timing(existence_ms=300, confirmation_ms=300, nack_interval_ms=100)
"""With a rate that shows beside what gRPC takes."""


# Nonces


@pytest.mark.parametrize("nonces", [Nonces.SAME, Nonces.OLD, Nonces.HUGE])
async def test_nonces_that_are_no_good_are_given_back_as_they_came(peer, settled, nonces):
    peer.misbehaviour.nonces = nonces
    follower = await settled()
    await peer.bump(xds.CLUSTER)
    await peer.until_quiet()
    assert not follower.moved()
    assert all(len(peer.acks(type_url)) >= 1 for type_url in TYPES)
    peer.kick()  # what it has in its books is wrong for the rest of the stream
    await recover(peer, follower)


async def test_responses_without_a_nonce_are_taken_and_answered_no_faster_than_the_rate(peer, attach_peer, variant):
    peer.misbehaviour.nonces = Nonces.EMPTY
    begin = time.monotonic()
    follower = attach_peer(timing=RATED)
    await follower.until(lambda: follower.image == peer.image())
    if variant == "sotw":
        await peer.until(lambda: len(peer.of(xds.SECRET)) >= 5)
    else:  # what has no nonce cannot be acknowledged there
        await peer.until_quiet()
    intervals = 1 + (time.monotonic() - begin) * 1000 / RATED.nack_interval_ms
    assert all(len(peer.of(type_url)) <= 2 + intervals for type_url in TYPES)
    assert not follower.moved()
    peer.kick()
    peer.requests.clear()
    await recover(peer, follower)


# Order


async def test_children_that_come_before_their_parents_are_no_reason_to_reject(peer, settled):
    peer.misbehaviour.sends_unasked = [xds.SECRET, xds.ROUTE_CONFIGURATION, xds.CLUSTER_LOAD_ASSIGNMENT]
    follower = await settled()
    assert not follower.moved()
    assert not [request for request in peer.requests if request.HasField("error_detail")]
    await recover(peer, follower)


async def test_answers_in_the_wrong_order_after_a_reconnect_change_nothing(peer, settled):
    follower = await settled()
    peer.misbehaviour.answers_backwards = len(TYPES)
    peer.misbehaviour.ignores_versions = True
    peer.kick()
    await peer.until(lambda: len(peer.metadata) == 2)
    await peer.until_quiet()
    assert {request.type_url for request in peer.requests[-len(TYPES) :]} == set(TYPES)
    assert not follower.moved()
    await recover(peer, follower)


async def test_a_new_cluster_whose_endpoints_come_first_arrives_with_them(peer, settled):
    follower = await settled()
    await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, *STATE[2:4], endpoints("c"))
    await peer.set(xds.CLUSTER, *STATE[:2], cluster("c"))
    await follower.until(lambda: follower.image == peer.image())
    first = next(c for c in follower.changes if (xds.CLUSTER, "c") in {(r.type_url, r.name) for r in c.changes})
    assert (xds.CLUSTER_LOAD_ASSIGNMENT, "c") in {(r.type_url, r.name) for r in first.changes}
    assert len(peer.requests) <= MAX_REQUESTS


async def test_a_route_that_comes_before_its_cluster_arrives_after_it(peer, settled):
    follower = await settled()
    await peer.set(xds.ROUTE_CONFIGURATION, routes("r", "c"))
    await peer.set(xds.CLUSTER, *STATE[:2], cluster("c"))
    await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, *STATE[2:4], endpoints("c"))
    await follower.until(lambda: follower.image == peer.image())
    assert not follower.removed()
    assert len(peer.requests) <= MAX_REQUESTS


# Content


@pytest.mark.parametrize("type_url", TYPES)
async def test_names_that_come_twice_are_rejected_and_the_last_good_ones_stay(peer, settled, type_url):
    follower = await settled()
    before = dict(follower.image)
    peer.misbehaviour.doubles.add(type_url)
    await peer.bump(type_url)
    await peer.until(lambda: peer.nacks(type_url))
    assert "is in the response 2 times" in peer.nacks(type_url)[0].error_detail.message
    await peer.until_quiet()
    assert follower.image == before
    await recover(peer, follower)


@pytest.mark.parametrize("type_url", TYPES)
async def test_garbage_in_a_response_is_rejected_and_what_is_good_in_it_is_taken(peer, settled, type_url):
    peer.misbehaviour.garbles.add(type_url)
    follower = await settled()
    assert peer.nacks(type_url)
    assert all(not peer.nacks(other) for other in TYPES if other != type_url)
    await recover(peer, follower)
    assert not follower.removed()


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"<html>not found</html>"])
async def test_bytes_that_are_no_response_end_the_stream_and_nothing_else(peer, settled, body):
    follower = await settled()
    await peer.write(body)
    await peer.until(lambda: len(peer.metadata) == 2)
    await recover(peer, follower)
    assert "Response" in follower.told()[0]
    assert not follower.removed()
    assert len(peer.metadata) == 2


async def test_an_empty_message_is_a_type_nobody_asked_for(peer, settled):
    follower = await settled()
    await peer.write(b"")
    await recover(peer, follower)
    assert len(peer.metadata) == 1


async def test_a_type_that_was_never_asked_for_is_ignored_and_told_once(peer, settled):
    follower = await settled()
    count_before = len(peer.requests)
    for _ in range(3):
        await peer.say("type.googleapis.com/istio.networking.nds.v1.NameTable")
    await follower.until(lambda: follower.problems)
    await peer.until_quiet()
    assert len(peer.requests) == count_before  # a NACK of such a type has brought istiod down
    assert len(follower.problems) == 1
    await recover(peer, follower)


async def test_a_version_that_changes_without_content_is_accepted_and_not_delivered(peer, settled):
    follower = await settled()
    for type_url in TYPES * 3:
        await peer.bump(type_url)
    await peer.until(lambda: all(len(peer.acks(type_url)) == 4 for type_url in TYPES))
    assert not follower.moved()
    await recover(peer, follower)


@pytest.mark.parametrize("type_url", NAMED_TYPES)
async def test_an_empty_answer_about_names_takes_nothing_away(peer, settled, type_url):
    follower = await settled()
    await peer.say(type_url)
    await peer.until(lambda: len(peer.acks(type_url)) == 2)
    assert not follower.moved()
    await recover(peer, follower)


@pytest.mark.parametrize("type_url", TYPES)
async def test_the_removal_of_names_that_nobody_knows_is_no_change(peer, settled, type_url):
    follower = await settled()
    peer.misbehaviour.removes = ["nobody", "*", ""]
    await peer.bump(type_url)
    await peer.until_quiet()
    assert not peer.nacks(type_url)
    assert not follower.moved()
    await recover(peer, follower)


async def test_resources_that_were_not_asked_for_are_ignored(peer, settled, attach_peer):
    peer.misbehaviour.sends_everything = True
    follower = await settled()
    for message in (endpoints("z"), routes("z"), secret("z")):
        await peer.say(xds.type_url_of(message), message)
    await peer.until_quiet()
    assert not follower.moved()
    await recover(peer, follower)


async def test_a_server_that_resends_what_was_rejected_is_held_to_the_rate(peer, settled):
    follower = await settled(timing=RATED)
    before = dict(follower.image)
    peer.misbehaviour.resends_on_nack = True
    peer.misbehaviour.doubles = {xds.CLUSTER, xds.LISTENER}
    begin = time.monotonic()
    await peer.bump(xds.CLUSTER)
    await peer.bump(xds.LISTENER)
    await peer.until(lambda: len(peer.nacks(xds.LISTENER)) >= 5)
    intervals = 1 + (time.monotonic() - begin) * 1000 / RATED.nack_interval_ms
    assert len(peer.nacks(xds.LISTENER)) <= intervals
    assert len(peer.nacks(xds.CLUSTER)) <= intervals
    assert len(follower.problems) == 2  # one for each type, however often it comes
    assert follower.image == before
    await recover(peer, follower)


async def test_bad_resources_that_are_the_first_thing_heard_hold_back_only_themselves(peer, attach_peer):
    good = dict(peer.resources)
    await peer.set(xds.CLUSTER, cluster("a"), bad_cluster("b"))
    await peer.set(xds.LISTENER, bad_listener("k"), *good[xds.LISTENER].values())
    follower = attach_peer()
    await follower.until(lambda: follower.names["Listener"] == 1)
    await peer.until(lambda: peer.nacks(xds.CLUSTER) and peer.nacks(xds.LISTENER))
    assert {name for type_url, name in follower.image if type_url == xds.CLUSTER} == {"a"}
    await recover(peer, follower)


# Size


async def test_a_response_of_megabytes_is_taken_whole(peer, settled):
    follower = await settled()
    await peer.set(xds.SECRET, secret("s", content="x" * 9_000_000))
    await follower.until(lambda: follower.image == peer.image())
    await recover(peer, follower)


async def test_ten_thousand_resources_in_one_response_are_taken_whole(peer, settled):
    follower = await settled()
    many = [cluster(f"static-{number}", is_eds=False) for number in range(10_000)]
    await peer.set(xds.CLUSTER, *STATE[:2], *many)
    await follower.until(lambda: len(follower.image) > 10_000)
    await recover(peer, follower)
    assert follower.names["Cluster"] == 2


# Silence


@pytest.mark.parametrize("type_url", NAMED_TYPES)
async def test_a_type_that_stays_silent_holds_up_nothing_that_can_do_without_it(peer, attach_peer, type_url):
    peer.misbehaviour.silent.add(type_url)
    follower = attach_peer()
    await follower.until(lambda: follower.changes)
    await follower.until(lambda: any("no answer within 0.3 s" in told for told in follower.told()))
    assert follower.names.total() == len(STATE) - len(peer.resources[type_url])
    assert type_url not in {key[0] for key in follower.image}
    assert all(type_url not in covers for changes in follower.changes[:1] if (covers := changes.covers) is not None)
    await recover(peer, follower)


@pytest.mark.parametrize("type_url", [xds.CLUSTER, xds.LISTENER])
async def test_while_clusters_or_listeners_as_such_are_unheard_of_nothing_is_known(peer, attach_peer, type_url):
    peer.misbehaviour.silent.add(type_url)
    follower = attach_peer()
    await follower.until(lambda: any("no answer within 0.3 s for *" in told for told in follower.told()))
    await peer.until_quiet()
    assert not follower.changes
    await recover(peer, follower)


async def test_a_server_that_says_nothing_at_all_takes_nothing_away(peer, settled):
    follower = await settled()
    peer.misbehaviour.silent.update(TYPES)
    peer.kick()
    await peer.until(lambda: len(peer.metadata) == 2)
    await peer.until_quiet(0.5)
    assert not follower.removed()
    await recover(peer, follower)
    assert len(peer.metadata) == 2


async def test_a_half_open_connection_is_given_up_and_nothing_is_lost(peer, settled):
    async with HalfOpen(peer.port) as between:
        follower = await settled(between.address, keepalive_ms=1_000)
        between.hold()
        await follower.until(lambda: follower.problems)
        between.release()
        await peer.until(lambda: len(peer.metadata) >= 2)
        await recover(peer, follower)
        assert not follower.removed()


async def test_a_stream_that_hangs_behind_live_pings_is_given_up_by_its_silence(peer, settled):
    follower = await settled(lifetime=Lifetime(max_silence_s=0.8))
    peer.misbehaviour.silent.update(TYPES)
    await follower.until(lambda: any("nothing was heard" in told for told in follower.told()))
    await recover(peer, follower)
    assert not follower.removed()
