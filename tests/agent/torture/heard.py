"""What a client heard on a connection, and judges of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from tests.conformance.watch_client import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable

    Judge = Callable[[bytes], None]

DOCUMENTED = frozenset({200, 400, 401, 403, 404, 405, 412, 429, 431, 500, 501, 503, 505})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FRAME_HEAD_BYTES = 9
TLS_ALERT = b"\x15\x03"


class Answer(NamedTuple):
    """One answer; `is_stream` when it was a watch, whose lines are the body then."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    is_stream: bool = False


def split(data: bytes, *, is_head: bool = False) -> list[Answer]:
    """Cut what was heard into answers; what is no whole answer fails.

    Args:
        data: all bytes until the server closed.
        is_head: the first request was a HEAD, so that its answer has no body.
    """
    answers: list[Answer] = []
    while data:
        if data.startswith(CONTINUE):
            data = data[len(CONTINUE) :]
            continue
        head, separator, data = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert separator, head
        assert first.startswith(b"HTTP/1.1 "), first
        headers = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
        if b"transfer-encoding" in headers:
            answers.append(Answer(int(first[9:12]), headers, _lines(data), is_stream=True))
            return answers
        size = 0 if is_head and not answers else int(headers[b"content-length"])
        assert len(data) >= size, f"an answer is cut off: {head!r}"
        answers.append(Answer(int(first[9:12]), headers, data[:size]))
        data = data[size:]
    return answers


def _lines(data: bytes) -> bytes:
    """Take the chunks of a watch apart; the server may close after any whole chunk."""
    lines = []
    while data:
        size, separator, data = data.partition(b"\r\n")
        assert separator, size
        end = int(size, 16)
        assert data[end : end + 2] == b"\r\n"
        if data[:end] != b" ":
            parse_line(data[:end])
            lines.append(data[:end])
        data = data[end + 2 :]
    return b"".join(lines)


def check(answer: Answer) -> None:
    """Check that an answer is one of those the contract knows (rules 2, 3 and 7, section 7)."""
    assert answer.status in DOCUMENTED, answer
    if answer.is_stream:
        assert answer.status == 200
        assert b'"created":true' in answer.body.split(b"\n", 1)[0]
        return
    if not answer.body:
        return
    if answer.headers[b"content-type"] != b"application/json":
        assert answer.headers[b"content-type"].startswith((b"text/plain", b"application/openmetrics")), answer
        return
    content = orjson.loads(answer.body)
    if answer.status == 200:
        assert "etcdcluster" in content or int(content["header"]["revision"]) > 0, answer
        return
    assert content.keys() == {"error", "message", "code"}, answer
    assert content["error"] == content["message"]
    assert 0 < content["code"] < 17
    assert "\n" not in content["error"]


def documented(data: bytes) -> None:
    """Whatever was answered, if anything, is known to the contract."""
    for answer in split(data):
        check(answer)


def answered(*statuses: int, is_head: bool = False) -> Judge:
    """Exactly these answers came."""

    def judge(data: bytes) -> None:
        found = split(data, is_head=is_head)
        for number, answer in enumerate(found):
            if not (is_head and number == 0):
                check(answer)
        assert tuple(answer.status for answer in found) == statuses, found[:3]

    return judge


def any_answer(status: int) -> Judge:
    """These came first; what else was sent may have been answered too."""

    def judge(data: bytes) -> None:
        documented(data)
        assert split(data)[0].status == status

    return judge


def either(*judges: Judge) -> Judge:
    """One of several judges agrees."""

    def judge(data: bytes) -> None:
        reasons = []
        for one in judges:
            try:
                one(data)
            except AssertionError as error:
                reasons.append(str(error))
            else:
                return
        raise AssertionError("; ".join(reasons))

    return judge


def answered_with(status: int, code: int) -> Judge:
    """An error with this status and code, and then the answer to the next request unless the first was a watch."""

    def judge(data: bytes) -> None:
        documented(data)
        first, *rest = split(data)
        assert (first.status, orjson.loads(first.body)["code"]) == (status, code), first
        assert [answer.status for answer in rest] == [200]

    return judge


def watched(data: bytes) -> None:
    """A watch was opened, and nothing else."""
    (answer,) = split(data)
    check(answer)
    assert answer.is_stream


def refused(data: bytes) -> None:
    """Nothing, answers of HTTP/1, frames of HTTP/2, or an alert of TLS."""
    if not data.startswith(b"HTTP/1.1 "):
        if data.startswith(TLS_ALERT):
            return
        while data:
            assert len(data) >= FRAME_HEAD_BYTES, data
            length = int.from_bytes(data[:3])
            assert data[3] < 10, data
            data = data[FRAME_HEAD_BYTES + length :]
        return
    documented(data)
