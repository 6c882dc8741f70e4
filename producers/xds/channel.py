"""How a control plane is reached: channel, credentials and metadata of a stream, and what its errors mean."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_TIMEOUT_S = 20.0
KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
MAX_DETAILS_CHARS = 300
REMEDIES = {
    grpc.StatusCode.UNAVAILABLE: "check address, port, TLS settings and that the control plane runs; tried again",
    grpc.StatusCode.UNIMPLEMENTED: "check that the address is an ADS server's, and `variant` (sotw or delta)",
    grpc.StatusCode.UNAUTHENTICATED: "check the token file or the client certificate; tried again",
    grpc.StatusCode.PERMISSION_DENIED: "check that this identity may subscribe as this node id; tried again",
    grpc.StatusCode.INVALID_ARGUMENT: "check node id, cluster and metadata against what the control plane wants",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the control plane limits streams; tried again with back-off",
}


@dataclass(frozen=True)
class TLSFiles:
    """PEM files of a TLS connection, read at every connect; an empty path leaves that part out."""

    ca: str = ""
    """The authorities to trust; empty trusts the system's."""
    cert: str = ""
    """The client certificate, for mTLS."""
    key: str = ""
    """Its private key."""
    server_name: str = ""
    """The name the server's certificate must have, where it is not the host of the address."""


@dataclass(frozen=True)
class Server:
    """An ADS server and how to speak to it."""

    address: str
    """host:port."""
    tls: TLSFiles | None = None
    """None speaks plaintext."""
    token_file: str = ""
    """File with a token, read at every connect."""
    token_header: str = "authorization"  # noqa: S105 - the header's name
    """The gRPC metadata key that the token is sent as."""
    token_prefix: str = "Bearer "  # noqa: S105 - what stands before the token
    """What stands before the token there."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Further gRPC metadata of the stream."""
    keepalive_ms: int = KEEPALIVE_MS
    """A connection that is silent for so long is probed by an HTTP/2 ping."""


class ConnectError(Exception):
    """An attempt or a stream failed; what went wrong and what to do about it, one line each.

    Attributes:
        code: the gRPC status, None where it was not gRPC that failed.
    """

    def __init__(self, message: str, remedy: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code


def open_channel(server: Server) -> Any:
    """Make a channel; it connects when it is first used.

    Raises:
        ConnectError: a file of the credentials cannot be used.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", -1),  # one response of 3.6 MB is normal (control-planes.md section 6)
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", server.keepalive_ms),
        ("grpc.keepalive_timeout_ms", min(server.keepalive_ms, KEEPALIVE_TIMEOUT_MS)),
        (
            "grpc.http2.ping_timeout_ms",
            min(server.keepalive_ms, KEEPALIVE_TIMEOUT_MS),
        ),  # else a ping is waited for 60 s
        ("grpc.http2.max_pings_without_data", 0),  # an idle stream is the normal case, it must be probed for ever
        ("grpc.use_local_subchannel_pool", 1),  # else a new channel inherits the back-off of the old one
        ("grpc.enable_retries", 0),  # a stream is opened again by us, with what is then known
    ]
    if server.tls is None:
        return grpc.aio.insecure_channel(server.address, options=options)
    if server.tls.server_name:
        options.append(("grpc.ssl_target_name_override", server.tls.server_name))
    return grpc.aio.secure_channel(server.address, _credentials(server.tls), options=options)


def _credentials(tls: TLSFiles) -> grpc.ChannelCredentials:
    if bool(tls.cert) != bool(tls.key):  # grpc aborts the process over it
        raise ConnectError("a client certificate without its key, or the reverse", "give both `cert` and `key`")
    return grpc.ssl_channel_credentials(
        root_certificates=_read_pem(tls.ca, "CA") if tls.ca else None,
        private_key=_read_pem(tls.key, "key") if tls.key else None,
        certificate_chain=_read_pem(tls.cert, "certificate") if tls.cert else None,
    )


def check_headers(headers: Mapping[str, str], token_header: str) -> tuple[tuple[str, str], ...]:
    """Check gRPC metadata, which grpc would abort a stream for.

    Args:
        headers: by key.
        token_header: the key of the token; empty takes the profile's.

    Raises:
        ValueError: names the key.
    """
    for key in [*headers, *([token_header] if token_header else [])]:
        if not re.fullmatch("[a-z0-9_.-]+", key) or key.endswith("-bin") or key.startswith("grpc-"):
            raise ValueError(f"headers: {key!r} is no key of gRPC metadata; use lower case, without -bin and grpc-")
    for key, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"headers.{key}: use printable ASCII")
    return tuple(headers.items())


def call_metadata(server: Server) -> tuple[tuple[str, str], ...]:
    """Give the metadata of a stream, the token as its file has it now.

    Raises:
        ConnectError: the token file cannot be used.
    """
    if not server.token_file:
        return server.metadata
    token = _read_file(server.token_file, "token").decode("ascii", "replace").strip()
    if not token or not token.isprintable() or not token.isascii():
        raise ConnectError(f"{server.token_file}: is no token", "write the token alone into the file, in ASCII")
    return (*server.metadata, (server.token_header, f"{server.token_prefix}{token}"))


def _read_pem(path: str, what: str) -> bytes:
    content = _read_file(path, what)
    if b"-----BEGIN " not in content:
        raise ConnectError(f"{path}: is not PEM", f"give the {what} as a PEM file")
    return content


def _read_file(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConnectError(f"{path}: {error.strerror}", f"give a readable {what} file") from error


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what grpc raises when a stream fails into a ConnectError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise stream_error(what, error.code(), error.details()) from error
    except TimeoutError:
        raise stream_error(what, grpc.StatusCode.UNAVAILABLE, f"no answer within {CONNECT_TIMEOUT_S:g} s") from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # grpc raises this too when the server ends the stream with the status CANCELLED
        raise stream_error(what, grpc.StatusCode.CANCELLED, "") from None


def stream_error(what: str, code: grpc.StatusCode, details: str | None) -> ConnectError:
    """Describe the end of a stream.

    Args:
        what: happened.
        code: the gRPC status.
        details: the server's words.
    """
    reason = " ".join((details or "").split())[:MAX_DETAILS_CHARS]
    message = f"{what}: {code.name}" + (f", {reason}" if reason else "")
    return ConnectError(message, REMEDIES.get(code, "it is opened again; see the control plane's log"), code)
