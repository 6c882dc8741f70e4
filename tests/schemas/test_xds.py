from __future__ import annotations

import pytest
from google.protobuf import duration_pb2, json_format
from hypothesis import given
from hypothesis import strategies as st

from schemas import xds

HCM = {
    "@type": xds.HTTP_CONNECTION_MANAGER,
    "stat_prefix": "x",
    "http_filters": [
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }
    ],
}


def listener(metadata: dict[str, str]):
    data = {
        "name": "l",
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": HCM}]}],
        "metadata": {"filter_metadata": {"m": metadata}},
    }
    return xds.from_json(data, xds.message_class(xds.LISTENER)())


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=6), st.randoms())
def test_equal_content_gives_equal_bytes_whatever_the_map_order(metadata, random):
    shuffled = list(metadata.items())
    random.shuffle(shuffled)
    assert xds.canonical_bytes(listener(metadata)) == xds.canonical_bytes(listener(dict(shuffled)))


def test_an_any_serialised_in_another_field_order_is_canonicalised():
    message = listener({})
    config = message.filter_chains[0].filters[0].typed_config
    inner = xds.unpack(config)
    stat_prefix = b"\x12\x01x"
    assert stat_prefix in config.value
    config.value = config.value.replace(stat_prefix, b"") + stat_prefix
    assert xds.unpack(config) == inner
    assert xds.canonical_bytes(message) == xds.canonical_bytes(listener({}))


def test_canonical_bytes_leave_the_message_alone():
    message = listener({"b": "1", "a": "2"})
    before = message.SerializeToString()
    xds.canonical_bytes(message)
    assert message.SerializeToString() == before


def test_unknown_fields_are_found_with_their_path():
    message = listener({})
    config = message.filter_chains[0].filters[0].typed_config
    config.value += b"\xfa\x3f\x01z"  # field 1023, length-delimited
    assert list(xds.unknown_field_paths(message)) == ["filter_chains[0].filters[0].typed_config.#1023"]


def test_an_unknown_type_is_named():
    with pytest.raises(xds.UnknownTypeError, match=r"made\.up\.Type"):
        xds.message_class("type.googleapis.com/made.up.Type")
    assert not xds.is_known("made.up.Type")
    unknown = xds.message_class("google.protobuf.Any")(type_url="t/made.up.Type", value=b"1")
    assert xds.unpack(unknown) is None


def test_sensitive_fields_come_from_the_protos():
    certificate = "envoy.extensions.transport_sockets.tls.v3.TlsCertificate"
    assert xds.sensitive_fields(certificate) == {"private_key", "password", "pkcs12"}
    assert xds.sensitive_fields("envoy.config.cluster.v3.Cluster") == frozenset()


def test_the_pool_is_private():
    """The types must not leak into protobuf's default pool, where they would collide with other packages."""
    from google.protobuf import descriptor_pool

    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("envoy.config.cluster.v3.Cluster")


def test_an_any_of_a_well_known_type_without_its_value_does_not_fit():
    with pytest.raises(json_format.ParseError, match="lacks its 'value'"):
        xds.from_json(
            {"@type": "type.googleapis.com/google.protobuf.Struct"}, xds.message_class("google.protobuf.Any")()
        )


def test_all_classes_can_be_made_at_once():
    xds.make_classes()
    assert xds.message_class("google.protobuf.Duration") is type(xds.message_class(xds.CLUSTER)().connect_timeout)
    assert xds.message_class("google.protobuf.Duration") is not duration_pb2.Duration
    assert xds.message_class(f"any.prefix/{xds.CLUSTER.rpartition('/')[2]}") is xds.message_class(xds.CLUSTER)


def any_in_any(depth: int):
    message = xds.message_class("google.protobuf.Any")(type_url=f"{xds.TYPE_URL_PREFIX}google.protobuf.Any")
    for _ in range(depth):
        message = xds.pack(message)
    return message


def test_messages_in_each_other_are_refused_beyond_protobufs_own_limit_whatever_is_left_of_the_stack():
    cluster = xds.message_class(xds.CLUSTER)(name="a")
    others = 4  # the cluster, its metadata, and inmost the Any that is packed and the empty one in it
    cluster.metadata.typed_filter_metadata["x"].CopyFrom(any_in_any(xds.MAX_DEPTH - others))
    xds.canonical_bytes(cluster)
    cluster.metadata.typed_filter_metadata["x"].CopyFrom(any_in_any(xds.MAX_DEPTH - others + 1))
    with pytest.raises(RecursionError, match="more than 100 messages in each other"):
        xds.canonical_bytes(cluster)
