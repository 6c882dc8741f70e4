"""Source: TlsCertificate, inline or from an SDS Secret.

Target: ssl.cert and ssl.key, ssl.certs and ssl.keys.
Fidelity: E for inline PEM; N for PKCS #12, passwords and key providers.
Differs: a pair that does not fit together is refused here, because APISIX does not look.
Diagnostics: SEC-SOURCE, SEC-KEYPAIR, SEC-PENDING.
See: mapping.md sections 4.5 and 6.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from translators import dispatch
from translators.mappings.tls.data_source import read_text
from translators.mappings.tls.pem import parse_certificates

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

SEALED_PREFIX = "mfseal1."
"""A sealed key: only an agent can open it, so only the certificate can be checked here (law 9)."""
MIN_CERTIFICATE_CHARS, MIN_KEY_CHARS, MAX_CHARS = 128, 64, 65_536


class KeyPair(NamedTuple):
    """A certificate chain and its private key, PEM; the key may be sealed."""

    cert: str
    key: str


def read_key_pairs(
    common: xds.Message, secrets: dict[str, xds.Message], at: Where, findings: Findings
) -> list[KeyPair]:
    """Read the certificates of a CommonTlsContext, inline ones first; those that cannot be used are left out."""
    found = [
        read_key_pair(certificate, at.item("tls_certificates", index), findings)
        for index, certificate in enumerate(common.tls_certificates)
    ]
    for config in common.tls_certificate_sds_secret_configs:
        place = at.item("tls_certificate_sds_secret_configs", config.name)
        secret = secrets.get(config.name)
        if secret is None:
            findings.report("SEC-PENDING", place, value=config.name)
        else:
            found.append(read_key_pair(secret.tls_certificate, place, findings))
    return [pair for pair in found if pair is not None]


def read_key_pair(certificate: xds.Message, at: Where, findings: Findings) -> KeyPair | None:
    """Read one TlsCertificate; None, with a diagnostic, when APISIX could not use it."""
    dispatch.apply(certificate, None, at, findings)
    cert = read_text(certificate.certificate_chain, at.field("certificate_chain"), findings)
    key = read_text(certificate.private_key, at.field("private_key"), findings)
    if cert is None or key is None:
        return None
    pair = KeyPair(cert.strip() + "\n", key if key.startswith(SEALED_PREFIX) else key.strip() + "\n")
    problem = problem_of(pair)
    if problem is not None:
        findings.report("SEC-KEYPAIR", at, value=problem)
        return None
    return pair


def problem_of(pair: KeyPair) -> str | None:
    """Say what is wrong with a pair, without quoting it; None when it is good as far as can be seen."""
    for what, text, min_chars in (
        ("certificate chain", pair.cert, MIN_CERTIFICATE_CHARS),
        ("key", pair.key, MIN_KEY_CHARS),
    ):
        if not min_chars <= len(text) <= MAX_CHARS:
            return f"a {what} of {len(text)} characters"
    try:
        leaf = parse_certificates(pair.cert)[0]
    except ValueError:
        return "the certificate chain is not PEM"
    return None if pair.key.startswith(SEALED_PREFIX) else _key_problem(pair.key, leaf)


def _key_problem(key: str, leaf: Certificate) -> str | None:
    try:
        # Whether its primes are prime is the owner's affair and costs 5 ms; whether it fits the certificate is ours.
        private_key = load_pem_private_key(key.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        is_fitting = private_key.public_key().public_bytes(*shape) == leaf.public_key().public_bytes(*shape)
    except TypeError:
        return "the private key is encrypted"
    except (ValueError, UnsupportedAlgorithm):
        return "the private key or the certificate cannot be read"
    return None if is_fitting else "the private key does not fit the certificate"
