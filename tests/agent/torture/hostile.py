"""Hostile requests: what is sent, and what the contract says comes back. Pure; a random generator decides."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from agent.wire.http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES
from tests.agent.torture.heard import answered, any_answer, documented, either, refused, watched
from tests.agent.torture.message import field_cases
from tests.conformance.watch_client import b64, range_body, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.agent.torture.heard import Judge

GET = request("GET", "/version")
RANGE = request("POST", "/v3/kv/range", range_body())
ONE = request("POST", "/v3/kv/range", range_body(b"/apisix/routes/r1", b""))
CREATE = orjson.dumps({"create_request": {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0")}})
WATCH = request("POST", "/v3/watch", CREATE)
PUT = request("POST", "/v3/kv/put", orjson.dumps({"key": b64(b"/apisix/plugins"), "value": b64(b"[]")}))
CHUNKED = b"POST /v3/kv/range HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST /v3/kv/range HTTP/1.1\r\n"
PATHS = ("/v3/kv/range", "/v3/kv/put", "/v3/kv/deleterange", "/v3/kv/txn", "/v3/watch", "/v3/auth/authenticate")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGE_HEAD_BYTES = 10 << 20
CLIENT_HELLO = bytes.fromhex(
    "16030100850100008103037f1d5a3e9b4c2d60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f920"
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0004130113020100003400170000"
    "000a00060004001d0017000d000a0008040308040403050100 2b00050403040303002d00020101ff01000100".replace(" ", "")
)


class Case(NamedTuple):
    """One connection: what is sent in which pieces, how it ends, and who judges what was heard.

    `is_aborted` resets the connection instead of half-closing it; then nothing is heard.
    """

    name: str
    pieces: tuple[bytes, ...]
    judge: Judge
    is_aborted: bool = False


def one(name: str, data: bytes, judge: Judge) -> Case:
    return Case(name, (data,), judge)


def random_bytes(rng: Random, most: int) -> bytes:
    return rng.randbytes(rng.randrange(1, most))


def heads(rng: Random) -> Case:
    """Request lines and headers."""
    token = bytes(rng.choices(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=rng.randrange(12, 30)))
    return rng.choice(
        (
            one("unknown method", token + b" /version HTTP/1.1\r\n\r\n", answered(400)),
            one("lower case method", b"get /version HTTP/1.1\r\n\r\n", answered(400)),
            one("method of another route", request(rng.choice(("PUT", "DELETE", "PATCH")), "/version"), answered(405)),
            one("watch by GET", request("GET", "/v3/watch"), answered(405)),
            one("connect", b"CONNECT a:1 HTTP/1.1\r\n\r\n" + random_bytes(rng, 50), answered(405)),
            one("unknown path", request("POST", f"/v3/{token.decode()}", b"{}"), answered(404)),
            one("path of any bytes", b"GET /%b HTTP/1.1\r\n\r\n" % random_bytes(rng, 200), documented),
            one("zero byte in the path", b"GET /ver\0sion HTTP/1.1\r\n\r\n", answered(400)),
            one("zero byte in a header", b"GET /version HTTP/1.1\r\nA: b\0c\r\n\r\n", answered(400)),
            one("zero bytes", b"\0" * rng.randrange(1, 5000), answered(400)),
            one("no version", b"GET /version\r\n\r\n", documented),
            one("version 9.9", b"GET /version HTTP/9.9\r\n\r\n", answered(400)),
            one("header without colon", b"GET /version HTTP/1.1\r\nabc\r\n\r\n", answered(400)),
            one("header without name", b"GET /version HTTP/1.1\r\n: abc\r\n\r\n", answered(400)),
            one("space in a name", b"GET /version HTTP/1.1\r\nHo st : a\r\n\r\n", answered(400)),
            one("header of any bytes", b"GET /version HTTP/1.1\r\nA: %b\r\n\r\n" % random_bytes(rng, 300), documented),
            one("cut off head", GET[: rng.randrange(1, len(GET) - 2)], answered()),
            one("empty lines", b"\r\n" * rng.randrange(1, 2000) + GET, documented),
            one("watch over HTTP/1.0", WATCH.replace(b"HTTP/1.1", b"HTTP/1.0"), answered(505)),
            one("expectation", request("POST", "/v3/kv/put", b"{}", "Expect: 100-continue\r\n"), answered(400)),
            Case("byte by byte", tuple(bytes([byte]) for byte in GET), answered(200)),
        )
    )


def floods(rng: Random) -> Case:
    """Heads that are too large, from just above the limit to 10 MB."""
    size = LARGE_HEAD_BYTES if rng.random() < 0.02 else rng.randrange(MAX_HEAD_BYTES + 1, MAX_HEAD_BYTES * 4)
    start = b"GET /version HTTP/1.1\r\n"
    small = b"".join(b"H%d: v\r\n" % number for number in range(rng.randrange(1, 2000)))
    return rng.choice(
        (
            one("many headers", start + b"H: abcdefgh\r\n" * (size // 8), answered(431)),
            one("long header", start + b"H: " + b"x" * size + b"\r\n\r\n", answered(431)),
            one("long name", start + b"x" * size + b": v\r\n\r\n", answered(431)),
            one("long path", b"GET /" + b"x" * size + b" HTTP/1.1\r\n\r\n", answered(431)),
            one("long head that does not end", start + b"H: " + b"x" * size, either(answered(431), answered())),
            one("headers within the limit", start + small + b"\r\n", answered(200)),
            one("trailers", CHUNKED + b"0\r\n" + b"T: abcdefgh\r\n" * (size // 8), answered(431)),
        )
    )


def framings(rng: Random) -> Case:
    """Bodies that are framed wrongly, or twice."""
    size = rng.choice((b"-1", b"+1", b"0x10", b"1e3", b"", b"1 1", b"\xff", b"1,2", b"9" * 40, b"18446744073709551617"))
    broken = rng.choice(
        (b"g\r\n", b"-1\r\n", b"\r\n", b"fffffffffffffffff\r\n", b"2\r\n{}}}\r\n", b"2\n{}\n", b"0x2\r\n{}")
    )
    length = b"Content-Length: 2\r\n"
    return rng.choice(
        (
            one("bad content-length", POST + b"Content-Length: %b\r\n\r\n{}" % size, answered(400)),
            one("two content-lengths", POST + length + b"Content-Length: 3\r\n\r\n{}", answered(400)),
            one(
                "both framings",
                POST + length + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
                answered(400),
            ),
            one("unknown coding", POST + b"Transfer-Encoding: gzip\r\n\r\n{}", answered(400)),
            one("chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", documented),
            one("broken chunk", CHUNKED + broken, answered(400)),
            one("cut off chunk", CHUNKED + b"ff\r\nabc", answered()),
            one("chunk extensions", CHUNKED + b"2;a=%b\r\n{}\r\n0\r\n\r\n" % (b"x" * 3000), documented),
            one("body never comes", POST + b"Content-Length: 4000000000\r\n\r\n", answered()),
            one("more than announced", POST + length + b"\r\n{}" + random_bytes(rng, 100), any_answer(400)),
            one("too large", request("POST", "/v3/kv/range", b"x" * (MAX_BODY_BYTES + 1)), answered(429)),
            one("too large in chunks", CHUNKED + b"10000\r\n%b\r\n" % bytes(65536) * 49, answered(429)),
        )
    )


def texts(rng: Random) -> Case:
    """Bodies that are no JSON, or not quite, in well-framed requests; the connection answers the next one."""
    digits = b"1" * rng.randrange(20, 20_000)
    depth = rng.choice((100, 1000, 5000, 100_000))
    path = rng.choice(PATHS[:4])
    body = rng.choice(
        (
            b"[" * depth,
            b'{"key":' * depth,
            b'{"a":' + b"[" * depth + b"]" * depth + b"}",
            b'{"key":"%b"' % b64(b"/apisix/").encode(),
            b'{"limit":%b,}' % digits,
            b'{"limit":%b,"key":}' % digits,
            b'{"key":"\xff\xfe"}',
            b'{"key":"\\ud800"}',
            b'{"key":"\xed\xa0\x80"}',
            b"\xef\xbb\xbf{}",
            b'{"key":NaN}',
            b"nul",
            b"'",
            b'{"key":"' + b"A" * rng.randrange(100_000),
            b'{"' + random_bytes(rng, 300),
            b"[]",
            b'"%b"' % (b"x" * rng.randrange(1000)),
            b"1" + digits,
        )
    )
    return one(
        f"no message for {path}", request("POST", path, body) + GET, either(answered(400, 200), answered(200, 200))
    )


def messages(rng: Random) -> Case:
    """Fields of the messages with values of every type, and bodies of random JSON."""
    if rng.random() < 0.7:
        return rng.choice(FIELD_CASES)
    path = rng.choice(PATHS)
    body = orjson.dumps(_random_message(rng))
    return one(f"random message for {path}", request("POST", path, body) + GET, documented)


FIELD_CASES = [
    one(f"{found.path} {found.body[:80]!r}", request("POST", found.path, found.body) + GET, found.judge)
    for found in field_cases()
]


def _random_message(rng: Random, depth: int = 3) -> Any:
    names = (
        "key",
        "range_end",
        "rangeEnd",
        "limit",
        "revision",
        "create_request",
        "value",
        "filters",
        "start_revision",
    )
    made: dict[str, Callable[[], Any]] = {
        "text": lambda: b64(random_bytes(rng, 30)),
        "number": lambda: rng.choice((rng.randrange(-(2**63), 2**63), rng.random() * 10 ** rng.randrange(30))),
        "flag": lambda: rng.choice((True, False, None)),
        "list": lambda: [_random_message(rng, depth - 1) for _ in range(rng.randrange(3))],
        "dict": lambda: {rng.choice(names): _random_message(rng, depth - 1) for _ in range(rng.randrange(5))},
    }
    kinds = list(made) if depth else ["text", "number", "flag"]
    return made[rng.choice(kinds) if depth < 3 else "dict"]()


def mutations(rng: Random) -> Case:
    """Valid requests with bytes changed, lost, repeated, moved."""
    data = bytearray(rng.choice(SEEDS) + rng.choice((b"", *SEEDS)))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8, 30))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = rng.randbytes(1)
            case 1:
                del data[at : at + rng.randrange(1, 20)]
            case 2:
                data[at:at] = random_bytes(rng, 20)
            case 3:
                data[at:at] = data[at : at + rng.randrange(1, 80)]
            case 4:
                data[at:at] = rng.choice(SPLINTERS)
            case _:
                data[at : at + 1] = bytes([(data[at] if at < len(data) else 0) ^ 1 << rng.randrange(8)])
    cut = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 4))))
    edges = [0, *cut, len(data)]
    pieces = tuple(bytes(data[start:end]) for start, end in pairwise(edges) if end > start)
    return Case("mutation", pieces, documented)


SEEDS = (
    *(GET, ONE, PUT, WATCH),
    CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    b"GET /version HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    b"POST /v3/watch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(CREATE), CREATE),
    request("GET", "/readyz", headers="Connection: close\r\n"),
)
SPLINTERS = (
    b"\r\n",
    b"\n",
    b"\0",
    b"\r\n\r\n",
    b"{",
    b"}",
    b'"',
    b"\\",
    b"\xff",
    b": ",
    b" HTTP/1.1\r\n",
    b"0\r\n\r\n",
)


def pipelines(rng: Random) -> Case:
    """Many requests in one go: all are answered, in order, before the connection ends."""
    count = rng.randrange(2, 60)
    upgrade = b"GET /version HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % rng.choice(
        (b"h2c", b"websocket")
    )
    burst = 3000 if rng.random() < 0.05 else count
    return rng.choice(
        (
            one("many requests", GET * burst, answered(*[200] * burst)),
            one("many offers to upgrade", upgrade * burst, answered(*[200] * burst)),
            one("requests, then garbage", GET * count + b"\0garbage", answered(*[200] * count, 400)),
            one("large answers", RANGE * count, answered(*[200] * count)),
            one(
                "heads of requests",
                request("HEAD", "/version") + b"HEAD / HTTP/9\r\n\r\n",
                answered(200, 400, is_head=True),
            ),
        )
    )


def watches(rng: Random) -> Case:
    """What else comes on the connection of a watch is ignored; a body that never ends starts a watch all the same."""
    head = b"POST /v3/watch HTTP/1.1\r\nContent-Length: 60000\r\n\r\n"
    extra = rng.choice((random_bytes(rng, 3000), GET * 20, WATCH * 3, b"\0" * 100))
    more = rng.choice((CREATE, b'{"cancel_request":{}}', b'{"progress_request":{}}', b"{}", b'{"create_request":[]}'))
    return rng.choice(
        (
            one("watch, then more", WATCH + extra, watched),
            one("watch, then messages", head + CREATE + more * rng.randrange(200), watched),
            Case("watch in pieces", (head, *(CREATE[at : at + 7] for at in range(0, len(CREATE), 7))), watched),
            one("open braces", head + b"{" * 59_000, documented),
            one("message too large", head.replace(b"60000", b"70000") + b'{"a":"' + b"x" * 69_000, answered(500)),
            one("no object", head + b"[]", answered(500)),
            one("future start", _watch(start_revision=2**62), watched),
            one("old start", _watch(start_revision=1), watched),
            one("negative start", _watch(start_revision=-(2**63)), watched),
            one("reversed range", _watch(range_end=b64(b"/a")), watched),
        )
    )


def _watch(**fields: object) -> bytes:
    create = {"key": b64(b"/apisix/"), "range_end": b64(b"/apisix0"), **fields}
    return request("POST", "/v3/watch", orjson.dumps({"create_request": create}))


def other_protocols(rng: Random) -> Case:
    """HTTP/2 and TLS: an end, or an answer of theirs."""
    frames = b"".join(_frame(rng) for _ in range(rng.randrange(1, 20)))
    hello = bytearray(CLIENT_HELLO)
    for _ in range(rng.randrange(4)):
        hello[rng.randrange(len(hello))] = rng.randrange(256)
    return rng.choice(
        (
            one("preface, then garbage", PREFACE + random_bytes(rng, 2000), refused),
            one("preface, then frames", PREFACE + frames, refused),
            one("preface, cut off", PREFACE[: rng.randrange(1, len(PREFACE))], refused),
            one("preface, settings, garbage", PREFACE + struct.pack("!HBBBL", 0, 0, 4, 0, 0) + frames, refused),
            one("frames without preface", frames, refused),
            one("client hello", CLIENT_HELLO, refused),
            one("changed client hello", bytes(hello) + random_bytes(rng, 200), refused),
            one("any bytes", random_bytes(rng, 3000), refused),
        )
    )


def _frame(rng: Random) -> bytes:
    payload = rng.randbytes(rng.choice((0, 4, 6, 8, rng.randrange(200))))
    length = len(payload) if rng.random() < 0.8 else rng.randrange(1 << 24)
    stream = rng.choice((0, 1, 1, 3, rng.randrange(1 << 32)))
    return struct.pack("!BHBBL", length >> 16, length & 0xFFFF, rng.randrange(12), rng.randrange(256), stream) + payload


def aborts(rng: Random) -> Case:
    """Connections that are reset in the middle of something."""
    whole = rng.choice((*SEEDS, RANGE * 50, request("POST", "/v3/kv/put", b"x" * 2_000_000)))
    return Case("reset", (whole[: rng.randrange(1, len(whole) + 1)],), documented, is_aborted=True)


FAMILIES: dict[Callable[[Random], Case], int] = {
    heads: 12,
    floods: 3,
    framings: 8,
    texts: 10,
    messages: 20,
    mutations: 30,
    pipelines: 4,
    watches: 6,
    other_protocols: 5,
    aborts: 5,
}
"""How often each comes, of all together."""


def case_of(rng: Random) -> Case:
    """Make one case."""
    return rng.choices(list(FAMILIES), list(FAMILIES.values()))[0](rng)
