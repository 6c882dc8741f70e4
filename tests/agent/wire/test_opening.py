from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from agent.etcd.json_codec import Identity
from agent.store.store import Store
from agent.wire.front import VERSION, Front, Readiness
from agent.wire.http1 import MAX_QUIET_BEATS, HTTPConnection
from agent.wire.http2 import GRPCConnection
from agent.wire.opening import PREFACE, Opening
from tests.agent.wire.recorded_transport import RecordedTransport

if TYPE_CHECKING:
    import asyncio

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


class Switching(RecordedTransport):
    """Remembers who speaks now."""

    protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


@pytest.fixture
def front() -> Front:
    return Front(Store(), Identity(1, 2), lambda: Readiness(is_ready=False, reason="no state yet"))


@pytest.fixture
def transport() -> Switching:
    return Switching()


@pytest.fixture
def opening(front: Front, transport: Switching) -> Opening:
    made = Opening(front)
    made.connection_made(transport)
    return made


@pytest.mark.parametrize("cut", [1, 3, 4, 10])
async def test_http_1_wherever_it_is_cut(front: Front, opening: Opening, transport: Switching, cut: int):
    request = b"GET /version HTTP/1.1\r\n\r\n"
    opening.data_received(request[:cut])
    assert isinstance(transport.protocol, HTTPConnection)
    transport.protocol.data_received(request[cut:])
    assert transport.take().endswith(VERSION)
    assert len(front.wheel) == 1


@pytest.mark.parametrize("cut", [1, 3])
async def test_a_method_that_begins_as_the_preface_does(opening: Opening, transport: Switching, cut: int):
    request = b"PROPFIND /version HTTP/1.1\r\n\r\n"
    for data in (request[:cut], request[cut:]):
        (transport.protocol or opening).data_received(data)  # type: ignore[attr-defined]  # both are protocols
    assert isinstance(transport.protocol, HTTPConnection)
    assert transport.take().startswith(b"HTTP/1.1 405")


@pytest.mark.parametrize("cut", [1, 3, 4, 20, 24])
async def test_http_2_wherever_it_is_cut(front: Front, opening: Opening, transport: Switching, cut: int):
    data = PREFACE + SETTINGS
    opening.data_received(data[:cut])
    (transport.protocol or opening).data_received(data[cut:])  # type: ignore[attr-defined]  # both are protocols
    assert isinstance(transport.protocol, GRPCConnection)
    assert transport.take()[3:4] == b"\x04"
    assert len(front.wheel) == 1
    transport.protocol.connection_lost(None)
    assert len(front.wheel) == 0


async def test_one_that_says_nothing_is_closed(front: Front, opening: Opening, transport: Switching):
    opening.data_received(b"PR")
    for _ in range(MAX_QUIET_BEATS):
        assert not transport.is_aborted
        opening.beat()
    assert transport.is_aborted
    opening.connection_lost(None)
    assert len(front.wheel) == 0


def test_an_agent_without_http_2_loads_none_of_it():
    code = (
        "import sys, agent.server;"
        "print(sorted(name for name in ('google.protobuf', 'grpclib', 'h2', 'schemas.etcd') if name in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout == "[]\n"
