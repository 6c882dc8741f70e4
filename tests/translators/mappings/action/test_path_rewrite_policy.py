"""Templates that rewrite paths."""

from __future__ import annotations

import re

import pytest

from translators.mappings.action.path_rewrite_policy import template_pair


@pytest.mark.parametrize(
    ("template", "rewrite", "path", "expected"),
    [
        ("/a/{x}", "/b/{x}", "/a/1", "/b/1"),
        ("/a/{x}/{y=**}", "/{y}/{x}/{y}", "/a/1/2/3", "/2/3/1/2/3"),
        ("/a/*/{x=b/*}", "/{x}$1", "/a/1/b/2", "/b/2$1"),
        ("/a.b", "/c", "/a.b", "/c"),
    ],
)
def test_variables_are_carried_over(template: str, rewrite: str, path: str, expected: str):
    pair = template_pair(template, rewrite)
    assert pair is not None
    found = re.search(pair[0].replace(r"\z", r"\Z"), path)
    assert found is not None
    written = re.sub(r"\$\$|\$\{(\d+)\}", lambda one: "$" if one[1] is None else found[int(one[1])], pair[1])
    assert written == expected


@pytest.mark.parametrize(
    ("template", "rewrite"), [("/a/{x", "/b"), ("/a/{x}", "/{y}"), ("/a/{x}", "/{x"), ("/a", "/}")]
)
def test_what_does_not_fit_together_is_no_rewrite(template: str, rewrite: str):
    assert template_pair(template, rewrite) is None
