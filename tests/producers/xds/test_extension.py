from __future__ import annotations

from producers.traversal import find
from producers.xds.extension import fill, pending
from producers.xds.references import DISCOVERED_FILTERS
from schemas import xds
from tests.producers.xds.dialogue import ADS, CORS, ROUTER, build, discovered_filter, discovering_listener, hcm

HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
TYPED_STRUCT = {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": CORS["@type"]}


def discovered(listener, name):
    (found,) = [message for message in find(listener, HTTP_FILTER) if message.name == name]
    return found


def extensions(name, config=None):
    return {name: discovered_filter(name, config)}


def test_every_row_is_a_message_with_a_name_and_a_source_to_discover():
    for full_name in DISCOVERED_FILTERS:
        fields = xds.pool().FindMessageTypeByName(full_name).fields_by_name
        assert {"name", "typed_config", "config_discovery"} <= set(fields.keys())


def test_a_filter_gets_what_was_discovered_under_its_name():
    listener = discovering_listener("l", "f")
    filled = fill(listener, extensions("f"))
    assert discovered(filled, "f").typed_config.type_url == CORS["@type"]
    assert pending(filled) == []
    assert pending(listener) == ["f"]  # the original is left alone


def test_a_typed_struct_stands_for_the_type_inside():
    filled = fill(discovering_listener("l", "f"), extensions("f", TYPED_STRUCT))
    assert discovered(filled, "f").typed_config.type_url == TYPED_STRUCT["@type"]


def test_another_type_than_allowed_and_an_unknown_name_leave_it_pending():
    listener = discovering_listener("l", "f")
    assert pending(fill(listener, extensions("f", ROUTER))) == ["f"]
    assert pending(fill(listener, extensions("g"))) == ["f"]


def test_the_default_stands_in_until_there_is_something_better():
    source = {"config_source": ADS, "type_urls": [CORS["@type"]], "default_config": CORS}
    listener = build(xds.LISTENER, {"name": "l", "filter_chains": [{"filters": [hcm(http_filters=[])]}]})
    manager = xds.unpack(listener.filter_chains[0].filters[0].typed_config)
    manager.http_filters.append(
        xds.from_json({"name": "f", "config_discovery": source}, xds.message_class(HTTP_FILTER)())
    )
    listener.filter_chains[0].filters[0].typed_config.CopyFrom(xds.pack(manager))
    assert discovered(fill(listener, {}), "f").typed_config.type_url == CORS["@type"]
    assert discovered(fill(listener, extensions("f", ROUTER)), "f").typed_config.type_url == CORS["@type"]
    struct = discovered(fill(listener, extensions("f", TYPED_STRUCT)), "f")
    assert struct.typed_config.type_url == TYPED_STRUCT["@type"]


def test_a_discovered_network_filter_may_hold_filters_to_discover():
    outer = {"config_source": ADS, "type_urls": [xds.HTTP_CONNECTION_MANAGER]}
    listener = build(
        xds.LISTENER, {"name": "l", "filter_chains": [{"filters": [{"name": "m", "config_discovery": outer}]}]}
    )
    inner = discovering_listener("x", "f").filter_chains[0].filters[0].typed_config
    manager = discovered_filter("m")
    manager.typed_config.CopyFrom(inner)
    assert pending(fill(listener, {"m": manager})) == ["f"]
    filled = fill(listener, {"m": manager} | extensions("f"))
    assert pending(filled) == []
    assert discovered(filled, "f").typed_config.type_url == CORS["@type"]
