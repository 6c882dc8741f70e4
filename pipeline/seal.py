"""Sealing of private keys: HPKE tokens that only the agent opens (architecture.md law 9).

A token is `mfseal1.<key id>.<fingerprint>.<base64url of the HPKE ciphertext>`: version, public key it is sealed for,
keyed fingerprint of the plaintext, ciphertext. HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256, AES-256-GCM; the
version, key id and fingerprint are its `info`, so a token cannot be passed off under another fingerprint.
HPKE is randomised, so equal plaintext would get another token each time and every unit with a key would look changed.
The fingerprint makes tokens stable: what was sealed before (and is read back from the log) gets its old token.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

VERSION = "mfseal1"
TOKEN = re.compile(rb"mfseal1\.([A-Za-z0-9_-]{11})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]+)")
KEY_ID_BYTES = 8
FINGERPRINT_BYTES = 16
FINGERPRINT_KEY_BYTES = 32
PRIVATE_KEY_FILE = "seal.key"
PUBLIC_KEY_FILE = "seal.pub"
FINGERPRINT_KEY_FILE = "seal.fingerprint"
OWNER_ONLY = 0o600

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class SealError(ValueError):
    """A sealed value cannot be opened, or a key file cannot be used; one line without secrets."""


class SealKeys(NamedTuple):
    """What a process needs to seal and, where it holds the private key, to open."""

    public_key: bytes
    """X25519, 32 raw bytes."""
    fingerprint_key: bytes
    private_key: X25519PrivateKey | None

    @property
    def key_id(self) -> str:
        """Names the public key inside tokens."""
        return key_id_of(self.public_key)


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
        """Learn the tokens in a body that was read back, so that a restart seals nothing anew."""
        for match in TOKEN.finditer(body):
            if match[1].decode() == self._key_id:
                self._tokens.setdefault(match[2].decode(), match[0].decode())

    def seal(self, plaintext: bytes) -> str:
        """Seal a value."""
        digest = blake2b(plaintext, key=self._fingerprint_key, digest_size=FINGERPRINT_BYTES).digest()
        fingerprint = _base64(digest)
        if fingerprint not in self._tokens:
            head = f"{VERSION}.{self._key_id}.{fingerprint}"
            ciphertext = _SUITE.encrypt(plaintext, self._public_key, info=head.encode())
            self._tokens[fingerprint] = f"{head}.{_base64(ciphertext)}"
        return self._tokens[fingerprint]


class Opener:
    """Opens what was sealed for any of its keys; several during a change of keys."""

    def __init__(self, private_keys: Mapping[str, X25519PrivateKey]) -> None:
        """Take private keys by key id (`key_id_of`)."""
        self._private_keys = dict(private_keys)

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
        private_key = self._private_keys.get(key_id)
        if private_key is None:
            known = ", ".join(sorted(self._private_keys)) or "none"
            raise SealError(f"a value is sealed for key {key_id}, this process holds {known}: share seal.directory")
        head = f"{VERSION}.{key_id}.{fingerprint}".encode()
        try:
            return bytes(_SUITE.decrypt(_bytes(match[3]), private_key, info=head))
        except (InvalidTag, ValueError):
            raise SealError(f"the sealed value {fingerprint} was altered or is damaged") from None


def key_id_of(public_key: bytes) -> str:
    """Name a public key."""
    return _base64(blake2b(public_key, digest_size=KEY_ID_BYTES).digest())


def load_or_create_keys(directory: Path) -> SealKeys:
    """Read the key pair of a directory, or make one on first use.

    The private key is written with mode 0600 and linked into place, so of two processes that start together one wins
    and both use its key. A directory with only `seal.pub` is that of a producer that cannot open: its fingerprint key
    is then a random one, kept beside it.

    Raises:
        SealError: a key file is damaged or readable by others.
        OSError: the directory cannot be read or written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    public_file = directory / PUBLIC_KEY_FILE
    if public_file.exists() and not (directory / PRIVATE_KEY_FILE).exists():
        return SealKeys(_read(public_file), _load_or_create(directory / FINGERPRINT_KEY_FILE, _random), None)
    raw = _load_or_create(directory / PRIVATE_KEY_FILE, lambda: X25519PrivateKey.generate().private_bytes_raw())
    private_key = X25519PrivateKey.from_private_bytes(raw)
    public_key = private_key.public_key().public_bytes_raw()
    _load_or_create(public_file, lambda: public_key)
    derive = HKDF(SHA256(), FINGERPRINT_KEY_BYTES, salt=None, info=b"meshferry seal fingerprint 1")
    return SealKeys(public_key, derive.derive(raw), private_key)


def opener_of(keys: SealKeys) -> Opener:
    """Make the opener of a key pair.

    Raises:
        SealError: the private key is not here.
    """
    if keys.private_key is None:
        raise SealError(f"{PRIVATE_KEY_FILE} is missing: this process can seal but not open")
    return Opener({keys.key_id: keys.private_key})


def _load_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        _create(path, _base64(make()).encode() + b"\n")
    return _read(path)


def _create(path: Path, content: bytes) -> None:
    """Write a new file whole or not at all; a file that appeared meanwhile is left as it is."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)
        except FileExistsError:
            return
    finally:
        scratch.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    if path.name != PUBLIC_KEY_FILE and path.stat().st_mode & 0o077:
        raise SealError(f"{path}: other users may read it; run chmod 600 on it")
    try:
        raw = _bytes(path.read_bytes().strip())
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != FINGERPRINT_KEY_BYTES:
        raise SealError(f"{path}: not a key of {FINGERPRINT_KEY_BYTES} bytes in base64url; restore it from a backup")
    return raw


def _random() -> bytes:
    return os.urandom(FINGERPRINT_KEY_BYTES)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
