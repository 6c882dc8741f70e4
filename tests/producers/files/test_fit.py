from __future__ import annotations

import pytest

from producers.files.fit import Budget, TooLargeError, fit
from schemas import xds

HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(**fields):
    return fit(xds.CLUSTER, {"name": "c", **fields}, Budget(10_000))


def misfits(found) -> dict[str, str]:
    return {".".join(map(str, misfit.path)): misfit.message for misfit in found}


def test_what_fits_becomes_a_message_in_either_spelling():
    fitted = cluster(connectTimeout="1s", lb_policy="RANDOM", type=None)
    assert (fitted.message.connect_timeout.seconds, fitted.message.lb_policy) == (1, 3)
    assert (fitted.unknown_fields, fitted.wrong_values) == ((), ())


def test_every_unknown_field_is_found_and_left_out():
    options = {"o": {"@type": HTTP_OPTIONS, "nope": 1, "common_http_protocol_options": {"also": 1}}}
    endpoint = {"lb_endpoints": [{"endpoint": {"adress": 1}}, {}]}
    fitted = cluster(unheard_of=[], typed_extension_protocol_options=options, load_assignment={"endpoints": [endpoint]})
    assert misfits(fitted.unknown_fields) == {
        "unheard_of": "Cluster has no field unheard_of",
        "typed_extension_protocol_options.o.nope": "HttpProtocolOptions has no field nope",
        "typed_extension_protocol_options.o.common_http_protocol_options.also": "HttpProtocolOptions has no field also",
        "load_assignment.endpoints.0.lb_endpoints.0.endpoint.adress": "Endpoint has no field adress",
    }
    assert len(fitted.message.load_assignment.endpoints[0].lb_endpoints) == 2


def test_every_wrong_value_is_found_with_its_path():
    options = {"o": {"@type": HTTP_OPTIONS, "common_http_protocol_options": {"idle_timeout": 5}}}
    endpoints = [{"lb_endpoints": ["text", {"load_balancing_weight": "many"}]}]
    fitted = cluster(
        connect_timeout="5x",
        type="NOPE",
        lb_policy=[1],
        typed_extension_protocol_options=options,
        load_assignment={"endpoints": endpoints},
        circuit_breakers="closed",
        health_checks={"timeout": "1s"},
    )
    assert fitted.message is None
    assert misfits(fitted.wrong_values).keys() == {
        "connect_timeout",
        "type",
        "lb_policy",
        "typed_extension_protocol_options.o.common_http_protocol_options.idle_timeout",
        "load_assignment.endpoints.0.lb_endpoints.0",
        "load_assignment.endpoints.0.lb_endpoints.1.load_balancing_weight",
        "circuit_breakers",
        "health_checks",
    }
    assert all("\n" not in message for message in misfits(fitted.wrong_values).values())


def test_a_resource_must_be_a_mapping():
    fitted = fit(xds.CLUSTER, ["c"], Budget(100))
    assert misfits(fitted.wrong_values) == {"": "a mapping is expected, not a list"}


def test_an_unknown_any_keeps_its_type_as_a_typed_struct():
    fitted = cluster(typed_extension_protocol_options={"o": {"@type": "type.googleapis.com/x.Y", "a": {"b": [1]}}})
    struct = xds.unpack(fitted.message.typed_extension_protocol_options["o"])
    assert struct.type_url == "type.googleapis.com/x.Y"
    assert struct.value.fields["a"].struct_value.fields["b"].list_value.values[0].number_value == 1


def test_well_known_types_are_left_to_the_parser():
    value = {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}
    metadata = {"filter_metadata": {"m": {"any": {"thing": [True]}}}, "typed_filter_metadata": {"d": value}}
    fitted = cluster(metadata=metadata)
    assert fitted.message.metadata.filter_metadata["m"].fields["any"].struct_value.fields["thing"]
    assert xds.unpack(fitted.message.metadata.typed_filter_metadata["d"]).seconds == 3


def test_keys_that_yaml_did_not_read_as_text_are_texts():
    fitted = cluster(metadata={"filter_metadata": {1: {True: 1}}})
    assert list(fitted.message.metadata.filter_metadata["1"].fields) == ["true"]


def test_an_endless_tree_and_one_that_aliases_blow_up_are_refused():
    loop: list = []
    loop.append(loop)
    bomb: list = ["x"]
    for _ in range(12):
        bomb = [bomb] * 9
    for tree in (loop, bomb):
        with pytest.raises(TooLargeError, match="aliases expand"):
            cluster(metadata={"filter_metadata": {"m": tree}})
