from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.hexrange import hexrange

MAX_CHARS = 100


def takes(regex: str, digit_count: int) -> list[int]:
    """Give the numbers a regex matches, among all of `digit_count` digits."""
    compiled = re.compile(rf"\A(?:{regex})\Z")
    return [n for n in range(16**digit_count) if compiled.match(f"{n:0{digit_count}x}")]


@pytest.mark.parametrize("start", range(16))
def test_every_range_of_one_digit(start: int):
    for end in range(start + 1, 17):
        assert takes(hexrange(start, end, 1), 1) == list(range(start, end))


@pytest.mark.parametrize("start", range(0, 256, 5))
def test_ranges_of_two_digits(start: int):
    for end in {start + 1, *range(start + 1, 257, 7), 256}:
        assert takes(hexrange(start, end, 2), 2) == list(range(start, end))


@given(st.integers(0, 65535), st.integers(1, 65536), st.data())
def test_ranges_of_four_digits(a: int, b: int, data: st.DataObject):
    start, end = min(a, b - 1), max(a + 1, b)
    compiled = re.compile(rf"\A(?:{hexrange(start, end)})\Z")
    near = [start - 1, start, end - 1, end, data.draw(st.integers(0, 65535))]
    for n in (n for n in near if 0 <= n < 65536):
        assert bool(compiled.match(f"{n:04x}")) == (start <= n < end)
    assert len(hexrange(start, end)) <= MAX_CHARS


def test_the_whole_range_is_any_digits():
    assert hexrange(0, 65536) == "...."


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), (-1, 5), (0, 65537)])
def test_what_is_no_range_is_refused(start: int, end: int):
    with pytest.raises(ValueError, match="no range"):
        hexrange(start, end)
