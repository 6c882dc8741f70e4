from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.xds.response import Entry
from producers.xds.warming import ORDER, Warming
from schemas import xds

EDS, CDS, RDS, LDS = xds.CLUSTER_LOAD_ASSIGNMENT, xds.CLUSTER, xds.ROUTE_CONFIGURATION, xds.LISTENER
VHDS = xds.VIRTUAL_HOST


def entry(content, *references):
    return Entry(content, content.encode(), "1", frozenset(references), ())


@pytest.fixture
def warming():
    return Warming()


def published(warming):
    return [(change.type_url, change.name, change.body) for change in warming.publish()]


def test_what_names_nothing_is_warm(warming):
    warming.accept((CDS, "a"), entry("1"))
    assert published(warming) == [(CDS, "a", "1")]
    assert published(warming) == []


def test_what_names_something_waits_for_it(warming):
    warming.accept((CDS, "a"), entry("1", (EDS, "a")))
    assert warming.named[EDS] == {"a"}
    assert published(warming) == []
    warming.accept((EDS, "a"), entry("2"))
    assert published(warming) == [(CDS, "a", "1"), (EDS, "a", "2")]


def test_waiting_ends_without_an_answer_too(warming):
    warming.accept((CDS, "a"), entry("1", (EDS, "a")))
    warming.settle((EDS, "a"))
    assert published(warming) == [(CDS, "a", "1")]


def test_the_old_one_and_what_it_names_serve_until_the_new_one_is_warm(warming):
    warming.accept((LDS, "l"), entry("1", (RDS, "r")))
    warming.accept((RDS, "r"), entry("r"))
    warming.publish()
    warming.accept((LDS, "l"), entry("2", (RDS, "s")))
    assert published(warming) == []
    assert warming.named[RDS] == {"r", "s"}
    warming.accept((RDS, "s"), entry("s"))
    assert published(warming) == [(LDS, "l", "2"), (RDS, "s", "s"), (RDS, "r", None)]
    assert warming.named[RDS] == {"s"}


def test_what_is_needed_is_what_the_accepted_layer_names(warming):
    warming.accept((LDS, "l"), entry("1", (RDS, "r")))
    warming.accept((RDS, "r"), entry("r"))
    warming.publish()
    warming.accept((LDS, "l"), entry("2", (RDS, "s")))
    assert warming.needed(RDS) == {"s"}
    assert warming.named[RDS] == {"r", "s"}


def test_what_returns_to_its_published_content_is_no_change(warming):
    warming.accept((CDS, "a"), entry("1"))
    warming.publish()
    warming.accept((CDS, "a"), entry("2"))
    warming.accept((CDS, "a"), entry("1"))
    assert published(warming) == []


def test_dropping_what_was_never_there_is_nothing(warming):
    warming.drop((CDS, "a"))
    assert published(warming) == []


def test_everything_gives_the_published_layer_in_order(warming):
    warming.accept((LDS, "l"), entry("l"))
    warming.accept((CDS, "a"), entry("a"))
    warming.publish()
    warming.accept((CDS, "b"), entry("b"))
    assert [change.name for change in warming.everything({LDS, CDS})] == ["a", "l"]


def route_configuration(*references):
    message = xds.message_class(RDS)(name="r")
    return Entry(message, b"r", "1", frozenset(references), ())


def virtual_host(name, content=""):
    return Entry(xds.message_class(VHDS)(name=name), (name + content).encode(), "1", frozenset(), ())


def hosts(changes):
    return [(change.name, [host.name for host in change.body.virtual_hosts]) for change in changes]


def test_virtual_hosts_are_handed_on_in_their_route_configuration_alone(warming):
    warming.accept((RDS, "r"), route_configuration((VHDS, "r")))
    warming.accept((VHDS, "r/b"), virtual_host("b"))
    warming.accept((VHDS, "r/a"), virtual_host("a"))
    warming.settle((VHDS, "r"))
    assert hosts(warming.publish()) == [("r", ["a", "b"])]
    warming.drop((VHDS, "r/a"))
    assert hosts(warming.publish()) == [("r", ["b"])]
    assert hosts(warming.everything({RDS, VHDS})) == [("r", ["b"])]


def test_a_virtual_host_belongs_to_the_longest_name_that_is_its_head(warming):
    warming.accept((RDS, "r"), route_configuration((VHDS, "r")))
    warming.accept((RDS, "r/s"), route_configuration((VHDS, "r/s")))
    for name in ("r", "r/s"):
        warming.settle((VHDS, name))
    warming.accept((VHDS, "r/s/a"), virtual_host("a"))
    warming.accept((VHDS, "r/b"), virtual_host("b"))
    assert sorted(hosts(warming.publish())) == [("r", ["b"]), ("r/s", ["a"])]


def test_virtual_hosts_end_with_the_last_one_that_names_them(warming):
    warming.accept((RDS, "r"), route_configuration((VHDS, "r")))
    warming.accept((VHDS, "r/a"), virtual_host("a"))
    warming.settle((VHDS, "r"))
    warming.publish()
    warming.drop((RDS, "r"))
    assert published(warming) == [(RDS, "r", None)]
    assert not warming.accepted[VHDS]
    assert not warming.published[VHDS]


def test_a_long_chain_of_names_becomes_warm_and_goes_without_using_up_the_stack(warming):
    """A discovered filter may name another; however many do, they must not bring us down."""
    length = 3_000
    warming.accept((LDS, "l"), entry("l", (RDS, "0")))
    for index in range(length):
        warming.accept((RDS, f"{index}"), entry(f"{index}", (RDS, f"{index + 1}")))
    warming.settle((RDS, f"{length}"))
    assert len(published(warming)) == length + 1
    warming.drop((LDS, "l"))
    assert len(published(warming)) == length + 1
    assert not warming.accepted[RDS]
    assert not warming.named[RDS]


def test_what_many_paths_lead_to_is_looked_at_once(warming):
    """Each level doubles the number of paths."""
    warming.accept((LDS, "l"), entry("l", (RDS, "a0")))
    levels = 60
    for level in range(levels):
        below = ((RDS, f"a{level + 1}"), (RDS, f"b{level + 1}")) if level < levels - 1 else ()
        for side in "ab":
            warming.accept((RDS, f"{side}{level}"), entry(f"{side}{level}", *below))
    assert len(published(warming)) == 1 + 2 * levels


NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("cluster"), NAMES, st.sets(NAMES)),
        st.tuples(st.just("endpoints"), NAMES),
        st.tuples(st.just("drop"), NAMES),
        st.tuples(st.just("settle"), NAMES),
        st.just(("publish",)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(STEPS)
def test_exactly_what_either_layer_names_is_subscribed_to(steps):
    warming = Warming()
    for index, step in enumerate(steps):
        match step:
            case ("cluster", name, used):
                warming.accept((CDS, name), entry(str(index), *((EDS, other) for other in used)))
            case ("endpoints", name) if name in warming.named[EDS]:
                warming.accept((EDS, name), entry(str(index)))
            case ("drop", name):
                warming.drop((CDS, name))
            case ("settle", name):
                warming.settle((EDS, name))
            case ("publish",):
                for change in warming.publish():
                    assert change.type_url in ORDER
        layers = (*warming.accepted[CDS].values(), *warming.published[CDS].values())
        assert warming.named[EDS] == {name for layer in layers for _, name in layer.references}
        assert warming.accepted[EDS].keys() <= warming.named[EDS]
        assert {name for _, name in warming.pending} <= warming.named[EDS]
