from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.pipeline.cli.conftest import Outcome
from translators.registry import MAPPINGS

Meshferry = Callable[..., Outcome]


def test_every_row_of_the_registry_is_listed(meshferry: Meshferry):
    found = meshferry("features").data()
    assert sorted(row["field"] for row in found) == sorted(row.source for row in MAPPINGS)
    assert [row["field"] for row in found] == sorted(row["field"] for row in found)
    assert {row["fidelity"] for row in found} == {"E", "A", "N", "I"}


@pytest.mark.parametrize("word", ["RouteMatch", "ROUTEMATCH", "RT-REGEX", "statistics of"])
def test_a_word_chooses_by_any_column(meshferry: Meshferry, word: str):
    found = meshferry("features", word).data()
    assert 0 < len(found) < len(MAPPINGS)
    assert all(word.casefold() in str(list(row.values())).casefold() for row in found)


def test_a_word_that_nothing_has(meshferry: Meshferry):
    assert meshferry("features", "no such thing").data() == []


def test_markdown_is_what_the_document_holds(meshferry: Meshferry):
    document = (Path(__file__).parents[3] / "docs" / "mappings.md").read_text("utf-8")
    assert document.endswith(meshferry("features", "-o", "markdown").out)


def test_formats(meshferry: Meshferry, monkeypatch: pytest.MonkeyPatch):
    rows = meshferry("features", "RouteAction.hash_policy").data()
    assert yaml.safe_load(meshferry("features", "RouteAction.hash_policy", "-o", "yaml").out) == rows
    monkeypatch.setenv("COLUMNS", "200")
    table = meshferry("features", "RouteAction.hash_policy", "-o", "table").out
    assert [line.split()[:3] for line in table.splitlines()] == [
        ["field", "fidelity", "codes"],
        ["envoy.config.route.v3.RouteAction.hash_policy", "A", "RA-HASH-COOKIE"],
    ]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "RA-HASH-COOKIE" in meshferry("features", "RouteAction.hash_policy").out.splitlines()[1]


def test_a_format_that_is_none_is_64(meshferry: Meshferry):
    assert meshferry("features", "-o", "xml").code == 64
