from __future__ import annotations

from itertools import count

import pytest

from producers.xds.channel import Server
from producers.xds.node import build_node
from producers.xds.transport import ADSSource
from producers.xds.variant import VARIANTS
from schemas import xds
from tests.peers.ads import ADSPeer
from tests.peers.go_control_plane import GoNode
from tests.producers.xds.follower import FAST, Follower
from tests.producers.xds.state import STATE, TYPES

NODE_NUMBERS = count(1)


@pytest.fixture
async def follow():
    followers = []

    def start(servers, *, node_id="node", variant="sotw", timing=FAST, lifetime=None, jitter=lambda: 0.05, **how):
        if isinstance(servers, str):
            servers = Server(servers, **how)
        node = build_node(node_id, "1.0")
        source = ADSSource(servers, node, variant=variant, timing=timing, lifetime=lifetime, jitter=jitter)
        followers.append(Follower(source))
        return followers[-1]

    yield start
    for follower in followers:
        await follower.stop()


@pytest.fixture(params=sorted(VARIANTS))
def variant(request):
    return request.param


@pytest.fixture
def node(go_control_plane):
    """A node id of its own at go-control-plane."""
    return GoNode(go_control_plane, f"node-{next(NODE_NUMBERS)}")


@pytest.fixture
def attach(variant, go_control_plane, node, follow):
    """Follow the node over one of the variants; gives the follower."""

    def start(port="steady", **how):
        return follow(go_control_plane.ports[port], node_id=node.node_id, variant=variant, **how)

    return start


@pytest.fixture
async def peer():
    running = ADSPeer()
    for type_url in TYPES:
        await running.set(type_url, *(message for message in STATE if xds.type_url_of(message) == type_url))
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def attach_peer(variant, peer, follow):
    """Follow the peer, or what stands before it, over one of the variants."""

    def start(address="", **how):
        return follow(address or peer.address, variant=variant, **how)

    return start


@pytest.fixture
def settled(attach_peer, peer):
    """Follow the peer until everything is there; gives the follower."""

    async def start(address="", **how):
        follower = attach_peer(address, **how)
        await follower.until(lambda: follower.image == peer.image())
        await peer.until_quiet(0.1)
        return follower

    return start
