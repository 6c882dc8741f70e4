from __future__ import annotations

import pytest

from producers.xds.delivery import Delivery
from producers.xds.response import Entry
from producers.xds.sotw import SotWSubscription
from producers.xds.subscription import TYPE_RULES
from producers.xds.warming import Warming
from schemas import xds
from tests.producers.xds.dialogue import cluster

CDS, EDS = xds.CLUSTER, xds.CLUSTER_LOAD_ASSIGNMENT


class Given:
    def __init__(self) -> None:
        self.subscriptions = {rule.type_url: SotWSubscription(rule) for rule in TYPE_RULES}
        self.warming = Warming()
        self.delivery = Delivery(self.subscriptions, self.warming, "cp:1")

    def accept(self, name, *references, unknown=()):
        message = cluster(name)
        self.warming.accept((CDS, name), Entry(message, name.encode(), "1", frozenset(references), tuple(unknown)))

    def answer(self):
        """Clusters and listeners have been answered, if with bad resources among them."""
        self.subscriptions[xds.CLUSTER].is_answered = self.subscriptions[xds.LISTENER].is_answered = True
        return self

    def know(self, *type_urls):
        for type_url in type_urls:
            self.subscriptions[type_url].is_known = True

    def deliver(self):
        return [command.changes for command in self.delivery.next_commands()]


@pytest.fixture
def given():
    return Given().answer()


def test_nothing_is_delivered_while_something_is_pending(given):
    given.accept("a")
    given.warming.pending.add((CDS, "*"))
    given.know(CDS)
    assert given.deliver() == []


@pytest.mark.parametrize("silent", [xds.CLUSTER, xds.LISTENER])
def test_nothing_is_delivered_before_clusters_and_listeners_were_answered(given, silent):
    """A log that holds a good state must not be emptied by a control plane that says nothing (law 7)."""
    given.accept("a")
    given.know(CDS)
    given.subscriptions[silent].is_answered = False
    assert given.deliver() == []


def test_the_first_delivery_speaks_for_all_types_when_all_are_known(given):
    given.accept("a")
    given.know(xds.CLUSTER, xds.LISTENER)
    (changes,) = given.deliver()
    assert (changes.is_complete, changes.covers, changes.source) == (True, None, "cp:1")
    assert given.deliver() == []


def test_a_complete_delivery_speaks_only_for_what_is_known_and_the_rest_follows(given):
    given.accept("a")
    given.know(xds.CLUSTER)
    (first,) = given.deliver()
    assert first.covers == {CDS, EDS}
    given.know(xds.LISTENER)
    (second,) = given.deliver()
    assert second.covers == given.subscriptions.keys() - {CDS, EDS}
    assert second.changes == ()


def test_what_is_there_is_delivered_even_when_no_type_can_be_spoken_for(given):
    given.accept("a")
    (changes,) = given.deliver()
    assert (changes.is_complete, changes.covers) == (True, frozenset())
    assert [change.name for change in changes.changes] == ["a"]


def test_a_type_known_later_is_delivered_whole(given):
    given.accept("a")
    given.deliver()
    given.accept("b")
    given.know(CDS)
    (changes,) = given.deliver()
    assert changes.covers == {CDS, EDS}
    assert [change.name for change in changes.changes] == ["a", "b"]


def test_later_deliveries_hold_the_differences(given):
    given.know(xds.CLUSTER, xds.LISTENER)
    given.deliver()
    given.accept("b")
    (changes,) = given.deliver()
    assert (changes.is_complete, [change.name for change in changes.changes]) == (False, ["b"])


def test_unknown_fields_are_noted_with_the_resource(given):
    given.accept("a", unknown=["x.#99"])
    (changes,) = given.deliver()
    assert [(note.code, note.type_url, note.name, note.path) for note in changes.notes] == [
        ("CFG-UNKNOWN-FIELD", CDS, "a", "x.#99")
    ]
