"""The `kid` of a token: a text in base64url, which no variable of nginx shows.

Envoy refuses a token that names another key than those of the key set; jwt-auth and openid-connect do not compare. What
three bytes are is four characters in base64, so each text stands in one of three ways in the first part of a token,
and regexes find it there. That the text is looked for and the JSON not read makes no way around: the part is signed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from translators.expr import all_of, matches, negate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from translators.expr import Expr

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_ANY_QUANTA = "(?:[A-Za-z0-9_-]{4})*"
_BEGIN = rf"\A(?:[Bb]earer )?{_ANY_QUANTA}"
_MEMBER = b'"kid"'
_COLONS = (b":", b": ")
"""As JSON is written: close, or as Python does."""
_MAX_CHARACTERS = 128
"""Of a key id: regexes have to stay small."""


@lru_cache(maxsize=256)
def names_another_key(variable: str, key_ids: tuple[str, ...]) -> Expr:
    """Hold when the token in a variable has a `kid` that is none of these.

    Args:
        variable: with the token, perhaps behind `Bearer `.
        key_ids: those of the key sets.
    """
    # An empty one counts as none, in Envoy too.
    wanted = [spelling for key_id in ("", *key_ids) for spelling in _spellings(key_id)]
    named = [_MEMBER + colon + spelling for colon in _COLONS for spelling in wanted]
    return all_of((matches(variable, _contains([_MEMBER])), negate(matches(variable, _contains(named)))))


def can_be_compared(key_id: str) -> bool:
    """Tell whether tokens can be asked for a key id."""
    return 0 < len(key_id) <= _MAX_CHARACTERS and key_id.isascii() and key_id.isprintable()


def _spellings(key_id: str) -> list[bytes]:
    plain = orjson.dumps(key_id)
    return [plain, plain.replace(b"/", rb"\/")] if b"/" in plain else [plain]


def _contains(texts: Iterable[bytes]) -> str:
    found = [_encoded(text, skipped) for text in texts for skipped in range(3)]
    return f"{_BEGIN}(?:{'|'.join(found)})"


def _encoded(text: bytes, skipped: int) -> str:
    """Give the regex for a text that stands `skipped` bytes behind the begin of a quantum of three bytes."""
    unknown = "?" * 8 * skipped
    bits = unknown + "".join(f"{byte:08b}" for byte in text)
    bits += "?" * (-len(bits) % 6)
    return "".join(_character(bits[start : start + 6]) for start in range(0, len(bits), 6))


@lru_cache
def _character(six: str) -> str:
    """Give the regex for a character of which some bits, in front or behind, are not known."""
    fitting = [
        character
        for value, character in enumerate(_ALPHABET)
        if all(known in ("?", bit) for known, bit in zip(six, f"{value:06b}", strict=True))
    ]
    if len(fitting) == len(_ALPHABET):
        return "."
    return fitting[0] if len(fitting) == 1 else f"[{''.join(sorted(fitting, key=lambda one: (one == '-', one)))}]"
