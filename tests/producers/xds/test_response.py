from __future__ import annotations

from producers.xds.interest import Interest
from producers.xds.response import MAX_ERROR_CHARS, WRAPPER, read_delta_response, read_response
from schemas import xds
from tests.producers.xds.dialogue import DISCOVERY_RESPONSE, bad_cluster, cluster, endpoints, listener

ANY = xds.message_class("google.protobuf.Any")
RESOURCE = xds.message_class(WRAPPER)


def response(*resources, type_url=xds.CLUSTER):
    packed = [r if r.DESCRIPTOR.full_name == "google.protobuf.Any" else xds.pack(r) for r in resources]
    return DISCOVERY_RESPONSE(type_url=type_url, version_info="1", resources=packed)


def wrapped(message, name="", version=""):
    return xds.pack(RESOURCE(name=name, version=version, resource=xds.pack(message)))


def read(*resources, held=None, wanted=None, type_url=xds.CLUSTER):
    return read_response(response(*resources, type_url=type_url), held or {}, Interest(type_url, wanted))


def read_delta(*wrappers, removed=(), held=None, wanted=None, type_url=xds.CLUSTER):
    response_class = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
    message = response_class(type_url=type_url, resources=wrappers, removed_resources=removed)
    return read_delta_response(message, held or {}, Interest(type_url, wanted))


def test_new_resources_are_taken_with_what_they_refer_to():
    reading = read(cluster("a"), cluster("b", "svc"))
    assert set(reading.changed) == reading.mentioned == {"a", "b"}
    assert reading.changed["b"].references == {(xds.CLUSTER_LOAD_ASSIGNMENT, "svc")}
    assert reading.changed["a"].version_info == "1"
    assert reading.error_detail() == ""
    assert reading.is_complete


def test_what_is_held_is_only_mentioned():
    held = read(cluster("a")).changed
    assert read(cluster("a"), held=held).changed == {}
    assert read(cluster("a"), held=held).mentioned == {"a"}
    assert set(read(cluster("a", timeout="2s"), held=held).changed) == {"a"}


def test_content_is_compared_not_bytes():
    """Map entries and Any contents come in any order from the same control plane (section 6)."""
    held = read(listener("l", "r"), type_url=xds.LISTENER).changed
    shuffled = listener("l", "r")
    config = shuffled.filter_chains[0].filters[0].typed_config
    stat_prefix = b"\x12\x01x"
    config.value = config.value.replace(stat_prefix, b"") + stat_prefix
    assert read(shuffled, type_url=xds.LISTENER, held=held).changed == {}


def test_a_wrapped_resource_is_unwrapped_and_brings_its_version():
    reading = read(wrapped(cluster("a"), "a", "v9"), wrapped(cluster("b")))
    assert reading.changed["a"].version_info == "v9"
    assert reading.changed["b"].version_info == "1"


def test_a_wrapper_with_another_name_is_bad_even_around_known_content():
    held = read(cluster("a")).changed
    reading = read(wrapped(cluster("a"), "z"), held=held)
    assert reading.error_detail() == "a: is wrapped as 'z': the names must be equal"


def test_a_heartbeat_mentions_its_name_and_changes_nothing():
    reading = read(xds.pack(RESOURCE(name="a", version="1")))
    assert (reading.changed, reading.mentioned, reading.faults) == ({}, {"a"}, ())


def test_duplicates_are_bad_and_named():
    reading = read(cluster("a"), cluster("b"), cluster("a", timeout="2s"))
    assert set(reading.changed) == {"b"}
    assert reading.error_detail() == "a: is in the response 2 times"
    assert reading.mentioned == {"a", "b"}


def test_every_bad_resource_is_named():
    reading = read(bad_cluster("a"), bad_cluster("b"), cluster("c"))
    assert [fault.name for fault in reading.faults] == ["a", "b"]
    assert set(reading.changed) == {"c"}
    assert reading.is_complete


def test_a_resource_without_a_name_is_named_by_its_place():
    reading = read(cluster("a"), cluster(""))
    assert reading.error_detail() == "#1: name is empty"
    assert not reading.is_complete


def test_a_resource_of_another_type_is_bad():
    reading = read(endpoints("a"))
    assert reading.error_detail() == f"#0: is a {xds.CLUSTER_LOAD_ASSIGNMENT!r}, not a {xds.CLUSTER}"


def test_damaged_bytes_are_bad():
    assert read(ANY(type_url=xds.CLUSTER, value=b"\xff")).error_detail() == (
        "#0: is damaged: it is no envoy.config.cluster.v3.Cluster"
    )
    assert read(ANY(type_url=WRAPPER, value=b"\xff")).error_detail() == "#0: is a damaged discovery.v3.Resource"


def test_text_that_is_not_utf_8_is_damage():
    assert "is damaged" in read(ANY(type_url=xds.CLUSTER, value=b"\x0a\x01\xff")).error_detail()


def test_names_nobody_asked_for_are_neither_taken_nor_judged():
    reading = read(bad_cluster("z"), cluster("y"), cluster("a"), wanted={"a"})
    assert set(reading.changed) == {"a"}
    assert reading.faults == ()


def test_any_nested_beyond_all_reason_is_bad_and_no_crash():
    config = ANY(type_url="type.googleapis.com/google.protobuf.Any", value=b"")
    for _ in range(1500):
        config = ANY(type_url="type.googleapis.com/google.protobuf.Any", value=config.SerializeToString())
    message = cluster("a")
    message.typed_extension_protocol_options["x"].CopyFrom(config)
    assert read(message).error_detail() == "a: is nested too deeply"


def test_unknown_fields_are_listed_for_the_notes():
    message = cluster("a")
    message.MergeFromString(b"\xfa\x3f\x01z")
    assert read(message).changed["a"].unknown_fields == ("#1023",)


def test_the_text_of_a_nack_is_bounded():
    text = read(*(bad_cluster(f"cluster-{index}") for index in range(500))).error_detail()
    assert len(text) < MAX_ERROR_CHARS + 40
    assert text.endswith("(500 bad resources)")


def resource(message, name, **fields):
    return RESOURCE(name=name, resource=xds.pack(message), **fields)


def test_delta_gives_each_resource_its_own_version_or_its_digest():
    reading = read_delta(resource(cluster("a"), "a", version="v1"), resource(cluster("b"), "b"))
    assert reading.changed["a"].version_info == "v1"
    assert reading.changed["b"].version_info == reading.changed["b"].digest.hex()
    assert reading.versions == {"a": "v1", "b": ""}


def test_delta_names_what_is_removed_in_either_field():
    held = read(cluster("a"), cluster("b")).changed
    response_class = xds.message_class("envoy.service.discovery.v3.DeltaDiscoveryResponse")
    message = response_class(type_url=xds.CLUSTER, removed_resources=["a"], removed_resource_names=[{"name": "b"}])
    assert read_delta_response(message, held, Interest(xds.CLUSTER, None)).removed == {"a", "b"}


def test_delta_takes_a_removal_only_of_what_is_held_or_wanted():
    reading = read_delta(removed=["a", "z"], wanted={"a"}, type_url=xds.CLUSTER_LOAD_ASSIGNMENT)
    assert reading.removed == {"a"}


def test_delta_rejects_what_is_sent_and_removed_at_once():
    reading = read_delta(resource(cluster("a"), "a"), removed=["a"])
    assert reading.error_detail() == "a: is sent and removed in one response"
    assert (reading.changed, reading.removed) == ({}, frozenset())


def test_a_virtual_host_is_called_as_its_wrapper_is():
    host = xds.message_class(xds.VIRTUAL_HOST)(name="v", domains=["x"])
    reading = read_delta(resource(host, "r/v"), wanted={"r"}, type_url=xds.VIRTUAL_HOST)
    assert (set(reading.changed), reading.answered) == ({"r/v"}, {"r"})


def test_times_to_live_are_read_of_what_is_there_and_of_what_is_renewed():
    held = read(cluster("a")).changed
    lives = resource(cluster("b"), "b")
    lives.ttl.FromMilliseconds(1500)
    beat = RESOURCE(name="a", ttl={"seconds": 2})
    stranger = RESOURCE(name="z", ttl={"seconds": 2})
    reading = read(*map(xds.pack, (lives, beat, stranger)), cluster("c"), held=held)
    assert reading.ttls_ms == {"a": 2000, "b": 1500, "c": None}
    assert not reading.has_only_heartbeats
    assert read(xds.pack(beat), held=held).has_only_heartbeats


def test_a_heartbeat_for_another_version_renews_nothing():
    held = read(cluster("a")).changed
    assert read(xds.pack(RESOURCE(name="a", version="2", ttl={"seconds": 2})), held=held).ttls_ms == {}
