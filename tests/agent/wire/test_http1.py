from __future__ import annotations

import asyncio
from itertools import pairwise

import orjson
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from agent.etcd.json_codec import Identity
from agent.store.feed import MAX_SLICE_BYTES
from agent.store.store import Store
from agent.wire.admission import Admission
from agent.wire.front import VERSION, Front, Readiness
from agent.wire.http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_QUIET_BEATS, HTTPConnection
from agent.wire.wheel import SLOTS
from schemas.keys import GENESIS_KEY
from tests.agent.memory_log import CREATED_MS, bundle, genesis
from tests.agent.wire.recorded_transport import RecordedTransport
from tests.conformance.watch_client import b64, range_body, request

WATCH = orjson.dumps({"create_request": {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0")}})
GET = request("GET", "/version")


class Bed:
    """A connection to a front with one route; changes are published as the agent does it."""

    def __init__(self) -> None:
        self.store = Store()
        self.store.replay(0, GENESIS_KEY, genesis())
        self.store.replay(1, "a", bundle("a", 1, {"/routes/1": b"{}"}))
        self.offset = 1
        self.front = Front(self.store, Identity(1, 2), lambda: Readiness(is_ready=True, reason="live"))
        self.connection, self.transport = self.connect()

    def connect(self) -> tuple[HTTPConnection, RecordedTransport]:
        connection, transport = HTTPConnection(self.front), RecordedTransport()
        connection.connection_made(transport)
        return connection, transport

    def ask(self, data: bytes) -> bytes:
        self.connection.data_received(data)
        return self.transport.take()

    def change(self, *values: bytes) -> None:
        """Publish one more revision for each value, `{}` by default, all together."""
        changes = []
        for value in values or (b"{}",):
            self.offset += 1
            unit = bundle("b", self.offset, {f"/routes/{self.offset}": value})
            changes.append(self.store.replay(self.offset, "b", unit))
        self.front.publish(changes)


@pytest.fixture
def bed() -> Bed:
    return Bed()


def statuses(data: bytes) -> list[int]:
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def revisions_told(data: bytes) -> list[list[int]]:
    """The revisions of the puts in each event line; a line's header has the last of them."""
    told = []
    for line in data.splitlines():
        if line.startswith(b"{") and b'"events"' in line:
            result = orjson.loads(line)["result"]
            told.append(
                [int(event["kv"]["mod_revision"]) - CREATED_MS for event in result["events"] if "type" not in event]
            )
            assert int(result["header"]["revision"]) == CREATED_MS + told[-1][-1]
    return told


STREAM = (
    GET
    + request("POST", "/v3/kv/range", range_body(b"/apisix/routes/1", b""))
    + b"POST /v3/kv/range?x=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    + request("HEAD", "/version")
    + b"GET /version HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    + request("POST", "/v3/kv/range", range_body(b"/apisix/routes/1", b""), "Connection: Upgrade\r\nUpgrade: h2c\r\n")
    + request("GET", "/nothing")
)
ANSWERS = [200, 200, 400, 200, 200, 200, 404]


def test_pipelined_requests_are_answered_in_order(bed: Bed):
    data = bed.ask(STREAM)
    assert statuses(data) == ANSWERS
    assert data.count(VERSION) == 2
    assert data.count(b64(b"/apisix/routes/1").encode()) == 2
    assert not bed.transport.is_closed


@seed(31)
@settings(max_examples=200, deadline=None)
@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=12))
def test_it_does_not_matter_how_the_bytes_arrive(cuts: set[int]):
    bed = Bed()
    whole = Bed().ask(STREAM)
    edges = [0, *sorted(cuts), len(STREAM)]
    assert b"".join(bed.ask(STREAM[first:last]) for first, last in pairwise(edges)) == whole


@seed(32)
@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(STREAM)), st.binary(max_size=4)), min_size=1, max_size=5), st.integers(1, 200)
)
async def test_hostile_bytes_get_an_answer_or_a_closed_connection_and_nothing_else(
    changes: list[tuple[int, bytes]], piece: int
):
    damaged = STREAM + request("POST", "/v3/watch", WATCH)
    for at, inserted in changes:
        damaged = damaged[:at] + inserted + damaged[at + len(inserted) // 2 :]
    bed = Bed()
    for first in range(0, len(damaged), piece):
        bed.connection.data_received(damaged[first : first + piece])
    bed.change()
    bed.connection.connection_lost(None)
    assert (bed.front.watcher_count, len(bed.front.wheel)) == (0, 0)


def test_thousands_of_offers_to_upgrade_in_one_packet_are_ignored(bed: Bed):
    offer = b"GET /version HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert statuses(bed.ask(offer * 3000)) == [200] * 3000


def test_only_the_bytes_of_one_head_count(bed: Bed):
    """A packet may begin in one head and end in another."""
    data, count = GET * 2000, 2000
    first, packet = 10, MAX_HEAD_BYTES + len(GET)
    told = statuses(bed.ask(data[:first]))
    for at in range(first, len(data), packet):
        told += statuses(bed.ask(data[at : at + packet]))
    assert told == [200] * count


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
        (b"CONNECT host:1 HTTP/1.1\r\n\r\n", 405),
        (b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (request("POST", "/v3/kv/put", b"x" * (MAX_BODY_BYTES + 1)), 429),
    ],
)
def test_what_is_refused_closes_the_connection_after_what_came_before(bed: Bed, data: bytes, status: int):
    assert statuses(bed.ask(GET + data)) == [200, status]
    assert bed.transport.is_closed
    assert bed.ask(GET) == b""


def test_a_head_that_never_ends_is_refused(bed: Bed):
    bed.ask(b"GET / HTTP/1.1\r\nA: ")
    answers = b"".join(bed.ask(b"x" * 4096) for _ in range(12))
    assert statuses(answers) == [431]
    assert bed.transport.is_closed


@pytest.mark.parametrize(
    ("version", "header", "is_closed", "says"),
    [
        ("1.1", "Connection: close\r\n", True, b"Connection: close\r\n"),
        ("1.0", "", True, b"Connection: close\r\n"),
        ("1.0", "Connection: keep-alive\r\n", False, b"Connection: keep-alive\r\n"),
    ],
)
def test_connections_close_as_the_client_asks(bed: Bed, version: str, header: str, is_closed: bool, says: bytes):  # noqa: FBT001 - a table
    data = bed.ask(f"GET /version HTTP/{version}\r\n{header}\r\n".encode())
    assert says in data
    assert bed.transport.is_closed is is_closed


def test_a_client_that_waits_for_a_continue_gets_it(bed: Bed):
    assert bed.ask(b"POST /v3/kv/range HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").startswith(
        b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    assert statuses(bed.ask(b"{}")) == [400]


def test_requests_wait_while_the_client_does_not_read(bed: Bed):
    bed.connection.pause_writing()
    assert bed.ask(GET + GET) == b""
    assert not bed.transport.is_reading_now
    bed.connection.resume_writing()
    assert statuses(bed.transport.take()) == [200, 200]
    assert bed.transport.is_reading_now


def test_a_watch_behind_a_full_buffer_opens_when_there_is_room(bed: Bed):
    bed.connection.pause_writing()
    head = b"POST /v3/watch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert bed.ask(head + b"%x\r\n%b\r\n" % (len(WATCH), WATCH)) == b""
    assert bed.front.watcher_count == 0
    bed.connection.resume_writing()
    assert b'"created":true' in bed.transport.take()


def test_a_watch_starts_before_its_body_ends(bed: Bed):
    bed.ask(b"POST /v3/watch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(len(WATCH) - 1):
        assert bed.ask(b"1\r\n%c\r\n" % WATCH[at]) == b""
    assert b'"created":true' in bed.ask(b"1\r\n}\r\n")
    bed.change()
    assert b'"events"' in bed.transport.take()
    assert b'"canceled":true' in bed.ask(b'15\r\n{"cancel_request":{}}\r\n0\r\n\r\n')
    bed.change()
    assert bed.transport.take() == b""
    assert bed.ask(GET) == b""


def test_a_cancel_in_the_same_body_is_confirmed(bed: Bed):
    data = bed.ask(request("POST", "/v3/watch", WATCH + b'\n{"cancel_request":{"watch_id":"0"}}'))
    assert [b'"created":true' in data, b'"canceled":true' in data] == [True, True]


def test_what_cannot_be_read_after_the_create_is_ignored(bed: Bed):
    bed.ask(b"POST /v3/watch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(WATCH), WATCH))
    assert bed.ask(b"4\r\nnope\r\n") == b""
    bed.change()
    assert b'"events"' in bed.transport.take()


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"", "EOF"), (b"{", "unexpected EOF"), (b"x", "invalid character 'x' looking for beginning of value")],
)
def test_a_watch_body_that_is_none(bed: Bed, body: bytes, message: str):
    data = bed.ask(request("POST", "/v3/watch", body))
    assert statuses(data) == [500]
    assert orjson.loads(data.partition(b"\r\n\r\n")[2])["message"] == message
    assert statuses(bed.ask(GET)) == [200]


def test_a_bad_watch_body_that_has_not_ended_closes(bed: Bed):
    bed.ask(b"POST /v3/watch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert statuses(bed.ask(b"1\r\nx\r\n")) == [500]
    assert bed.transport.is_closed


@pytest.mark.parametrize("more", [b'{"create_request":[]}', b'{"create_request":{"key":1}}', b"{} garbage"])
@pytest.mark.parametrize("head", ["Content-Length: 60000", f"Content-Length: {len(WATCH) * 2}"])
def test_a_message_that_cannot_be_read_is_no_answer_on_an_open_watch(bed: Bed, head: str, more: bytes):
    data = f"POST /v3/watch HTTP/1.1\r\n{head}\r\n\r\n".encode() + WATCH + more.ljust(len(WATCH))
    assert statuses(bed.ask(data)) == [200]
    bed.change()
    assert revisions_told(bed.transport.take()) == [[2]]


def test_a_watch_over_http_1_0_is_refused(bed: Bed):
    old = b"POST /v3/watch HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(WATCH), WATCH)
    assert statuses(bed.ask(old)) == [505]


def test_a_lost_connection_frees_its_watch(bed: Bed):
    bed.ask(request("POST", "/v3/watch", WATCH))
    assert bed.front.watcher_count == 1
    bed.connection.connection_lost(None)
    assert (bed.front.watcher_count, len(bed.front.wheel)) == (0, 0)
    bed.change()


def test_a_slow_watcher_is_not_written_to_and_then_told_all(bed: Bed):
    bed.ask(request("POST", "/v3/watch", WATCH))
    bed.connection.pause_writing()
    bed.change(), bed.change()
    assert bed.transport.take() == b""
    bed.connection.resume_writing()
    assert revisions_told(bed.transport.take()) == [[2, 3]]
    bed.change()
    assert revisions_told(bed.transport.take()) == [[4]]


async def test_a_long_catch_up_lets_others_have_their_turn(bed: Bed):
    for _ in range(20):
        bed.change(b'{"a":"%b"}' % (b"x" * 60_000))
    create = {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0"), "start_revision": CREATED_MS + 2}
    data = bed.ask(request("POST", "/v3/watch", orjson.dumps({"create_request": create})))
    assert revisions_told(data) == [[2, 3, 4, 5, 6]]
    for _ in range(20):
        await asyncio.sleep(0)
    assert revisions_told(bed.transport.take()) == [[7, 8, 9, 10, 11], [12, 13, 14, 15, 16], [17, 18, 19, 20, 21]]


async def test_a_watcher_that_pauses_inside_a_publication_is_told_the_rest_once(bed: Bed):
    bed.ask(request("POST", "/v3/watch", WATCH))
    bed.transport.on_write = bed.connection.pause_writing
    bed.change(*(b'{"a":"%b"}' % (b"x" * MAX_SLICE_BYTES) for _ in range(3)))
    bed.transport.on_write = None
    assert revisions_told(bed.transport.take()) == [[2]]
    bed.connection.resume_writing()
    for _ in range(5):
        await asyncio.sleep(0)
    bed.change()
    assert revisions_told(bed.transport.take()) == [[3], [4], [5]]


def test_a_watcher_that_never_reads_is_disconnected(bed: Bed):
    bed.ask(request("POST", "/v3/watch", WATCH))
    bed.connection.pause_writing()
    for _ in range(10):
        bed.connection.beat()
    assert bed.transport.is_aborted


def test_a_silent_connection_is_closed_and_a_busy_one_is_not(bed: Bed):
    for _ in range(MAX_QUIET_BEATS * 2):
        bed.ask(GET)
        bed.connection.beat()
    assert not bed.transport.is_closed
    for _ in range(MAX_QUIET_BEATS):
        bed.connection.beat()
    assert bed.transport.is_aborted


def test_a_heartbeat_is_a_space_in_a_chunk(bed: Bed):
    bed.ask(request("POST", "/v3/watch", WATCH))
    for _ in range(SLOTS):
        for member in bed.front.wheel.turn():
            member.beat()
    assert bed.transport.take() == b"1\r\n \r\n"


def test_abort_closes_without_a_last_chunk(bed: Bed):
    bed.ask(request("POST", "/v3/watch", WATCH))
    bed.connection.abort()
    assert bed.transport.is_aborted
    assert bed.transport.take() == b""


def test_a_watch_above_the_rate_is_told_to_come_back(bed: Bed):
    bed.front.admission = Admission(1.0, lambda: 100.0, max_delay_s=0.0)
    assert b'"created":true' in bed.ask(request("POST", "/v3/watch", WATCH))
    bed.connection, bed.transport = bed.connect()
    refused = bed.ask(request("POST", "/v3/watch", WATCH) + GET)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'"error":"etcdserver: too many new watches at once, come back in a while"' in refused
    assert refused.endswith(VERSION)
    assert bed.front.watcher_count == 1


@pytest.mark.parametrize("headers", ["", "Transfer-Encoding: chunked\r\n"])
async def test_a_refusal_waits_and_so_does_what_comes_after_it(bed: Bed, headers: str):
    bed.front.admission = Admission(1e-9, lambda: 100.0, max_delay_s=0.01, jitter=lambda: 1.0)
    assert bed.front.admission.admits()
    asked = request("POST", "/v3/watch", WATCH)
    if headers:
        asked = b"POST /v3/watch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(WATCH), WATCH)
    assert bed.ask(asked) == b""
    assert bed.ask(b"" if headers else GET) == b""
    answered = asyncio.Event()
    bed.transport.on_write = answered.set
    await asyncio.wait_for(answered.wait(), 5)
    said = bed.transport.take()
    assert said.count(b"HTTP/1.1 503 ") == 1
    assert said.endswith(b"}" if headers else VERSION)


async def test_a_client_that_leaves_while_its_refusal_waits_is_told_nothing(bed: Bed):
    bed.front.admission = Admission(1e-9, lambda: 100.0, max_delay_s=9.0, jitter=lambda: 1.0)
    assert bed.front.admission.admits()
    assert bed.ask(request("POST", "/v3/watch", WATCH)) == b""
    held = bed.connection._held
    bed.connection.connection_lost(None)
    assert held is not None
    assert held.cancelled()


def test_only_a_watch_outlives_the_retirement_of_its_agent(bed: Bed):
    bed.ask(GET)
    assert not bed.connection.retire()
    assert bed.transport.is_closing()
    bed.connection, bed.transport = bed.connect()
    bed.ask(request("POST", "/v3/watch", WATCH))
    assert bed.connection.retire()
    assert not bed.transport.is_closing()
