"""The contract with grpclib, whose classes are private: a release that breaks it fails here and nowhere else.

An h2 client speaks to the protocol through a recorded transport, so that every frame is seen.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from agent.etcd.auth import Auth, Clock, User
from agent.grpc.message import frame
from agent.wire.front import Front, Readiness
from agent.wire.grpc_call import MAX_MESSAGE_BYTES, MAX_WATCHES
from agent.wire.http1 import MAX_QUIET_BEATS
from agent.wire.http2 import MAX_DEAF_BEATS, MAX_FRAME_BYTES, MAX_STREAMS, GRPCConnection, connection
from schemas.etcd import message_class
from tests.agent.grpc.recorded_outlet import IDENTITY, ready_member, split_frames
from tests.agent.memory_log import bundle
from tests.agent.wire.recorded_transport import RecordedTransport

RANGE, WATCH = "/etcdserverpb.KV/Range", "/etcdserverpb.Watch/Watch"
ROUTE = message_class("RangeRequest")(key=b"/apisix/routes/1").SerializeToString()


class Bed:
    """A client and the connection it is on."""

    def __init__(self) -> None:
        store = ready_member().store
        self.front = Front(store, IDENTITY, lambda: Readiness(is_ready=True, reason="live"))
        self.transport = RecordedTransport()
        self.served: GRPCConnection = connection(self.front)
        self.served.connection_made(self.transport)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.client.initiate_connection()
        self.events: list[Any] = []

    async def settle(self) -> None:
        """Carry bytes to and fro until nothing more is said."""
        for _ in range(20):
            self.served.data_received(self.client.data_to_send())
            await asyncio.sleep(0)
            self.events += self.client.receive_data(self.transport.take())

    def call(self, path: str, data: bytes | None = None, *, is_last: bool = True, **headers: str) -> int:
        stream_id = self.client.get_next_available_stream_id()
        fields = {":method": "POST", ":path": path, ":scheme": "http", ":authority": "a", "te": "trailers"}
        fields |= {"content-type": "application/grpc", **headers}
        self.client.send_headers(stream_id, list(fields.items()), end_stream=data is None and is_last)
        if data is not None:
            self.client.send_data(stream_id, data, end_stream=is_last)
        return stream_id

    def body(self, stream_id: int) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h2.events.DataReceived) and event.stream_id == stream_id
        )

    def status(self, stream_id: int) -> tuple[str, str] | None:
        """The status and the text in the trailers."""
        for event in self.events:
            kinds = (h2.events.ResponseReceived, h2.events.TrailersReceived)
            if isinstance(event, kinds) and event.stream_id == stream_id:
                headers = dict(event.headers)
                if "grpc-status" in headers:
                    return headers["grpc-status"], headers.get("grpc-message", "")
        return None

    def watch(self, **headers: str) -> int:
        create = message_class("WatchCreateRequest")(key=b"/apisix/", range_end=b"/apisix0")
        return self.call(
            WATCH,
            frame(message_class("WatchRequest")(create_request=create).SerializeToString()),
            is_last=False,
            **headers,
        )

    def change(self, number: int, value: bytes = b"{}") -> None:
        store = self.front.store
        self.front.publish([store.replay(number, "b", bundle("b", number, {"/routes/2": value}))])


@pytest.fixture
async def bed() -> Bed:
    return Bed()


async def test_a_call(bed: Bed):
    stream_id = bed.call(RANGE, frame(ROUTE))
    await bed.settle()
    (data,) = split_frames(bed.body(stream_id))
    assert message_class("RangeResponse").FromString(data).count == 1
    assert bed.status(stream_id) == ("0", "")
    assert not bed.served._calls.is_busy
    assert bed.client.remote_settings.max_concurrent_streams == MAX_STREAMS


async def test_a_message_may_come_in_pieces(bed: Bed):
    stream_id = bed.call(RANGE, is_last=False)
    for byte in frame(ROUTE):
        bed.client.send_data(stream_id, bytes([byte]))
        await bed.settle()
    bed.client.end_stream(stream_id)
    await bed.settle()
    assert bed.status(stream_id) == ("0", "")


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (None, "13", "no message"),
        (b"\0\0", "13", "unexpected EOF"),
        (b"\0\0\0\0\x09abc", "13", "unexpected EOF"),
        (b"\x01" + frame(ROUTE)[1:], "12", "Decompressor is not installed"),
        (b"\0" + (MAX_MESSAGE_BYTES + 1).to_bytes(4), "8", "received message larger than max"),
    ],
)
async def test_messages_that_are_refused(bed: Bed, data: bytes | None, status: str, text: str):
    stream_id = bed.call(RANGE, data)
    await bed.settle()
    found = bed.status(stream_id)
    assert found is not None
    assert found[0] == status
    assert text in found[1]
    assert not bed.served._calls.is_busy


async def test_what_is_no_grpc_is_rejected(bed: Bed):
    stream_id = bed.call("/", **{"content-type": "text/html"})
    await bed.settle()
    (response,) = [event for event in bed.events if isinstance(event, h2.events.ResponseReceived)]
    assert (response.stream_id, dict(response.headers)) == (stream_id, {":status": "415"})


async def test_a_user_may_name_the_keys_of_its_prefixes(bed: Bed):
    auth = Auth([User("routes", "quiet", (b"/apisix/routes/",))], Clock(lambda: 1.0, lambda: 1.0))
    bed.front.auth = auth
    login = message_class("AuthenticateRequest")(name="routes", password="quiet").SerializeToString()
    stream_id = bed.call("/etcdserverpb.Auth/Authenticate", frame(login))
    await bed.settle()
    (data,) = split_frames(bed.body(stream_id))
    token = message_class("AuthenticateResponse").FromString(data).token
    outside = message_class("RangeRequest")(key=b"/apisix/routes/", range_end=b"\0")
    operation = message_class("RequestOp")(request_range=outside)
    txn = message_class("TxnRequest")(failure=[operation]).SerializeToString()
    calls = {
        bed.call(RANGE, frame(ROUTE), token=token): "0",
        bed.call(RANGE, frame(ROUTE), authorization=token): "0",
        bed.call(RANGE, frame(outside.SerializeToString()), token=token): "7",
        bed.call("/etcdserverpb.KV/Txn", frame(txn), token=token): "7",
        bed.call(RANGE, frame(ROUTE), token="bad"): "16",
        bed.call(RANGE, frame(ROUTE)): "3",
        bed.call("/grpc.health.v1.Health/Check", frame(b"")): "0",
    }
    await bed.settle()
    assert {stream_id: (bed.status(stream_id) or ("",))[0] for stream_id in calls} == calls
    refused = bed.watch(token=token)
    await bed.settle()
    (data,) = split_frames(bed.body(refused))
    response = message_class("WatchResponse").FromString(data)
    assert (response.watch_id, response.created, response.canceled) == (-1, True, True)
    assert "permission denied" in response.cancel_reason


async def test_a_watch_is_written_without_a_turn_of_the_loop(bed: Bed):
    stream_id = bed.watch()
    await bed.settle()
    bed.change(2)
    bed.events += bed.client.receive_data(bed.transport.take())
    created, told = map(message_class("WatchResponse").FromString, split_frames(bed.body(stream_id)))
    assert (created.created, len(told.events)) == (True, 1)


async def test_a_line_larger_than_the_window_waits_for_it_and_those_after_it_wait_in_the_history(bed: Bed):
    stream_id = bed.watch()
    await bed.settle()
    for number in range(2, 6):
        bed.change(number, b'{"a":"%d%b"}' % (number, b"x" * 100_000))
    await bed.settle()
    sent = len(bed.body(stream_id))
    assert sent <= bed.client.local_settings.initial_window_size
    (call,) = [session.outlet for session in bed.served._calls.sessions]
    assert call.is_blocked
    assert len(call._pending) == 1  # type: ignore[attr-defined]  # the outlet is a Call
    for _ in range(20):
        bed.client.increment_flow_control_window(60_000)
        bed.client.increment_flow_control_window(60_000, stream_id)
        await bed.settle()
    _, *told = map(message_class("WatchResponse").FromString, split_frames(bed.body(stream_id)))
    revisions = [event.kv.mod_revision for item in told for event in item.events]
    assert revisions == list(range(revisions[0], revisions[0] + 4))
    assert not call.is_blocked


async def test_a_stream_that_is_reset_and_a_connection_that_is_lost_free_their_watches(bed: Bed):
    streams = [bed.watch() for _ in range(3)]
    await bed.settle()
    assert bed.front.watcher_count == bed.served._calls.watch_count == 3
    bed.client.reset_stream(streams[0])
    await bed.settle()
    assert bed.front.watcher_count == bed.served._calls.watch_count == 2
    bed.served.connection_lost(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bed.front.watcher_count == bed.served._calls.watch_count == 0
    assert len(bed.front.wheel) == 0


async def test_watches_are_counted_over_all_streams(bed: Bed):
    bed.served._calls.watch_count = MAX_WATCHES
    stream_id = bed.watch()
    await bed.settle()
    (data,) = split_frames(bed.body(stream_id))
    assert message_class("WatchResponse").FromString(data).watch_id == -1


async def test_pings_are_answered_and_sent_while_there_is_a_call(bed: Bed):
    bed.client.ping(b"12345678")
    bed.watch()
    await bed.settle()
    assert [event.ping_data for event in bed.events if isinstance(event, h2.events.PingAckReceived)] == [b"12345678"]
    for _ in range(20):
        bed.served.beat()
        await bed.settle()
    assert sum(isinstance(event, h2.events.PingReceived) for event in bed.events) == 20
    assert not bed.transport.is_closed


async def test_a_client_that_does_not_answer_pings_is_disconnected(bed: Bed):
    bed.watch()
    await bed.settle()
    for _ in range(MAX_DEAF_BEATS):
        bed.served.beat()
        assert not bed.transport.is_aborted
    bed.served.beat()
    assert bed.transport.is_aborted


async def test_a_connection_without_a_call_is_closed_in_the_end(bed: Bed):
    await bed.settle()
    for _ in range(MAX_QUIET_BEATS):
        assert not bed.transport.is_closed
        bed.served.beat()
    assert bed.transport.is_closed


async def test_a_client_that_does_not_read_is_not_read(bed: Bed):
    bed.served.pause_writing()
    assert not bed.transport.is_reading_now
    for _ in range(MAX_DEAF_BEATS + 1):
        assert not bed.transport.is_aborted
        bed.served.beat()
    assert bed.transport.is_aborted
    bed.transport.is_closed = False
    bed.served.resume_writing()
    assert bed.transport.is_reading_now


@pytest.mark.parametrize(
    "data",
    [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\0\0\x01\x01\x04\0\0\0\x01\xff", b"\xff" * (MAX_FRAME_BYTES + 100)],
    ids=["preface", "headers", "a frame without end"],
)
async def test_a_client_that_breaks_the_protocol_is_disconnected(bed: Bed, data: bytes):
    bed.served.data_received(bed.client.data_to_send() if data[:3] != b"PRI" else b"")
    bed.served.data_received(data)
    assert bed.transport.is_closed


async def test_frames_of_no_known_type_are_ignored(bed: Bed):
    await bed.settle()
    bed.served.data_received(b"\0\0\x01\xee\0\0\0\0\0x")
    stream_id = bed.call(RANGE, frame(ROUTE))
    await bed.settle()
    assert bed.status(stream_id) == ("0", "")


async def test_a_mistake_of_ours_is_logged_and_ends_one_call(bed: Bed, caplog: pytest.LogCaptureFixture):
    def fail(_: bytes) -> bytes:
        raise ZeroDivisionError

    bed.served._calls.shared.services.unary[RANGE.encode()] = fail
    stream_id = bed.call(RANGE, frame(ROUTE))
    await bed.settle()
    assert bed.status(stream_id) == ("13", "etcdserver: internal error")
    assert "/etcdserverpb.KV/Range failed" in caplog.text
