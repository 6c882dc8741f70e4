"""Ids, names and labels of APISIX objects: position-free, deterministic, within its limits (mapping.md section 10)."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

SCHEMA_VERSION = "1"
MAX_NAME_CHARS = 256
MAX_SLUG_CHARS = 40
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_SPACE = re.compile(r"\s+")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
"""Ten bits at a time, in lower case at once: every route has a hash, and base64.b32encode takes three times as long."""
_PAIR_SHIFTS = range(70, -1, -10)


def hash80(kind: str, *parts: str) -> str:
    """Hash key parts to 16 characters of lower-case base32 (80 bits: 10^6 objects collide with p < 10^-12)."""
    joined = "\x1f".join((f"meshferry/{SCHEMA_VERSION}", kind, *parts))
    bits = int.from_bytes(blake2b(joined.encode(), digest_size=10).digest())
    return "".join([_PAIRS[bits >> shift & 1023] for shift in _PAIR_SHIFTS])


def object_id(kind: str, source_name: str, *parts: str) -> str:
    """Build an id: a readable slug of the source name, a dot, and the hash of the key parts.

    Args:
        kind: the etcd directory, e.g. `upstreams`.
        source_name: the xDS name a person would look for.
        parts: what identifies the object; never a list position, a version or a time.

    Returns:
        At most 57 characters of `[A-Za-z0-9_.-]`.
    """
    slug = _slug(source_name)
    hashed = hash80(kind, *parts)
    return f"{slug}.{hashed}" if slug else hashed


@lru_cache(maxsize=1024)
def _slug(source_name: str) -> str:
    """Remembered, as all routes of a virtual host are named after it one after the other."""
    return _UNSAFE.sub("-", source_name).strip("-.")[:MAX_SLUG_CHARS].strip("-.")


def object_name(text: str) -> str:
    """Fit a name into 1..256 characters; a longer one is cut and gets a hash so that it stays unique."""
    if len(text) <= MAX_NAME_CHARS:
        return text
    return text[: MAX_NAME_CHARS - 17] + "." + hash80("name", text)


def label(text: str) -> str:
    """Fit a label value: no white space, 1..256 characters; an empty one becomes `-`."""
    return _SPACE.sub("_", text)[:MAX_NAME_CHARS] or "-"
