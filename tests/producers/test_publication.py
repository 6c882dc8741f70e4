from __future__ import annotations

import pytest

from producers.publication import Publication
from producers.source import Changes
from schemas import xds
from schemas.records import Provenance, Unit
from tests.producers.scene import (
    cluster,
    key_of,
    listener,
    rds,
    removal,
    route,
    route_configuration,
    seal,
    virtual_host,
)

STATE = (
    listener("l", rds("r") | {"name": "c"}),
    route_configuration("r", virtual_host("h", ["a"], route("a"))),
    cluster("a"),
)


def said(*changes, is_complete: bool = True) -> Changes:
    return Changes(changes, is_complete, "the file")


def test_what_is_written_says_where_it_came_from():
    publication = Publication("v", seal, "1.0")
    assert publication.resume([], 0) == []
    written, problems = publication.apply(said(*STATE), 17)
    assert [key_of(unit) for unit in written] == ["cluster/a", "http/l/c/r/*", "http/l/c/r/h", "view"]
    assert {unit.provenance for unit in written} == {Provenance("the file", "", 17, "1.0")}
    assert problems == ()


def test_a_restart_writes_only_what_differs_and_removes_what_is_gone():
    first = Publication("v", seal, "1.0")
    first.resume([], 0)
    published = [unit for unit in first.apply(said(*STATE), 1)[0] if isinstance(unit, Unit)]
    second = Publication("v", seal, "1.1")
    second.resume(published, 2)
    assert second.apply(said(*STATE), 3)[0] == []
    third = Publication("v", seal, "1.1")
    third.resume(published, 2)
    changed = said(*STATE[:2], cluster("b"))
    assert [key_of(unit) for unit in third.apply(changed, 3)[0]] == ["cluster/b", "http/l/c/r/h", "-cluster/a"]


def test_nothing_is_written_before_the_source_was_complete_once():
    publication = Publication("v", seal, "1.0")
    publication.resume([], 0)
    assert publication.apply(said(cluster("a"), is_complete=False), 1)[0] == []
    assert publication.resume([], 1) == []
    written, _ = publication.apply(said(cluster("a"), cluster("b")), 2)
    assert [key_of(unit) for unit in written] == ["cluster/a", "cluster/b", "view"]


def test_after_a_lost_write_the_difference_to_the_log_is_written():
    publication = Publication("v", seal, "1.0")
    publication.resume([], 0)
    published = [unit for unit in publication.apply(said(*STATE), 1)[0] if isinstance(unit, Unit)]
    publication.apply(said(cluster("lost"), removal(xds.CLUSTER, "a"), is_complete=False), 2)
    again = publication.resume(published, 3)
    assert [key_of(unit) for unit in again] == ["cluster/lost", "http/l/c/r/h", "-cluster/a"]


def test_nobody_publishes_without_knowing_what_is_written():
    with pytest.raises(RuntimeError, match="before resume"):
        Publication("v", None, "1.0").apply(said(), 0)
