from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.fixture import client, port, shop
from tests.peers.real_etcd import RealEtcd, find_etcd

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["client", "port", "shop"]


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEtcd]:
    """The system's etcd for the whole session; a test that writes sets its tree first."""
    running = RealEtcd(tmp_path_factory.mktemp("etcd"), [find_etcd()])
    yield running
    running.stop()
