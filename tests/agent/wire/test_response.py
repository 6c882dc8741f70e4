from __future__ import annotations

import pytest

from agent.etcd.errors import permission_denied
from agent.wire.response import GRPC_JSON, Response, body_of, chunk, failure, head, text


def test_a_head_announces_length_and_whether_the_connection_stays():
    answer = text(404, "Not Found\n", b"X: 1\r\n")
    rendered = head(answer, is_keep_alive=True).decode()
    assert rendered.startswith("HTTP/1.1 404 Not Found\r\n")
    assert rendered.endswith("\r\nContent-Type: text/plain; charset=utf-8\r\nX: 1\r\nContent-Length: 10\r\n\r\n")
    assert "Connection" not in rendered


@pytest.mark.parametrize(
    ("is_keep_alive", "is_old", "says"), [(False, False, "close"), (False, True, "close"), (True, True, "keep-alive")]
)
def test_connection_is_named_where_it_is_not_the_default(is_keep_alive: bool, is_old: bool, says: str):  # noqa: FBT001 - parameters of a table
    assert f"Connection: {says}\r\n".encode() in head(text(200, ""), is_keep_alive=is_keep_alive, is_old=is_old)


def test_a_chunk_is_framed():
    assert chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"


def test_a_failure_has_no_grpc_header():
    answer = failure(permission_denied())
    assert answer.status == 403
    assert b"Grpc" not in answer.headers


def test_a_stream_is_a_chunk_for_each_line_except_for_an_old_client():
    answer = Response(200, GRPC_JSON, b"a\nbc\n", is_stream=True)
    assert b"Transfer-Encoding: chunked\r\n" in head(answer, is_keep_alive=True)
    assert body_of(answer) == b"2\r\na\n\r\n3\r\nbc\n\r\n0\r\n\r\n"
    assert b"Content-Length: 5\r\n" in head(answer, is_keep_alive=False, is_old=True)
    assert body_of(answer, is_old=True) == b"a\nbc\n"
