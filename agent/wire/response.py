"""The bytes of HTTP/1.1 responses, with the headers etcd's gateway sends (etcd-contract.md section 7)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.etcd.errors import EtcdError

_CORS = (
    b"Access-Control-Allow-Headers: accept, content-type, authorization\r\n"
    b"Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
)
JSON = b"Content-Type: application/json\r\n"
GRPC_JSON = JSON + b"Grpc-Metadata-Content-Type: application/grpc\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\n" + _CORS + GRPC_JSON + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
HEARTBEAT_CHUNK = b"1\r\n \r\n"
TLS_HANDSHAKE = b"\x16"
"""What a client that speaks TLS begins with: the content type of its first record."""


class Response(NamedTuple):
    """A complete answer; `is_stream` sends it as chunks, as the gateway does with what is a stream in gRPC."""

    status: int
    headers: bytes
    body: bytes
    is_stream: bool = False


def head(response: Response, *, is_keep_alive: bool, is_old: bool = False) -> bytes:
    """Render status line and headers.

    Args:
        response: whose body length is announced, also in the answer to a HEAD.
        is_keep_alive: whether the connection stays open.
        is_old: the request came over HTTP/1.0, which must be told that it stays open.
    """
    connection = b"" if is_keep_alive and not is_old else b"Connection: keep-alive\r\n"
    if not is_keep_alive:
        connection = b"Connection: close\r\n"
    phrase = HTTPStatus(response.status).phrase.encode()
    framing = b"Content-Length: %d" % len(response.body)
    if response.is_stream and not is_old:
        framing = b"Transfer-Encoding: chunked"
    return b"HTTP/1.1 %d %b\r\n%b%b%b%b\r\n\r\n" % (
        response.status,
        phrase,
        _CORS,
        response.headers,
        connection,
        framing,
    )


def body_of(response: Response, *, is_old: bool = False) -> bytes:
    """Frame the body as the head says."""
    if not response.is_stream or is_old:
        return response.body
    lines = response.body.splitlines(keepends=True)
    return b"".join([*map(chunk, lines), LAST_CHUNK])


def chunk(data: bytes) -> bytes:
    """Frame one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def text(status: int, body: str, headers: bytes = b"") -> Response:
    """Make a plain text answer."""
    return Response(status, TEXT + headers, body.encode())


def failure(error: EtcdError) -> Response:
    """Make the answer for an etcd error."""
    return Response(error.status, JSON, error.body())


def unreadable(data: bytes) -> Response:
    """Make the answer to bytes that are no HTTP."""
    if data[:1] == TLS_HANDSHAKE:
        return text(400, "400 Bad Request: this port does not speak TLS: use http://, or set agent.tls\n")
    return text(400, "400 Bad Request")
