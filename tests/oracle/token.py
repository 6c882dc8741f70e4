"""JSON Web Tokens for tests: keys, key sets, signing and verifying, by `cryptography` alone."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

LONG_AGO, FAR_AWAY = 1_000_000_000, 4_000_000_000
"""Unix seconds that no test run will see."""
_HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


def to_text(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Read base64url without padding.

    Raises:
        ValueError: it is none.
    """
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


@dataclass(frozen=True)
class Signer:
    """A private key with its JWK.

    Attributes:
        key: of `cryptography`.
        jwk: its public part.
        algorithm: that it signs with.
    """

    key: Any
    jwk: dict[str, Any]
    algorithm: str

    def token(self, claims: dict[str, Any] | None = None, **header: Any) -> str:
        """Sign claims; `alg` in the header changes what is said, not how it is signed."""
        head = {"alg": self.algorithm, "typ": "JWT", **header}
        parts = ".".join(to_text(json.dumps(part).encode()) for part in (head, claims or {}))
        return f"{parts}.{to_text(_sign(self.key, self.algorithm, parts.encode()))}"

    def key_set(self, **fields: Any) -> str:
        """Give the key set with this key alone; `fields` are added to the key."""
        return json.dumps({"keys": [{**self.jwk, **fields}]})


@cache
def rsa_signer(number: int = 0, algorithm: str = "RS256") -> Signer:
    """Give an RSA key; the same number is the same key in a run."""
    key = _rsa_key(number)
    public = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "e": to_text(_octets(public.e)), "n": to_text(_octets(public.n))}
    return Signer(key, jwk, algorithm)


@cache
def _rsa_key(number: int) -> rsa.RSAPrivateKey:
    assert number >= 0
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_signer(curve: str = "P-256") -> Signer:
    """Give an EC key."""
    key = ec.generate_private_key(_CURVES[curve]())
    public, size = key.public_key().public_numbers(), (key.key_size + 7) // 8
    x, y = (to_text(part.to_bytes(size, "big")) for part in (public.x, public.y))
    algorithm = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[curve]
    return Signer(key, {"kty": "EC", "crv": curve, "x": x, "y": y}, algorithm)


@cache
def ed_signer() -> Signer:
    """Give an Ed25519 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    return Signer(key, {"kty": "OKP", "crv": "Ed25519", "x": to_text(key.public_key().public_bytes_raw())}, "EdDSA")


def unsigned(claims: dict[str, Any]) -> str:
    """Give a token of the algorithm `none`."""
    return ".".join(to_text(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)) + "."


def verifies(pem: str, algorithm: str, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is of the key's owner, as the algorithm says."""
    key: Any = serialization.load_pem_public_key(pem.encode())
    try:
        if algorithm[:2] == "ES":
            half = len(signature) // 2
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(_HASHES[algorithm[2:]]()))
        elif algorithm == "EdDSA":
            key.verify(signature, message)
        else:
            key.verify(signature, message, _padding(algorithm), _HASHES[algorithm[2:]]())
    except (InvalidSignature, ValueError):
        return False
    return True


def _sign(key: Any, algorithm: str, message: bytes) -> bytes:
    if algorithm == "EdDSA":
        return bytes(key.sign(message))
    digest = _HASHES[algorithm[2:]]()
    if algorithm[:2] == "ES":
        size = (key.key_size + 7) // 8
        return b"".join(
            part.to_bytes(size, "big") for part in decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        )
    return bytes(key.sign(message, _padding(algorithm), digest))


def _padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm[:2] == "RS":
        return padding.PKCS1v15()
    digest = _HASHES[algorithm[2:]]()
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
