"""Every golden case gives what it wants, and every mapping has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.golden.case import ROOT, case_paths, load, outcome, rewritten
from translators.registry import ROWS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", case_paths(), ids=lambda path: str(path.relative_to(ROOT).with_suffix("")))
def test_a_case_gives_what_it_wants(path: Path):
    case = load(path)
    assert case["about"], "a case says what it is about"
    assert outcome(case) == case["want"]


def test_every_condition_of_a_route_match_has_a_case():
    features = {path.stem.partition("-")[0] for path in (ROOT / "match").glob("*.yaml")}
    fields = {source.rpartition(".")[2] for source in ROWS if source.startswith("envoy.config.route.v3.RouteMatch.")}
    assert fields - {"presented", "validated"} <= features


def test_rewriting_changes_nothing():
    """What `make golden` would write is what is there."""
    for path in case_paths():
        assert rewritten(path) == path.read_text(), path
