"""The server's certificate and whom it trusts, from files that change under a running agent."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

LOGGER = logging.getLogger("meshferry.agent")
ALPN_PROTOCOLS = ("h2", "http/1.1")
"""What is offered to clients that ask; those that do not are served alike (contract rule 1)."""
SAY_EVERY_S = 60.0


class TLSFileError(OSError):
    """A file cannot be used; one line with its path and the remedy."""


class TLSFiles(NamedTuple):
    """The PEM files.

    Attributes:
        certificate: the server's, and what leads to its authority.
        private_key: its key.
        client_ca: authorities of client certificates; None asks clients for none.
        is_client_certificate_required: whether a client without one is refused.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None
    is_client_certificate_required: bool = False


class TLSContext:
    """The context for new handshakes; connections keep the one they began with.

    Args:
        files: see there.

    Attributes:
        current: the newest that could be made.

    Raises:
        TLSFileError: there is none yet and the files cannot be used.
    """

    def __init__(self, files: TLSFiles) -> None:
        self._files = files
        self._seen = _signature(files)
        self.current = build_context(files)
        self._failure_count = 0
        self._say_at_s: dict[str, float] = {}

    def renew(self) -> None:
        """Read the files again if they have changed; what cannot be used leaves everything as it is."""
        seen = _signature(self._files)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.current = build_context(self._files)
        except TLSFileError as error:
            LOGGER.warning("agent: %s; new connections get the certificate from before", error)
        else:
            LOGGER.info("agent: %s has changed: new connections get it", self._files.certificate)

    def note_failure(self, peer: object, reason: str, now_s: float) -> None:
        """Say why a handshake failed, each reason once a minute: anybody can make them fail.

        Args:
            peer: address of the client.
            reason: in a few words, of which there are not many.
            now_s: monotonic.
        """
        self._failure_count += 1
        if now_s >= self._say_at_s.get(reason, now_s):
            address = peer[0] if isinstance(peer, tuple) and peer else "unknown"
            LOGGER.warning("agent: TLS with %s failed: %s (%d failed so far)", address, reason, self._failure_count)
            self._say_at_s[reason] = now_s + SAY_EVERY_S


def _signature(files: TLSFiles) -> tuple[object, ...]:
    return tuple(_stamp(path) for path in (files.certificate, files.private_key, files.client_ca) if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def build_context(files: TLSFiles) -> ssl.SSLContext:
    """Make a context of what the files hold now: TLS 1.2 and later, no SNI and no ALPN needed.

    Raises:
        TLSFileError: with the path.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have the agent do nothing else
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    _load_chain(context, files)
    if files.client_ca is not None:
        _load_authorities(context, files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if files.is_client_certificate_required else ssl.CERT_OPTIONAL
    return context


def _load_chain(context: ssl.SSLContext, files: TLSFiles) -> None:
    for path in (files.certificate, files.private_key):
        _check_readable(path)
    try:
        context.load_cert_chain(files.certificate, files.private_key, password=_refuse_passphrase)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not usable"
        raise TLSFileError(
            f"agent.tls: {files.certificate} with {files.private_key}: {reason}: "
            "give a PEM certificate and its own key, without a passphrase"
        ) from None


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _check_readable(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TLSFileError(
            f"agent.tls.client_ca: {path}: {error.reason or 'not usable'}: give PEM certificates"
        ) from None


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise TLSFileError(f"agent.tls: {path}: {error.strerror}: give a file that the agent may read") from None


def _refuse_passphrase() -> NoReturn:
    """OpenSSL would ask for it on the terminal."""
    raise ValueError
