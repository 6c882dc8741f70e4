"""Fixtures that tests of several parts share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.kafka.broker import find_broker
from tests.peers.go_control_plane import GoControlPlane, build_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kafka.broker import Broker

# The same examples on every run and machine; how long one takes depends on what else the machine does.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker for the whole session; a test that stops it starts it again."""
    broker = find_broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def go_control_plane() -> Iterator[GoControlPlane]:
    """A server on the caches of go-control-plane for the whole session; each test has a node id of its own there."""
    build_program()
    running = GoControlPlane()
    yield running
    running.stop()
