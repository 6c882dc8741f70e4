from __future__ import annotations

from producers.hold import GuardLimits
from producers.publication import Publication
from producers.source import Changes
from producers.units import Removal
from schemas import xds
from schemas.records import HeldKind, Provenance, Unit
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
    assert not problems


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


def test_a_standby_follows_the_source_and_takes_over_without_a_spurious_unit():
    leader, standby = Publication("v", seal, "1.0"), Publication("v", seal, "1.0")
    leader.resume([], 0)
    written = []
    for changes in (said(*STATE), said(cluster("b"), is_complete=False)):
        written += leader.apply(changes, 1)[0]
        assert standby.apply(changes, 1)[0] == []
    published = [unit for unit in written if isinstance(unit, Unit)]
    assert standby.resume(published, 2) == []
    late, _ = standby.apply(said(cluster("c"), is_complete=False), 3)
    assert [key_of(unit) for unit in late] == ["cluster/c"]
    standby.stand_by()
    assert standby.apply(said(cluster("d"), is_complete=False), 4)[0] == []


def crowd(count: int) -> tuple:
    return tuple(cluster(f"c{n}") for n in range(count))


def led(guard: GuardLimits | None, *state) -> tuple[Publication, list[Unit]]:
    publication = Publication("v", seal, "1.0", guard)
    publication.resume([], 0)
    return publication, [unit for unit in publication.apply(said(*state), 0)[0] if isinstance(unit, Unit)]


def test_an_empty_source_after_a_full_one_removes_nothing_until_it_is_approved():
    publication, _ = led(GuardLimits(), *STATE)
    assert [key_of(unit) for unit in publication.apply(said(), 1)[0] if isinstance(unit, Removal)] == []
    [held] = publication.held()
    assert held.names == ("cluster/a", "http/l/c/r/*", "http/l/c/r/h")
    assert publication.approve("another", 2) is None
    gone = publication.approve(held.fingerprint, 2)
    assert [key_of(unit) for unit in gone] == ["view", "-http/l/c/r/h", "-http/l/c/r/*", "-cluster/a"]
    assert publication.held() == ()


def test_a_hold_survives_a_restart_and_is_written_by_nobody():
    publication, published = led(GuardLimits(), *crowd(30))
    publication.apply(said(*crowd(25)), 1)
    assert publication.apply(said(*crowd(18)), 2)[0] == []
    before = publication.held()
    kept = [unit for unit in published if unit.key not in {f"cluster/c{n}" for n in range(25, 30)}]
    again = Publication("v", seal, "1.0", GuardLimits())
    assert again.resume(kept, 100_000, before) == []
    assert again.held() == ()
    assert again.apply(said(*crowd(18)), 100_001)[0] == []
    assert again.held() == before


def test_a_resource_that_flaps_is_held_and_comes_when_it_is_quiet():
    a, b = cluster("x", alt_stat_name="a"), cluster("x", alt_stat_name="b")
    publication, _ = led(None, a)
    written, problems = [], []
    for time_ms, body in ((1, b), (2, a), (3, b), (4, a), (5, b)):
        units, new = publication.apply(said(body), time_ms)
        written += units
        problems += new
    assert len(written) == 2
    assert [str(problem).split(";")[0] for problem in problems] == ["Cluster x: changes to and fro"]
    [held] = publication.held()
    assert (held.kind, held.names) == (HeldKind.FLAPPING, ("Cluster x",))
    assert publication.due_ms() == 30_005
    assert publication.release(30_004) == []
    [late] = publication.release(30_005)
    assert b"b" in late.resources[0].body
    assert publication.held() == ()


def test_what_comes_and_goes_is_never_held_away_from_what_refers_to_it():
    """Law 1: new routes come with their cluster, however often that was taken away before."""
    publication, _ = led(None, cluster("other"))
    for time_ms, change in ((1, cluster("a")), (2, removal(xds.CLUSTER, "a"))):
        publication.apply(said(change, is_complete=False), time_ms)
    written, problems = publication.apply(said(cluster("a"), *STATE[:2], is_complete=False), 3)
    assert next(key_of(unit) for unit in written) == "cluster/a"
    assert not problems
    assert publication.apply(said(removal(xds.CLUSTER, "a"), is_complete=False), 4)[0] == []
    [held] = publication.held()
    assert (held.kind, held.names) == (HeldKind.FLAPPING, ("Cluster a",))
