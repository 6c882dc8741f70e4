from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import tls as tls_module
from agent.wire.certificate import TLSContext
from agent.wire.tls import TLSConnection
from tests.agent.wire.recorded_transport import RecordedTransport
from tests.conformance.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable


class Echo(asyncio.Protocol):
    """Gives back what it gets, and remembers what became of it."""

    def __init__(self) -> None:
        self.got = b""
        self.told: list[str] = []
        self.transport: asyncio.Transport
        self.on_data: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.on_data()
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.told.append("lost")

    def pause_writing(self) -> None:
        self.told.append("paused")

    def resume_writing(self) -> None:
        self.told.append("resumed")


class Bed:
    """A connection, and a client whose bytes the test carries."""

    def __init__(self, context: TLSContext, client: ssl.SSLContext) -> None:
        self.echo = Echo()
        self.connection, self.transport = TLSConnection(context, lambda: self.echo), RecordedTransport()
        self.connection.connection_made(self.transport)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")

    def carry(self, cuts: list[int] | None = None) -> None:
        """Take the client's bytes to the server, in pieces, and the answer back."""
        data = self.outgoing.read()
        for size in cuts or []:
            if data:
                self.connection.data_received(data[:size])
                data = data[size:]
        if data:
            self.connection.data_received(data)
        self.incoming.write(self.transport.take())

    def shake(self, cuts: list[int] | None = None) -> None:
        for _ in range(4):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                self.carry(cuts)
            else:
                break
        self.carry(cuts)
        assert self.client.version()

    def read(self) -> bytes:
        found = b""
        try:
            while data := self.client.read():
                found += data
        except ssl.SSLWantReadError:
            pass
        return found


@pytest.fixture(scope="module")
def contexts(tmp_path_factory) -> tuple[TLSContext, ssl.SSLContext]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    return TLSContext(authority.issue("agent")), authority.client()


@pytest.fixture
async def bed(contexts) -> Bed:
    return Bed(*contexts)


@given(st.lists(st.integers(1, 600), max_size=30))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_may_be_cut_anywhere(contexts, cuts: list[int]):
    async def talk() -> None:
        bed = Bed(*contexts)
        bed.shake(cuts)
        bed.client.write(b"hello" * 100)
        bed.carry(cuts)
        assert bed.echo.got == bed.read() == b"hello" * 100

    asyncio.run(talk())


async def test_what_follows_the_handshake_at_once_is_not_lost(bed: Bed):
    with pytest.raises(ssl.SSLWantReadError):
        bed.client.do_handshake()
    bed.carry()
    bed.client.do_handshake()
    bed.client.write(b"early")
    bed.carry()
    assert bed.read() == b"early"


async def test_large_answers_are_sent_whole(bed: Bed):
    bed.shake()
    bed.echo.transport.writelines([b"x" * 1_000_000, b"", b"y" * 10])
    bed.carry()
    assert bed.read() == b"x" * 1_000_000 + b"y" * 10


async def test_a_protocol_that_pauses_gets_nothing_until_it_wants_more(bed: Bed):
    bed.shake()
    bed.echo.on_data = bed.echo.transport.pause_reading
    bed.client.write(b"1" * 16_384)
    bed.client.write(b"2" * 100)
    bed.carry()
    assert bed.echo.got == b"1" * 16_384
    assert not bed.transport.is_reading_now
    bed.echo.transport.resume_reading()
    assert bed.transport.is_reading_now
    assert bed.echo.got == b"1" * 16_384
    await asyncio.sleep(0)
    assert bed.echo.got == b"1" * 16_384 + b"2" * 100


async def test_a_protocol_may_ask_for_more_while_it_is_given_some(bed: Bed):
    bed.shake()
    bed.echo.on_data = lambda: (bed.echo.transport.pause_reading(), bed.echo.transport.resume_reading())
    bed.client.write(b"1" * 16_384)
    bed.client.write(b"2" * 100)
    bed.carry()
    await asyncio.sleep(0)
    assert bed.echo.got == b"1" * 16_384 + b"2" * 100


async def test_both_sides_end_in_good_order(bed: Bed):
    bed.shake()
    bed.echo.transport.write(b"last")
    bed.echo.transport.close()
    assert bed.transport.is_closed
    assert not bed.transport.is_aborted
    bed.echo.transport.write(b"too late")
    bed.echo.transport.close()
    bed.carry()
    assert bed.read() == b"last"
    assert bed.client.read() == b""


async def test_a_client_that_says_it_ends_is_answered_in_kind(bed: Bed):
    bed.shake()
    with pytest.raises(ssl.SSLWantReadError):
        bed.client.unwrap()
    bed.carry()
    assert bed.transport.is_closed
    assert not bed.transport.is_aborted
    bed.client.unwrap()


async def test_broken_records_end_the_connection(bed: Bed):
    bed.shake()
    bed.connection.data_received(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert bed.transport.is_aborted
    bed.connection.data_received(b"more")
    assert bed.echo.got == b""


async def test_a_broken_handshake_is_told_to_the_client_and_in_the_log(bed: Bed, caplog):
    bed.connection.data_received(b"\x16\x03\x01\x00\x04junk")
    assert bed.transport.take()[:1] == b"\x15"
    assert bed.transport.is_closed
    assert "agent: TLS with unknown failed: " in caplog.text


async def test_plain_bytes_get_a_plain_answer(bed: Bed):
    bed.connection.data_received(b"GET /version HTTP/1.1\r\n\r\n")
    answer = bed.transport.take()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"this port speaks TLS: use https://\n")
    assert bed.transport.is_closed


async def test_who_says_nothing_is_closed(contexts, monkeypatch):
    monkeypatch.setattr(tls_module, "MAX_HANDSHAKE_S", 0.01)
    aborted = asyncio.Event()
    monkeypatch.setattr(RecordedTransport, "abort", lambda _: aborted.set())
    bed = Bed(*contexts)
    await asyncio.wait_for(aborted.wait(), 5)
    bed.connection.pause_writing()
    bed.connection.resume_writing()
    bed.connection.connection_lost(None)
    assert bed.echo.told == []


async def test_who_has_shaken_hands_may_be_silent(contexts, monkeypatch):
    monkeypatch.setattr(tls_module, "MAX_HANDSHAKE_S", 0.01)
    bed = Bed(*contexts)
    bed.shake()
    await asyncio.sleep(0.03)
    assert not bed.transport.is_aborted


async def test_the_protocol_hears_of_the_socket(bed: Bed):
    bed.shake()
    bed.connection.pause_writing()
    bed.connection.resume_writing()
    bed.connection.eof_received()
    bed.connection.connection_lost(None)
    assert bed.echo.told == ["paused", "resumed", "lost"]
    bed.echo.transport.write(b"nobody hears it")
    bed.echo.transport.close()
    bed.echo.transport.resume_reading()
    assert bed.transport.take() == b""


async def test_another_protocol_may_go_on(bed: Bed):
    bed.shake()
    other = Echo()
    assert bed.echo.transport.get_protocol() is bed.echo
    bed.echo.transport.set_protocol(other)
    other.connection_made(bed.echo.transport)
    bed.client.write(b"over")
    bed.carry()
    assert (bed.echo.got, other.got, bed.read()) == (b"", b"over", b"over")


async def test_the_rest_is_the_sockets(bed: Bed):
    bed.shake()
    transport = bed.echo.transport
    bed.transport._extra["peername"] = ("192.0.2.1", 1)  # type: ignore[attr-defined]  # where asyncio keeps it
    assert transport.get_extra_info("peername") == ("192.0.2.1", 1)
    assert transport.get_extra_info("nothing", 3) == 3
    bed.transport.get_write_buffer_size = lambda: 7  # type: ignore[method-assign]  # a recorded transport has none
    assert transport.get_write_buffer_size() == 7
    transport.abort()
    assert transport.is_closing()
    assert bed.transport.is_aborted


@given(st.binary(max_size=200), st.lists(st.integers(1, 100), max_size=5))
@settings(max_examples=200, deadline=None)
def test_hostile_handshakes_end_or_wait_and_nothing_else(contexts, data: bytes, cuts: list[int]):
    async def talk() -> None:
        bed = Bed(*contexts)
        bed.outgoing.write(b"\x16\x03\x01\x00" + data)
        bed.carry(cuts)
        assert not bed.echo.told
        assert not bed.echo.got
        assert bed.transport.is_closed or bed.connection.protocol is None

    asyncio.run(talk())


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_record_that_was_changed_on_its_way_reaches_nobody(contexts, place: int, change: int):
    async def talk() -> None:
        bed = Bed(*contexts)
        bed.shake()
        bed.client.write(b"hello" * 10)
        sealed = bytearray(bed.outgoing.read())
        sealed[place % len(sealed)] ^= change
        bed.connection.data_received(bytes(sealed))
        assert bed.echo.got == b""

    asyncio.run(talk())
