"""Control planes whose streams and processes come and go, over real gRPC and in both variants."""

from __future__ import annotations

import grpc
import pytest

from producers.xds.session import Timing
from schemas import xds
from tests.peers.half_open import HalfOpen
from tests.producers.xds.dialogue import cluster, endpoints, routes, secret
from tests.producers.xds.recovery import MAX_REQUESTS, recover
from tests.producers.xds.state import STATE, TYPES

CODES = [grpc.StatusCode[name] for name in ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")]
SLOW = Timing(existence_ms=300, confirmation_ms=60_000, nack_interval_ms=50)
"""What is in doubt stays in doubt while a test runs."""


# Ends


@pytest.mark.parametrize("count_bytes", [0, 1, 9, 100_000, 4_999_000])
async def test_a_reset_in_the_middle_of_a_response_loses_nothing(peer, settled, count_bytes):
    async with HalfOpen(peer.port) as between:
        follower = await settled(between.address)
        between.reset_after(count_bytes)
        await peer.set(xds.SECRET, secret("s", content="x" * 5_000_000))
        await follower.until(lambda: follower.image == peer.image())
        assert follower.moved() == [(xds.SECRET, "s")]
        await recover(peer, follower)


async def test_a_server_that_ends_every_stream_after_one_response_is_not_hurried_to(peer, settled):
    delays = []
    follower = await settled(jitter=lambda: delays.append(1) or 0.05)
    peer.misbehaviour.shuts_after = 1
    peer.kick()
    await peer.until(lambda: len(peer.metadata) >= 6)
    assert len(delays) >= 5  # one wait before each stream
    assert not follower.removed()
    await recover(peer, follower)


@pytest.mark.parametrize("code", CODES)
async def test_whatever_status_a_stream_ends_with_another_is_opened(peer, settled, code):
    follower = await settled()
    peer.kick(code, "because\nof that")
    await peer.until(lambda: len(peer.metadata) == 2)
    await recover(peer, follower)
    assert not follower.removed()
    assert all("\n" not in told for told in follower.told())
    assert len(peer.metadata) == 2


# Restarts and replicas


async def test_an_empty_state_after_a_restart_is_no_removal_until_it_is_confirmed(peer, settled):
    follower = await settled(timing=SLOW)
    await peer.stop()
    full = {type_url: list(held.values()) for type_url, held in peer.resources.items()}
    for type_url in TYPES:
        await peer.set(type_url)
    await peer.start()
    await follower.until(lambda: any("they stay until that is confirmed" in told for told in follower.told()))
    await peer.until_quiet()
    assert not follower.moved()
    for type_url in TYPES:
        await peer.set(type_url, *full[type_url])
    await recover(peer, follower)
    assert not follower.removed()


async def test_an_empty_state_that_is_confirmed_is_a_removal(peer, settled):
    follower = await settled()
    await peer.stop()
    for type_url in TYPES:
        await peer.set(type_url)
    await peer.start()
    await follower.until(lambda: not follower.image)
    await recover(peer, follower)


async def test_what_went_during_a_disconnect_goes_once_that_is_confirmed(peer, settled):
    follower = await settled()
    await peer.stop()
    await peer.set(xds.CLUSTER, cluster("a"))
    await peer.start()
    await follower.until(lambda: follower.names["Cluster"] == 1)
    await recover(peer, follower)


async def test_a_server_that_ignores_what_is_held_never_says_what_is_gone_and_it_goes_all_the_same(peer, settled):
    """What the Java control plane does in delta (control-planes.md section 6)."""
    follower = await settled()
    peer.misbehaviour.ignores_versions = True
    await peer.stop()
    await peer.set(xds.CLUSTER, cluster("a"))
    await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, endpoints("a"))
    await peer.start()
    await follower.until(lambda: follower.image == peer.image())
    assert {name for _, name in follower.removed()} == {"b"}
    assert {xds.type_url_of(body) for body in follower.image.values()} == set(TYPES)
    await recover(peer, follower)


async def test_a_replica_that_lacks_something_does_not_make_it_flap(peer, settled):
    follower = await settled(timing=SLOW)
    less = {**peer.resources, xds.CLUSTER: {"a": STATE[0]}, xds.CLUSTER_LOAD_ASSIGNMENT: {"a": STATE[2]}}
    peer.replicas = [peer.resources, less]
    for number in range(2, 8):
        peer.kick()
        await peer.until(lambda: len(peer.metadata) == number)  # noqa: B023 - waited for at once
        await peer.until_quiet(0.2)
    assert not follower.moved()
    assert not follower.removed()
    assert len(peer.requests) <= 7 * MAX_REQUESTS
    peer.requests.clear()
    peer.replicas = []
    peer.kick()
    await peer.until(lambda: len(peer.metadata) == 8)
    await recover(peer, follower)


async def test_a_replica_with_other_content_is_followed_and_takes_nothing_away(peer, settled):
    """Which of two is right cannot be seen here; that a view does not change to and fro is the guard's business."""
    follower = await settled()
    other = {**peer.resources, xds.ROUTE_CONFIGURATION: {"r": routes("r", "b")}}
    peer.replicas = [peer.resources, other]
    for number in range(2, 6):
        peer.kick()
        table = peer.replicas[(number - 1) % 2]
        wanted = table[xds.ROUTE_CONFIGURATION]["r"]
        await follower.until(lambda: follower.image[xds.ROUTE_CONFIGURATION, "r"] == wanted)  # noqa: B023 - at once
        await peer.until_quiet(0.2)
    assert not follower.removed()
    assert follower.moved() == [(xds.ROUTE_CONFIGURATION, "r")] * 4
