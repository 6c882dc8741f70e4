"""Source: JwtProvider.local_jwks: a JSON Web Key Set (RFC 7517) or a single PEM.

Target: a PEM public key and the one algorithm that its tokens may be signed with.
Fidelity: A.
Differs: a key without `alg` verifies the usual algorithm of its type only (RS256, ES256 .., EdDSA), where Envoy takes
    every algorithm of the type.
Diagnostics: AUTH-JWKS.
See: mapping.md section 4.7.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: dict[str, tuple[type[ec.EllipticCurve], str]] = {
    "P-256": (ec.SECP256R1, "ES256"),
    "P-384": (ec.SECP384R1, "ES384"),
    "P-521": (ec.SECP521R1, "ES512"),
}
_UNREADABLE = (ValueError, TypeError, KeyError, UnsupportedAlgorithm)


class KeySetError(ValueError):
    """The key set does not hold exactly one key that can be used; the message says why, without any of it."""


class VerificationKey(NamedTuple):
    """What verifies tokens.

    Attributes:
        pem: SubjectPublicKeyInfo.
        algorithm: as in the header of tokens.
        key_id: tokens that name another one are not verified; empty where Envoy does not look at it.
    """

    pem: str
    algorithm: str
    key_id: str = ""


@lru_cache(maxsize=256)
def read_key(text: str) -> VerificationKey:
    """Read a key set with one key.

    Args:
        text: JSON of a key set.

    Raises:
        KeySetError: it cannot be read, or has no key, several keys, or one of a kind that APISIX cannot verify with.
    """
    if text.startswith("mfseal1."):
        raise KeySetError("a key that could sign, too; use RSA, EC or Ed25519, the public part alone")
    try:
        keys = orjson.loads(text)["keys"]
    except _UNREADABLE:
        raise KeySetError("the key set is not JSON with `keys`") from None
    if not isinstance(keys, list) or len(keys) != 1:
        # Consumers are found by one claim of the payload, so an issuer has one key; kid stands in the header.
        count = len(keys) if isinstance(keys, list) else 0
        raise KeySetError(f"{count} keys; APISIX verifies the tokens of an issuer with one")
    try:
        return _read(keys[0])
    except KeySetError:
        raise
    except _UNREADABLE:
        raise KeySetError("the key is damaged") from None


def _read(key: dict[str, Any]) -> VerificationKey:
    kind, curve = key["kty"], key.get("crv")
    public: PublicKeyTypes
    if kind == "RSA":
        public, usual = RSAPublicNumbers(_integer(key["e"]), _integer(key["n"])).public_key(), "RS256"
        allowed: tuple[str, ...] = _RSA
    elif kind == "EC" and curve in _CURVES:
        shape, usual = _CURVES[curve]
        public = ec.EllipticCurvePublicNumbers(_integer(key["x"]), _integer(key["y"]), shape()).public_key()
        allowed = (usual,)
    elif kind == "OKP" and curve == "Ed25519":
        public, usual = Ed25519PublicKey.from_public_bytes(_bytes(key["x"])), "EdDSA"
        allowed = (usual,)
    else:
        raise KeySetError(f"a key of the kind {str(kind)[:16]}; use RSA, EC or Ed25519")
    algorithm = key.get("alg") or usual
    if algorithm not in allowed:
        raise KeySetError(f"a key for {str(algorithm)[:16]}, which its kind does not have")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key_id = key.get("kid", "")
    return VerificationKey(pem, algorithm, key_id if isinstance(key_id, str) else "")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _integer(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
