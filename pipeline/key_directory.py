"""The directory that holds the keys of sealing: the current pair, and the private keys before it. I/O.

`seal.key` is the current private key, `seal.pub` its public part, `seal.<key id>.key` a private key that was current
before. A producer on a host of its own needs only `seal.pub`; it keeps its fingerprint key beside it.
"""

from __future__ import annotations

import binascii
import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.seal import Opener, SealError, from_text, key_id_of, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.seal import PrivateKeys

PRIVATE_KEY_FILE = "seal.key"
PUBLIC_KEY_FILE = "seal.pub"
FINGERPRINT_KEY_FILE = "seal.fingerprint"
RETIRED_KEY_FILES = "seal.*.key"
OWNER_ONLY = 0o600
KEY_BYTES = 32


class KeysExistError(RuntimeError):
    """Keys would be overwritten."""


class SealKeys(NamedTuple):
    """What a process needs to seal and, where it holds the private key, to open."""

    public_key: bytes
    """X25519, 32 raw bytes."""
    fingerprint_key: bytes
    private_key: X25519PrivateKey | None
    retired: tuple[X25519PrivateKey, ...] = ()
    """Keys before the current one: what was sealed for them opens until it has been sealed anew."""

    @property
    def private_keys(self) -> dict[str, X25519PrivateKey]:
        """Everything that opens, by key id."""
        held = (*self.retired, self.private_key) if self.private_key is not None else self.retired
        return {key_id_of(key.public_key().public_bytes_raw()): key for key in held}

    @property
    def key_id(self) -> str:
        """Names the public key inside tokens."""
        return key_id_of(self.public_key)


class KeyFile(NamedTuple):
    """One key of a directory, without the key."""

    key_id: str
    is_current: bool
    opens: bool
    """Its private part is here."""
    created_ms: int


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
    raw = _load_or_create(directory / PRIVATE_KEY_FILE, _generate)
    private_key = X25519PrivateKey.from_private_bytes(raw)
    public_key = private_key.public_key().public_bytes_raw()
    if _load_or_create(public_file, lambda: public_key) != public_key:
        _replace(public_file, public_key)  # a rotation was cut short
    derive = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"meshferry seal fingerprint 1")
    return SealKeys(public_key, derive.derive(raw), private_key, tuple(_retired(directory)))


def create_keys(directory: Path) -> SealKeys:
    """Make the key pair of a directory that has none.

    Raises:
        KeysExistError: there are keys.
        OSError: the directory cannot be written.
    """
    for name in (PRIVATE_KEY_FILE, PUBLIC_KEY_FILE):
        if (directory / name).exists():
            raise KeysExistError(f"{directory / name} exists; `meshferry keys rotate` makes a new current key")
    return load_or_create_keys(directory)


def rotate_keys(directory: Path) -> SealKeys:
    """Make a new current key and keep the one before, so that what it sealed still opens.

    Raises:
        SealError: there is no private key to rotate, or it is damaged.
        OSError: the directory cannot be written.
    """
    path = directory / PRIVATE_KEY_FILE
    if not path.exists():
        raise SealError(f"{path} is missing: rotate where the private key is, then copy {PUBLIC_KEY_FILE}")
    before = load_or_create_keys(directory)
    retired = directory / f"seal.{before.key_id}.key"
    if not retired.exists():
        os.link(path, retired)
    raw = _generate()
    _replace(path, raw)
    _replace(directory / PUBLIC_KEY_FILE, X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw())
    return load_or_create_keys(directory)


def list_keys(directory: Path) -> list[KeyFile]:
    """Describe the keys of a directory, the current one first, then from the youngest.

    Raises:
        SealError: a key file is damaged or readable by others.
        OSError: the directory cannot be read.
    """
    current = directory / PRIVATE_KEY_FILE
    if current.exists():
        found = [KeyFile(_id_of(_read(current)), is_current=True, opens=True, created_ms=_created_ms(current))]
    elif (public := directory / PUBLIC_KEY_FILE).exists():
        found = [KeyFile(key_id_of(_read(public)), is_current=True, opens=False, created_ms=_created_ms(public))]
    else:
        raise SealError(f"{directory}: no keys here; make them with `meshferry keys new {directory}`")
    retired = [
        KeyFile(_id_of(_read(path)), is_current=False, opens=True, created_ms=_created_ms(path))
        for path in directory.glob(RETIRED_KEY_FILES)
    ]
    return [*found, *sorted(retired, key=lambda key: -key.created_ms)]


def public_line(directory: Path) -> str:
    """Give the content of `seal.pub` for a producer on another host.

    Raises:
        SealError: there are no keys, or they are damaged.
        OSError: the directory cannot be read.
    """
    list_keys(directory)
    return to_text(load_or_create_keys(directory).public_key) + "\n"


def opener_of(keys: SealKeys, reread: Callable[[], PrivateKeys] | None = None) -> Opener:
    """Make the opener of all private keys of a directory.

    Args:
        keys: those that are there now.
        reread: see `Opener`.

    Raises:
        SealError: the private key is not here.
    """
    if keys.private_key is None:
        raise SealError(f"{PRIVATE_KEY_FILE} is missing: this process can seal but not open")
    return Opener(keys.private_keys, reread)


def _retired(directory: Path) -> Iterator[X25519PrivateKey]:
    return (X25519PrivateKey.from_private_bytes(_read(path)) for path in sorted(directory.glob(RETIRED_KEY_FILES)))


def _id_of(raw: bytes) -> str:
    return key_id_of(X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw())


def _created_ms(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000


def _load_or_create(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        _create(path, make())
    return _read(path)


def _create(path: Path, key: bytes) -> None:
    """Write a new file whole or not at all; a file that appeared meanwhile is left as it is."""
    scratch = _scratch(path, key)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _replace(path: Path, key: bytes) -> None:
    _scratch(path, key).replace(path)


def _scratch(path: Path, key: bytes) -> Path:
    """Write a key beside the place where it belongs."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(to_text(key).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return scratch


def _read(path: Path) -> bytes:
    if path.name != PUBLIC_KEY_FILE and path.stat().st_mode & 0o077:
        raise SealError(f"{path}: other users may read it; run chmod 600 on it")
    try:
        raw = from_text(path.read_bytes().strip())
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise SealError(f"{path}: not a key of {KEY_BYTES} bytes in base64url; restore it from a backup")
    return raw


def _random() -> bytes:
    return os.urandom(KEY_BYTES)


def _generate() -> bytes:
    return X25519PrivateKey.generate().private_bytes_raw()
