"""Put a real key pair in place of what recorded cases have instead of one: `cert-data`, `[redacted]`, nothing at all.

Such a text says only that a certificate belongs there, and with it a case would exercise no more than its refusal. What
is meant to be PEM and is damaged stays as it is.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from producers.secret import HOLDERS, TLS_CERTIFICATE
from producers.traversal import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.source import ResourceChange
    from schemas import xds

VALIDATION = "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext"
PEM_MARK = b"-----BEGIN "
SCALAR = 0x6D657368
"""The private key, so that every run has the same one."""
START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Pair(NamedTuple):
    """A certificate and its private key, PEM."""

    cert: bytes
    key: bytes


@cache
def pair() -> Pair:
    """Make the one pair: self-signed, EC P-256, valid for a hundred years."""
    key = ec.derive_private_key(SCALAR, ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "placeholder.example")])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), serial_number=1)
    dated = builder.not_valid_before(START).not_valid_after(START + dt.timedelta(days=36500))
    signed = dated.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(signed.public_bytes(Encoding.PEM), pem)


def filled(resources: Iterable[ResourceChange]) -> tuple[ResourceChange, ...]:
    """Give the resources of a case with the pair in place of placeholders; the given ones stay as they are."""
    return tuple(_filled(resource) for resource in resources)


def _filled(resource: ResourceChange) -> ResourceChange:
    if resource.body is None or resource.type_url not in HOLDERS:
        return resource
    body = type(resource.body)()
    body.CopyFrom(resource.body)
    rewrite(body, TLS_CERTIFICATE, _fill_pair)
    rewrite(body, VALIDATION, _fill_authority)
    return msgspec.structs.replace(resource, body=body)


def _fill_pair(certificate: xds.Message) -> None:
    """Replace both: a key that is hidden fits no certificate that is shown."""
    if is_placeholder(certificate.certificate_chain) or is_placeholder(certificate.private_key):
        certificate.certificate_chain.inline_bytes, certificate.private_key.inline_bytes = pair()


def _fill_authority(validation: xds.Message) -> None:
    if is_placeholder(validation.trusted_ca):
        validation.trusted_ca.inline_bytes = pair().cert


def is_placeholder(source: xds.Message) -> bool:
    """Tell whether an inline DataSource holds a text that was never meant to be PEM."""
    kind = source.WhichOneof("specifier")
    if kind not in ("inline_bytes", "inline_string"):
        return False
    text = source.inline_bytes if kind == "inline_bytes" else source.inline_string.encode()
    return PEM_MARK not in text
