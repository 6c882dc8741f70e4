from __future__ import annotations

import pytest

from producers.xds.channel import Server
from producers.xds.node import build_node
from producers.xds.transport import ADSSource
from tests.producers.xds.follower import FAST, Follower


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
