from __future__ import annotations

import pytest

from tests.oracle.nginx_uri import BadRequestError, escaped, normalised


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/", "/"),
        ("/a//b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a%2Fb", "/a/b"),
        ("/%41+%25", "/A+%"),
        ("/a#f", "/a"),
        ("/a//../b", "/b"),
    ],
)
def test_normalised(path: str, uri: str):
    assert normalised(path) == uri


@pytest.mark.parametrize("path", ["/%zz", "/%0", "/%00", "/..", "/a/../../b"])
def test_broken_paths(path: str):
    with pytest.raises(BadRequestError):
        normalised(path)


def test_escaped():
    assert escaped("/a b%?#\x7f|é~+") == "/a%20b%25%3F%23%7F%7C%E9~+"
