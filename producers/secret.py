"""Certificates and their keys, looked at while they are still in the clear (mapping.md sections 4.5 and 6.5).

Behind the producer a private key is a sealed token, so that only here can somebody tell whether it fits its
certificate. What is encrypted under a password, and what comes as PKCS#12, becomes plain PEM, which is sealed next.
"""

from __future__ import annotations

import datetime as dt
import warnings
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.utils import CryptographyDeprecationWarning

from producers.sealing import TOKEN
from producers.traversal import rewrite
from schemas import xds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

TLS_CERTIFICATE = "envoy.extensions.transport_sockets.tls.v3.TlsCertificate"
HOLDERS = frozenset({xds.SECRET, xds.LISTENER, xds.CLUSTER})
"""Resource types that hold certificates with their keys."""
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


class BadPairError(ValueError):
    """A certificate that no server could use; one line without any of the material."""


class Inspection(NamedTuple):
    """What was found in the certificates of a resource, each with its field path."""

    message: xds.Message
    """The resource, its keys readable without a password; the one that was given when nothing had to be changed."""
    faults: tuple[tuple[str, str], ...]
    """SEC-KEYPAIR: reasons not to take the resource over a good one."""
    expiries: tuple[tuple[str, str], ...]
    """SEC-EXPIRED: certificates outside their time. It was valid before and nothing can be kept that is better."""


def inspect(type_url: str, message: xds.Message, time_ms: int) -> Inspection:
    """Check every certificate that a resource holds inline, and take passwords off.

    Args:
        type_url: of the resource; types outside `HOLDERS` have nothing to check.
        message: the resource as the source gave it; it is not changed.
        time_ms: now, Unix milliseconds.
    """
    if type_url not in HOLDERS or not _has_certificate(type_url, message):
        return Inspection(message, (), ())
    copy = type(message)()
    copy.CopyFrom(message)
    now = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)
    faults: list[tuple[str, str]] = []
    expiries: list[tuple[str, str]] = []
    for path, holder in _places(type_url, copy):
        rewrite(holder, TLS_CERTIFICATE, _check(path, now, faults, expiries))
    return Inspection(copy, tuple(faults), tuple(expiries))


def _has_certificate(type_url: str, message: xds.Message) -> bool:
    found: list[xds.Message] = []
    return any(rewrite(holder, TLS_CERTIFICATE, found.append) for _, holder in _places(type_url, message))


def _places(type_url: str, message: xds.Message) -> Iterator[tuple[str, xds.Message]]:
    """Give the parts of a resource that certificates stand in, with their paths."""
    if type_url == xds.SECRET:
        if message.HasField("tls_certificate"):
            yield "tls_certificate", message.tls_certificate
        return
    if type_url == xds.CLUSTER:
        if message.HasField("transport_socket"):
            yield "transport_socket", message.transport_socket
        for index, match in enumerate(message.transport_socket_matches):
            yield f"transport_socket_matches[{index}].transport_socket", match.transport_socket
        return
    for index, chain in enumerate(message.filter_chains):
        if chain.HasField("transport_socket"):
            yield f"filter_chains[{index}].transport_socket", chain.transport_socket
    if message.HasField("default_filter_chain") and message.default_filter_chain.HasField("transport_socket"):
        yield "default_filter_chain.transport_socket", message.default_filter_chain.transport_socket


def _check(
    path: str, now: dt.datetime, faults: list[tuple[str, str]], expiries: list[tuple[str, str]]
) -> Callable[[xds.Message], None]:
    def check(certificate: xds.Message) -> None:
        try:
            chain = _plain_pair(certificate)
        except BadPairError as error:
            faults.append((path, str(error)))
            return
        for place, link in enumerate(chain):
            if text := _expiry(link, now):
                expiries.append((f"{path}.certificate_chain", f"certificate {place} of the chain {text}"))

    return check


def _plain_pair(certificate: xds.Message) -> list[x509.Certificate]:
    """Check one TlsCertificate and make its key plain PEM, in place.

    Returns:
        The chain; empty when it is not inline, which the translator diagnoses.

    Raises:
        BadPairError: it cannot be used.
    """
    password = _inline(certificate.password) or None
    if bundle := _inline(certificate.pkcs12):
        _unwrap(certificate, bundle, password)
    chain_text, key_text = _inline(certificate.certificate_chain), _inline(certificate.private_key)
    chain = _chain(chain_text) if chain_text else []
    if not key_text or TOKEN.fullmatch(key_text):
        return chain
    key = _key(key_text, password)
    if password is not None:
        certificate.private_key.inline_bytes = _pem(key)
        certificate.ClearField("password")
    if chain and not _fits(key, chain[0]):
        raise BadPairError("the private key does not belong to the first certificate of the chain")
    return chain


def _unwrap(certificate: xds.Message, bundle: bytes, password: bytes | None) -> None:
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(bundle, password)
    except _UNREADABLE:
        raise BadPairError("the PKCS#12 bundle cannot be opened; give the right password, or PEM") from None
    if key is None or leaf is None:
        raise BadPairError("the PKCS#12 bundle lacks a key or its certificate")
    certificate.certificate_chain.inline_bytes = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *others))
    certificate.private_key.inline_bytes = _pem(key)
    certificate.ClearField("pkcs12")
    certificate.ClearField("password")


def _chain(text: bytes) -> list[x509.Certificate]:
    try:
        with warnings.catch_warnings():
            # OpenSSL takes certificates with odd serial numbers, so whether they are good style is not ours to say.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificates(text)
    except _UNREADABLE:
        raise BadPairError("the certificate chain is not PEM, or a certificate in it is damaged") from None


def _key(text: bytes, password: bytes | None) -> PrivateKeyTypes:
    for attempt in (password, None) if password is not None else (None,):
        try:
            return load_pem_private_key(text, attempt)
        except _UNREADABLE:
            continue
    raise BadPairError("the private key is not PEM, is damaged, or its password is missing or wrong")


def _fits(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    try:
        return key.public_key() == certificate.public_key()
    except _UNREADABLE:
        raise BadPairError("the kind of the key in the certificate is not known") from None


def _expiry(certificate: x509.Certificate, now: dt.datetime) -> str:
    if certificate.not_valid_after_utc <= now:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if certificate.not_valid_before_utc > now:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _inline(source: xds.Message) -> bytes:
    specifier = source.WhichOneof("specifier")
    if specifier == "inline_bytes":
        return bytes(source.inline_bytes)
    return source.inline_string.encode() if specifier == "inline_string" else b""
