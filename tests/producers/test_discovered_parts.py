"""What comes resource by resource over ADS stands in the units as if it had been written where it belongs."""

from __future__ import annotations

import pytest

from producers.publication import Publication
from producers.units import Removal
from schemas import xds
from schemas.records import Role
from tests.producers.scene import Scene
from tests.producers.xds import dialogue as ads
from tests.producers.xds.delta_dialogue import DeltaDialogue


class Told:
    """A session's deliveries on their way into units."""

    def __init__(self, dialogue) -> None:
        self.dialogue = dialogue
        self.scene = Scene()
        self._taken = 0

    def units(self):
        """Take over what was delivered since; give the keys that were written."""
        new, self._taken = self.dialogue.deliveries[self._taken :], len(self.dialogue.deliveries)
        return [key for delivery in new for key in self.scene.say(*delivery.changes)]


@pytest.fixture(params=[ads.Dialogue, DeltaDialogue])
def told(request):
    return Told(request.param().settle())


@pytest.fixture
def told_in_delta():
    told = Told(DeltaDialogue().settle())
    told.dialogue.respond("RDS", ads.routes("r", has_vhds=True), version="2")
    told.dialogue.respond("VHDS", ads.wrapped(ads.virtual_host("one"), "r/one", version="1"))
    return told


def chain_of(keys):
    (chain,) = {key.split("/")[2] for key in keys if key.startswith("http/l/")}
    return chain


def test_a_virtual_host_by_discovery_has_a_unit(told_in_delta):
    keys = told_in_delta.units()
    key = f"http/l/{chain_of(keys)}/r/one"
    assert key in keys
    (found,) = told_in_delta.scene.bodies(key, Role.SUBJECT, xds.ROUTE_CONFIGURATION).values()
    assert [list(host.domains) for host in found.virtual_hosts] == [["example.com"]]


def test_a_change_of_it_writes_its_unit_alone_and_its_end_removes_it(told_in_delta):
    key = f"http/l/{chain_of(told_in_delta.units())}/r/one"
    told_in_delta.dialogue.respond("VHDS", ads.wrapped(ads.virtual_host("one", "two.example"), "r/one", version="2"))
    assert told_in_delta.units() == [key]
    told_in_delta.dialogue.respond("VHDS", removed=["r/one"])
    told_in_delta.dialogue.expire(ads.EXISTENCE_MS)
    assert told_in_delta.units() == [f"-{key}"]


def test_a_restart_while_they_are_silent_removes_none(told_in_delta):
    told_in_delta.units()
    published = list(told_in_delta.scene.units.values())
    publication = Publication("v", None, "build")
    publication.resume(published, 0)
    restarted = DeltaDialogue()
    restarted.open()
    restarted.respond("CDS", ads.cluster("a"))
    restarted.respond("EDS", ads.endpoints("a"))
    restarted.respond("LDS", ads.listener("l", "r"))
    restarted.respond("RDS", ads.routes("r", has_vhds=True))
    restarted.expire(ads.EXISTENCE_MS)
    assert restarted.deliveries
    for delivery in restarted.deliveries:
        written, _ = publication.apply(delivery, 0)
        assert not [outcome for outcome in written if isinstance(outcome, Removal)]


def test_a_discovered_filter_stands_in_the_listener_of_the_unit(told):
    told.dialogue.serve("LDS", ads.discovering_listener("l", "cors"), version="2")
    told.dialogue.serve("ECDS", ads.discovered_filter("cors"))
    keys = told.units()
    (found,) = told.scene.bodies(f"http/l/{chain_of(keys)}/r/*", Role.SUBJECT, xds.LISTENER).values()
    manager = xds.unpack(found.filter_chains[0].filters[0].typed_config)
    assert manager.http_filters[0].typed_config.type_url == ads.CORS["@type"]
    assert manager.http_filters[0].WhichOneof("config_type") == "typed_config"


def test_a_scope_by_discovery_has_units_of_its_own(told):
    told.dialogue.serve("LDS", ads.scoped_listener("l"), version="2")
    told.dialogue.serve("SRDS", ads.scope("s1", "r1"))
    told.dialogue.serve("RDS", ads.routes("r1"))
    scoped = [key for key in told.units() if key.startswith("http/l/") and "/s1/" in key]
    assert scoped
    assert told.scene.bodies(scoped[0], Role.SUBJECT, xds.SCOPED_ROUTE_CONFIGURATION)


def test_a_restart_while_a_filter_is_silent_keeps_the_listener_that_has_it(told):
    told.dialogue.serve("LDS", ads.discovering_listener("l", "cors"), version="2")
    told.dialogue.serve("ECDS", ads.discovered_filter("cors"))
    told.units()
    published = list(told.scene.units.values())
    publication = Publication("v", None, "build")
    publication.resume(published, 0)
    restarted = type(told.dialogue)()
    restarted.open()
    restarted.serve("CDS", ads.cluster("a"))
    restarted.serve("EDS", ads.endpoints("a"))
    restarted.serve("LDS", ads.discovering_listener("l", "cors"))
    restarted.serve("RDS", ads.routes("r"))
    restarted.expire(ads.EXISTENCE_MS)
    assert restarted.deliveries
    assert [publication.apply(delivery, 0)[0] for delivery in restarted.deliveries] == [[]] * len(restarted.deliveries)
