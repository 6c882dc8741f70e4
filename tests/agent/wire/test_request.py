from __future__ import annotations

import pytest

from agent.wire.request import kept_header


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (b"content-length", b"3", b"content-length: 3\r\n"),
        (b"connection", b"close", b"connection: close\r\n"),
        (b"connection", b"keep-alive, Upgrade", b""),
        (b"authorization", b"a.1.upgrade", b"authorization: a.1.upgrade\r\n"),
        (b"upgrade", b"h2c", b""),
    ],
)
def test_what_counts_without_the_upgrade(name: bytes, value: bytes, line: bytes):
    assert kept_header(name, value) == line
