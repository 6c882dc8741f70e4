"""What follows every misbehaviour of a control plane in the tests."""

from __future__ import annotations

from schemas import xds
from tests.peers.misbehaviour import Misbehaviour
from tests.producers.xds.dialogue import cluster, endpoints, listener, routes, secret

MAX_REQUESTS = 60
"""A first sync takes 10 requests in either variant; a hot loop sends hundreds while a test runs."""


async def recover(peer, follower):
    """Behave again and change something of every type; that has to arrive, and silence has to follow."""
    peer.misbehaviour = Misbehaviour()
    await peer.set(xds.SECRET, secret("s", content="u"))
    await peer.set(xds.ROUTE_CONFIGURATION, routes("r", "b"))
    await peer.set(xds.LISTENER, listener("l", "r", secret="s", port=81))
    await peer.set(xds.CLUSTER_LOAD_ASSIGNMENT, endpoints("a", 81), endpoints("b", 81))
    await peer.set(xds.CLUSTER, cluster("a", timeout="2s"), cluster("b", timeout="2s"))
    await follower.until(lambda: follower.image == peer.image())
    await peer.until_quiet()
    assert len(peer.requests) <= MAX_REQUESTS
