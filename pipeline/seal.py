"""Sealing of private keys: HPKE tokens that only the agent opens (architecture.md law 9).

A token is `mfseal1.<key id>.<fingerprint>.<base64url of the HPKE ciphertext>`: version, public key it is sealed for,
keyed fingerprint of the plaintext, ciphertext. HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256, AES-256-GCM; the
version, key id and fingerprint are its `info`, so a token cannot be passed off under another fingerprint.
HPKE is randomised, so equal plaintext would get another token each time and every unit with a key would look changed.
The fingerprint makes tokens stable: what was sealed before (and is read back from the log) gets its old token.
"""

from __future__ import annotations

import base64
import json
from hashlib import blake2b
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from schemas.sealed import TOKEN, VERSION, spans

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    PrivateKeys = Mapping[str, X25519PrivateKey]
    """By key id."""

KEY_ID_BYTES = 8
FINGERPRINT_BYTES = 16

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class SealError(ValueError):
    """A sealed value cannot be opened, or a key file cannot be used; one line without secrets."""


class Sealer:
    """Seals values for one public key; equal plaintext gives an equal token."""

    def __init__(self, public_key: bytes, fingerprint_key: bytes) -> None:
        """Take the keys.

        Args:
            public_key: X25519, 32 raw bytes.
            fingerprint_key: 32 bytes that no reader of tokens has; without it a fingerprint says nothing about the
                plaintext.
        """
        self._public_key = X25519PublicKey.from_public_bytes(public_key)
        self._key_id = key_id_of(public_key)
        self._fingerprint_key = fingerprint_key
        self._tokens: dict[str, str] = {}

    def remember(self, body: bytes) -> None:
        """Learn the tokens in a body that was read back: they are in force, whatever this process has made."""
        for start, end, _ in spans(body):
            match = TOKEN.fullmatch(body[start:end])
            if match is not None and match[1].decode() == self._key_id:
                self._tokens[match[2].decode()] = match[0].decode()

    def settled(self, token: bytes) -> bytes:
        """Give the token in force for the plaintext of a token; the same when there is no other."""
        match = TOKEN.fullmatch(token)
        if match is None or match[1].decode() != self._key_id:
            return token
        return self._tokens.get(match[2].decode(), token.decode()).encode()

    def seal(self, plaintext: bytes) -> str:
        """Seal a value."""
        digest = blake2b(plaintext, key=self._fingerprint_key, digest_size=FINGERPRINT_BYTES).digest()
        fingerprint = to_text(digest)
        if fingerprint not in self._tokens:
            head = f"{VERSION}.{self._key_id}.{fingerprint}"
            ciphertext = _SUITE.encrypt(plaintext, self._public_key, info=head.encode())
            self._tokens[fingerprint] = f"{head}.{to_text(ciphertext)}"
        return self._tokens[fingerprint]


class Opener:
    """Opens what was sealed for any of its keys; several during a change of keys."""

    def __init__(self, private_keys: PrivateKeys, reread: Callable[[], PrivateKeys] | None = None) -> None:
        """Take private keys.

        Args:
            private_keys: by key id (`key_id_of`).
            reread: gives the keys that there are by now; called for a token of a key that is not among them, so that a
                change of keys needs no restart. What it raises is raised to the caller of `open`.
        """
        self._private_keys = dict(private_keys)
        self._reread = reread

    def open(self, token: str) -> bytes:
        """Open one token.

        Raises:
            SealError: not a token, sealed for another key, or altered.
        """
        match = TOKEN.fullmatch(token.encode())
        if match is None:
            raise SealError("not a sealed value")
        return self._open(match)

    def open_value(self, value: bytes) -> bytes:
        """Replace every token in the strings of a JSON document by its plaintext, escaped as JSON wants it.

        Args:
            value: JSON, UTF-8.

        Raises:
            SealError: as for `open`; also when a plaintext is no text.
        """
        return TOKEN.sub(self._escaped, value)

    def _escaped(self, match: re.Match[bytes]) -> bytes:
        try:
            text = self._open(match).decode()
        except UnicodeDecodeError:
            raise SealError(f"the sealed value {match[2].decode()} is not UTF-8 text") from None
        return json.dumps(text, ensure_ascii=False)[1:-1].encode()

    def _open(self, match: re.Match[bytes]) -> bytes:
        key_id, fingerprint = match[1].decode(), match[2].decode()
        if key_id not in self._private_keys and self._reread is not None:
            self._private_keys.update(self._reread())
        private_key = self._private_keys.get(key_id)
        if private_key is None:
            known = ", ".join(sorted(self._private_keys)) or "none"
            raise SealError(f"a value is sealed for key {key_id}, this process holds {known}: share seal.directory")
        head = f"{VERSION}.{key_id}.{fingerprint}".encode()
        try:
            return bytes(_SUITE.decrypt(from_text(match[3]), private_key, info=head))
        except (InvalidTag, ValueError):
            raise SealError(f"the sealed value {fingerprint} was altered or is damaged") from None


def key_id_of(public_key: bytes) -> str:
    """Name a public key."""
    return to_text(blake2b(public_key, digest_size=KEY_ID_BYTES).digest())


def to_text(data: bytes) -> str:
    """Write bytes as base64url without padding, as tokens and key files hold them."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: bytes) -> bytes:
    """Read what `to_text` wrote.

    Raises:
        ValueError: it is not base64url.
    """
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
