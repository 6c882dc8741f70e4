"""Against the caches of go-control-plane: what its server sees of us, and what we take from it."""

from __future__ import annotations

import asyncio

import pytest

from producers.xds.session import Timing
from schemas import xds
from tests.producers.xds.dialogue import (
    CORS,
    bad_listener,
    cluster,
    discovered_filter,
    discovering_listener,
    endpoints,
    listener,
    routes,
    scope,
    scoped_listener,
)
from tests.producers.xds.state import SMALLER, STATE, WHOLE, WITHOUT_SECRET


async def test_a_snapshot_is_fetched_whole_and_every_response_accepted(node, attach):
    await node.snapshot("1", *STATE)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    await node.until(lambda: all(node.acks(xds.type_url_of(message)) for message in STATE))
    assert not follower.problems
    assert not [entry for entry in node.journal if "error" in entry]


async def test_a_change_arrives_alone(node, attach):
    await node.snapshot("1", *STATE)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    count_before = len(follower.changes)
    await node.snapshot("2", *STATE[:2], endpoints("a", 81), *STATE[3:])
    await follower.until(lambda: len(follower.changes) > count_before)
    assert [change.name for change in follower.changes[-1].changes] == ["a"]


async def test_a_version_without_content_is_accepted_and_not_delivered(node, attach):
    await node.snapshot("1", *STATE)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    await node.snapshot("2", *STATE[:2], endpoints("a", 81), *STATE[3:])
    await node.snapshot("3", *STATE[:2], endpoints("a", 82), *STATE[3:])
    await follower.until(lambda: str(82) in str(follower.image[xds.CLUSTER_LOAD_ASSIGNMENT, "a"]))
    changed = [change.name for changes in follower.changes[1:] for change in changes.changes]
    assert set(changed) <= {"a"}


async def test_a_shrunken_snapshot_removes_what_is_gone(node, attach):
    await node.snapshot("1", *STATE)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    await node.snapshot("2", *SMALLER)
    await follower.until(lambda: follower.names == {**WHOLE, "Cluster": 1, "ClusterLoadAssignment": 1})


async def test_the_server_sees_why_a_resource_is_rejected_and_its_correction_is_taken(node, attach):
    await node.snapshot("1", *STATE)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    good = follower.image[xds.LISTENER, "l"]
    await node.snapshot("2", *STATE[:4], bad_listener("l"), *STATE[5:])
    await node.until(lambda: node.nacks(xds.LISTENER))
    assert node.nacks(xds.LISTENER)[0] == "l: address is missing"
    assert follower.image[xds.LISTENER, "l"] == good
    await node.snapshot("3", *STATE[:4], listener("l", "r", secret="s", port=81), *STATE[5:])
    await follower.until(lambda: follower.image[xds.LISTENER, "l"] != good)
    await node.until(lambda: "error" not in node.of("request", xds.LISTENER)[-1])


async def test_bytes_that_are_no_resource_are_rejected_and_nothing_is_lost(node, attach):
    await node.snapshot("1", *STATE)
    await node.garble(xds.CLUSTER)
    follower = attach()
    await node.until(lambda: node.nacks(xds.CLUSTER))
    await node.garble("")
    await node.snapshot("2", *STATE)
    await follower.until(lambda: follower.names == WHOLE)


async def test_the_resends_after_a_nack_are_held_to_our_rate(node, attach, variant):
    """State of the world: a NACK is answered at once with the same again (control-planes.md section 2.2).

    In delta the cache takes what it has sent for received, whatever the answer: one NACK for one bad content.
    """
    await node.snapshot("1", *STATE)
    interval_ms = 200
    follower = attach(timing=Timing(existence_ms=300, confirmation_ms=300, nack_interval_ms=interval_ms))
    await follower.until(lambda: follower.names == WHOLE)
    begin = asyncio.get_running_loop().time()
    await node.snapshot("2", *STATE[:4], bad_listener("l"), *STATE[5:])
    await node.until(lambda: node.nacks(xds.LISTENER))
    if variant == "sotw":
        await node.until(lambda: len(node.nacks(xds.LISTENER)) >= 2)
    await node.snapshot("3", *STATE[:4], listener("l", "r", secret="s", port=81), *STATE[5:])
    await node.until(lambda: "error" not in node.of("request", xds.LISTENER)[-1])
    elapsed_ms = (asyncio.get_running_loop().time() - begin) * 1000
    count = len(node.nacks(xds.LISTENER))
    assert count == 1 if variant == "delta" else count <= elapsed_ms / interval_ms + 1


@pytest.mark.parametrize("code", ["14", "8", "0", "reset"])
async def test_a_kicked_stream_is_opened_again_and_gives_nothing_twice(node, attach, code):
    await node.snapshot("1", *STATE)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    await node.kick(code)
    await node.until(lambda: len(node.of("open")) == 2)
    await node.snapshot("2", *STATE[:2], endpoints("a", 81), *STATE[3:])
    await follower.until(lambda: len(follower.changes) > 1)
    changed = {change.name for changes in follower.changes[1:] for change in changes.changes}
    assert changed == {"a"}
    assert follower.names == WHOLE


async def test_a_goaway_is_followed_by_a_new_stream_without_a_problem_or_a_wait(node, attach):
    await node.snapshot("1", *STATE)
    waits = []
    follower = attach("aging", jitter=lambda: waits.append(1) or 0.0)
    await node.until(lambda: len(node.of("open")) == 2)
    assert follower.names == WHOLE
    assert not follower.moved()
    assert not follower.problems
    assert not waits


async def test_pings_that_the_server_finds_too_frequent_become_rarer(node, attach):
    await node.snapshot("1", *STATE)
    follower = attach(keepalive_ms=1_000)
    await follower.until(lambda: follower.source.server.keepalive_ms > 1_000)
    assert "too_many_pings" in follower.told()[0]


async def test_linear_caches_answer_piece_by_piece(node, attach):
    for message in STATE:
        alike = [other for other in STATE if xds.type_url_of(other) == xds.type_url_of(message)]
        await node.linear(xds.type_url_of(message), *alike)
    follower = attach()
    await follower.until(lambda: follower.names == WHOLE)
    await node.linear(xds.CLUSTER_LOAD_ASSIGNMENT, endpoints("a", 81), endpoints("b"))
    await follower.until(lambda: "81" in str(follower.image[xds.CLUSTER_LOAD_ASSIGNMENT, "a"]))
    await node.linear(xds.CLUSTER, cluster("a"))
    await follower.until(lambda: follower.names["Cluster"] == 1)


async def test_a_discovered_filter_comes_in_its_listener(node, attach):
    await node.snapshot("1", *STATE[:4], discovering_listener("l", "f"), routes("r"), discovered_filter("f"))
    follower = attach()
    await follower.until(lambda: follower.names == WITHOUT_SECRET)
    manager = xds.unpack(follower.image[xds.LISTENER, "l"].filter_chains[0].filters[0].typed_config)
    assert manager.http_filters[0].typed_config.type_url == CORS["@type"]


async def test_scopes_and_their_routes_come_and_go(node, attach):
    scopes = (scope("s1", "r"), scope("s2", "q"))
    await node.snapshot("1", *STATE[:4], scoped_listener("l"), *scopes, routes("r"), routes("q"))
    follower = attach()
    whole = WITHOUT_SECRET | {"ScopedRouteConfiguration": 2, "RouteConfiguration": 2}
    await follower.until(lambda: follower.names == whole)
    await node.snapshot("2", *STATE[:4], scoped_listener("l"), scope("s1", "r"), routes("r"))
    await follower.until(lambda: follower.names == {**whole, "ScopedRouteConfiguration": 1, "RouteConfiguration": 1})


@pytest.mark.parametrize("lives", [("a", "b"), ("a",)], ids=["all", "some"])
async def test_heartbeats_renew_and_change_nothing(node, go_control_plane, follow, lives):
    """Only the state of the world has them here; they name what has a TTL and are silent about the rest."""
    await node.snapshot("1", *STATE, ttl_ms=dict.fromkeys(lives, 60_000), beats=True)
    follower = follow(go_control_plane.ports["steady"], node_id=node.node_id, variant="sotw")
    await follower.until(lambda: follower.names == WHOLE)
    await node.until(lambda: len(node.of("response", xds.CLUSTER)) >= 4)
    await node.until(lambda: len(node.acks(xds.CLUSTER)) >= 3)
    assert len(follower.changes) == 1
    assert follower.names == WHOLE
    assert not follower.problems


async def test_what_nobody_renews_is_dropped_and_taken_again_when_it_comes(node, go_control_plane, follow):
    await node.snapshot("1", *STATE, ttl_ms={"a": 1_000})
    follower = follow(go_control_plane.ports["steady"], node_id=node.node_id, variant="sotw")
    await follower.until(lambda: follower.names == WHOLE)
    await follower.until(lambda: follower.names == {**WHOLE, "Cluster": 1, "ClusterLoadAssignment": 1})
    await node.snapshot("2", *STATE)
    await follower.until(lambda: follower.names == WHOLE)
