"""Regular expressions for ranges of hexadecimal digits: how a share of requests is told by `$request_id`.

`$request_id` is 32 random hexadecimal digits, one value per request that every route sees, so a range of its leading
digits is a stateless draw with the semantics of Envoy's stream random (mapping.md section 3).
"""

from __future__ import annotations

from functools import lru_cache

_DIGITS = "0123456789abcdef"
_BASE = 16
_LAST_DECIMAL = 9


@lru_cache(maxsize=4096)
def hexrange(start: int, end: int, digit_count: int = 4) -> str:
    """Give an alternation that matches the lower-case numbers of `digit_count` hex digits in [start, end).

    Args:
        start: first number that matches.
        end: first number beyond.
        digit_count: how many digits a number has; leading zeros count.

    Returns:
        Branches without anchors or group, each exactly `digit_count` digits wide.

    Raises:
        ValueError: the range is empty or leaves `digit_count` digits.
    """
    if not 0 <= start < end <= _BASE**digit_count:
        raise ValueError(f"[{start}, {end}) is no range of {digit_count} hex digits")
    return "|".join(_branches("", 0, digit_count, (start, end)))


def _branches(prefix: str, base: int, width: int, wanted: tuple[int, int]) -> list[str]:
    """Cover the part of `wanted` inside [base, base + 16**width), all of whose numbers begin with `prefix`."""
    start, end = wanted
    size = _BASE**width
    if end <= base or start >= base + size:
        return []
    if start <= base and end >= base + size:
        return [prefix + "." * width]
    step = size // _BASE
    first_full = -(-(max(start, base) - base) // step)
    end_full = (min(end, base + size) - base) // step
    if first_full >= end_full:
        partial = sorted({(max(start, base) - base) // step, (min(end, base + size) - 1 - base) // step})
        return [b for i in partial for b in _branches(prefix + _DIGITS[i], base + i * step, width - 1, wanted)]
    branches = []
    if first_full > 0:
        before = first_full - 1
        branches += _branches(prefix + _DIGITS[before], base + before * step, width - 1, wanted)
    branches.append(prefix + _digit_class(first_full, end_full - 1) + "." * (width - 1))
    if end_full < _BASE:
        branches += _branches(prefix + _DIGITS[end_full], base + end_full * step, width - 1, wanted)
    return branches


def _digit_class(first: int, last: int) -> str:
    """Give the character class of the digits first..last, both included."""
    if first == last:
        return _DIGITS[first]
    if (first, last) == (0, _BASE - 1):
        return "."
    if first > _LAST_DECIMAL or last <= _LAST_DECIMAL:
        return f"[{_DIGITS[first]}-{_DIGITS[last]}]"
    decimals = "9" if first == _LAST_DECIMAL else f"{first}-9"
    letters = "a" if last == _LAST_DECIMAL + 1 else f"a-{_DIGITS[last]}"
    return f"[{decimals}{letters}]"
