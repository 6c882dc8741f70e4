from __future__ import annotations

import pytest

from producers.xds.validate import NAME_FIELDS, fault_of, name_of
from schemas import xds
from tests.producers.xds.dialogue import (
    bad_cluster,
    bad_listener,
    build,
    cluster,
    endpoints,
    hcm,
    listener,
    routes,
    secret,
)

GOOD = [cluster("x"), endpoints("x"), listener("x", "r", secret="s"), routes("x"), secret("x")]
UNKNOWN_FIELD = b"\xfa\x3f\x01z"  # field 1023


@pytest.mark.parametrize("message", GOOD, ids=xds.type_url_of)
def test_a_good_resource_has_no_fault(message):
    assert fault_of(message) == ""
    assert fault_of(message, "x") == ""
    assert name_of(message) == "x"


@pytest.mark.parametrize("type_url", NAME_FIELDS)
def test_a_name_is_wanted(type_url):
    assert fault_of(xds.message_class(type_url)()) == f"{NAME_FIELDS[type_url]} is empty"


def test_the_wrapper_must_say_the_same_name():
    assert fault_of(cluster("x"), "y") == "is wrapped as 'y': the names must be equal"


def test_a_listener_without_an_address():
    assert fault_of(bad_listener("x")) == "address is missing"


@pytest.mark.parametrize(
    "place", [{"internal_listener": {}}, {"api_listener": {"api_listener": hcm("r")["typed_config"]}}]
)
def test_listeners_that_need_no_address(place):
    assert fault_of(build(xds.LISTENER, {"name": "x"} | place)) == ""


def test_an_eds_cluster_without_its_configuration():
    assert fault_of(bad_cluster("x")) == "eds_cluster_config is missing in a cluster of type EDS"


def test_a_required_field_is_named_with_its_path():
    message = routes("x")
    message.virtual_hosts[0].routes.add().route.cluster = "a"
    assert fault_of(message) == "virtual_hosts[0].routes[1].match is missing"


def test_a_required_choice_is_named_with_its_path():
    message = routes("x")
    message.virtual_hosts[0].routes[0].match.ClearField("prefix")
    assert fault_of(message) == "virtual_hosts[0].routes[0].match.path_specifier is missing"


def test_a_required_field_inside_a_choice_is_only_wanted_when_chosen():
    """RouteMatch.safe_regex is marked required, and so is none of its siblings."""
    assert fault_of(routes("x")) == ""


def test_an_unknown_field_may_be_the_part_that_is_missing():
    """A newer choice reads as none at all; unknown fields never reject (section 5.11)."""
    message = routes("x")
    message.virtual_hosts[0].routes[0].match.ClearField("prefix")
    message.virtual_hosts[0].routes[0].match.MergeFromString(UNKNOWN_FIELD)
    assert fault_of(message) == ""
    place = bad_listener("x")
    place.MergeFromString(UNKNOWN_FIELD)
    assert fault_of(place) == ""


def test_a_damaged_any_of_a_known_type_is_named():
    message = listener("x", "r")
    message.filter_chains[0].filters[0].typed_config.value = b"\xff"
    name = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
    assert fault_of(message) == f"filter_chains[0].filters[0].typed_config is damaged: it is no {name}"


def test_an_any_of_an_unknown_type_is_no_fault():
    message = listener("x", "r")
    config = message.filter_chains[0].filters[0].typed_config
    config.type_url, config.value = "type.googleapis.com/udpa.type.v1.Nothing", b"\xff"
    assert fault_of(message) == ""


def test_a_domain_chooses_one_virtual_host():
    message = routes("x")
    message.virtual_hosts.add(name="w", domains=["a.example", "b.example"])
    assert fault_of(message) == ""
    message.virtual_hosts.add(name="z", domains=["c.example", "A.example"])
    assert fault_of(message) == "virtual_hosts[2].domains[1] stands twice"


def test_maps_are_looked_into():
    message = routes("x")
    message.typed_per_filter_config["f"].type_url = xds.CLUSTER
    message.typed_per_filter_config["f"].value = b"\xff"
    assert fault_of(message) == "typed_per_filter_config[f] is damaged: it is no envoy.config.cluster.v3.Cluster"


def test_no_value_is_quoted():
    """A reason goes to the control plane's log and to ours."""
    message = secret("x", content="TOP-SECRET")
    assert "TOP-SECRET" not in fault_of(message, "y")
