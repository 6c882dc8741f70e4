"""Where sealed values stand in serialised messages (architecture.md law 9). Pure; pipeline/seal.py seals and opens.

A token is `mfseal1.<key id>.<fingerprint>.<base64url of the ciphertext>`. Sealing is randomised, the fingerprint is
not: two processes give equal plaintext tokens that differ in the ciphertext only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION: Final = "mfseal1"
TOKEN: Final = re.compile(rb"mfseal1\.([A-Za-z0-9_-]{11})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]+)")
CONTINUES: Final = 0x80
"""A byte of a varint that is not its last."""


class Span(NamedTuple):
    """A token in a body."""

    start: int
    end: int
    head_end: int
    """Where the ciphertext begins: what is before it is the same for equal plaintext."""


def spans(body: bytes) -> Iterator[Span]:
    """Find the tokens in a serialised message, in order.

    A token is a whole string or bytes field, so its length stands before it. Without looking at that the next field
    could count to it, because many field tags are letters too.
    """
    position = 0
    while match := TOKEN.search(body, position):
        length = _length_before(body, match.start())
        fits = match.start(3) - match.start() < length <= match.end() - match.start()
        position = match.start() + length if fits else match.end()
        yield Span(match.start(), position, match.start(3))


def _length_before(body: bytes, position: int) -> int:
    """Read the varint that ends at a position; the tag before it ends in a byte that does not continue."""
    if not position:
        return 0
    start = position - 1
    while start and body[start - 1] & CONTINUES:
        start -= 1
    return sum((byte & ~CONTINUES) << 7 * place for place, byte in enumerate(body[start:position]))


def comparable(body: bytes) -> bytes:
    """Leave the ciphertexts out, so that bodies with equal plaintext are equal whoever sealed them."""
    return _replaced(body, lambda token, head_bytes: token[:head_bytes])


def resealed(body: bytes, settled: Callable[[bytes], bytes]) -> bytes:
    """Put the tokens in force in place of others for the same plaintext.

    Args:
        body: a serialised message.
        settled: gives the token in force for a token. One of another length is not of the same plaintext, and would
            break the message; it is not taken.
    """

    def same_size(token: bytes, _: int) -> bytes:
        other = settled(token)
        return other if len(other) == len(token) else token

    return _replaced(body, same_size)


def _replaced(body: bytes, replacement: Callable[[bytes, int], bytes]) -> bytes:
    parts, position = [], 0
    for start, end, head_end in spans(body):
        parts += [body[position:start], replacement(body[start:end], head_end - start)]
        position = end
    return b"".join((*parts, body[position:])) if parts else body
