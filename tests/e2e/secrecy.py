"""Look for a private key in whatever form it may have got out."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pipeline.log import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIN_LINE_BYTES = 32
HEADER = b"PRIVATE KEY-----"
SKIPPED_CHARS = (0, 2, 3)
"""Of base64 that begins 0, 1, 2 bytes before: what those bytes have a part in."""


class Needles:
    """The forms of one private key."""

    def __init__(self, pem: str) -> None:
        """Take the key.

        Args:
            pem: an elliptic-curve key, PKCS#8.
        """
        key = load_pem_private_key(pem.encode(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        lines = [line.encode() for line in pem.split("\n") if len(line) >= MIN_LINE_BYTES and "KEY" not in line]
        assert len(lines) >= 2
        plain = [scalar, HEADER, *lines]
        self.forms = [
            *plain,
            scalar.hex().encode(),
            scalar.hex().upper().encode(),
            *(form for needle in plain for form in _in_base64(needle)),
        ]

    def in_bytes(self, data: bytes) -> list[bytes]:
        """Give the forms that stand in data."""
        return [form for form in self.forms if form in data]

    def in_folder(self, folder: Path, *allowed: Path) -> dict[Path, list[bytes]]:
        """Give the files of a folder that hold the key."""
        files = [path for path in folder.rglob("*") if path.is_file() and path not in allowed]
        assert files
        return {path: found for path in files if (found := self.in_bytes(path.read_bytes()))}

    async def in_topics(self, url: str, *topics: str) -> dict[str, list[bytes]]:
        """Give the records that hold the key, as a reader gets them: a broker keeps them compressed."""
        held: dict[str, list[bytes]] = {}
        async with open_log(url) as log:
            for topic in topics:
                async for batch in log.read(topic, (await log.ends(topic)).start):
                    for record in batch:
                        said = b"\0".join((record.key.encode(), record.value or b"", repr(record.headers).encode()))
                        if found := self.in_bytes(said):
                            held[f"{topic}/{record.key}"] = found
        return held


def _in_base64(needle: bytes) -> Iterator[bytes]:
    """Give the needle in base64, wherever in a longer text it begins, in both alphabets."""
    for before, skipped in enumerate(SKIPPED_CHARS):
        data = bytes(before) + needle
        whole = data[: len(data) // 3 * 3]
        yield base64.b64encode(whole)[skipped:]
        yield base64.urlsafe_b64encode(whole)[skipped:]
