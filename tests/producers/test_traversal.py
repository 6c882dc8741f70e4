from __future__ import annotations

from producers.traversal import ANY, children, copy_only, copy_without, descend, find, rewrite
from schemas import xds
from tests.producers.scene import cluster, listener, rds, tcp

HCM = xds.HTTP_CONNECTION_MANAGER.rpartition("/")[2]
TCP_PROXY = xds.TCP_PROXY.rpartition("/")[2]


def two_proxies():
    return listener("l", tcp("a"), rds("r"), default_filter_chain=tcp("b")).body


def test_find_looks_into_any():
    assert [proxy.cluster for proxy in find(two_proxies(), TCP_PROXY)] == ["a", "b"]


def test_an_any_that_cannot_be_read_holds_nothing():
    message = two_proxies()
    message.filter_chains[0].filters[0].typed_config.type_url = "type.googleapis.com/x.Y"
    assert [proxy.cluster for proxy in find(message, TCP_PROXY)] == ["b"]
    assert all(found.DESCRIPTOR.full_name != ANY for found in descend(message))


def test_rewrite_changes_every_one_in_place_and_says_whether_there_was_one():
    def rename(proxy) -> None:
        proxy.cluster += "2"

    message = two_proxies()
    assert rewrite(message, TCP_PROXY, rename)
    assert [proxy.cluster for proxy in find(message, TCP_PROXY)] == ["a2", "b2"]
    before = message.SerializeToString()
    assert not rewrite(message, "envoy.config.core.v3.GrpcService", rename)
    assert message.SerializeToString() == before


def test_maps_of_messages_are_walked_and_maps_of_scalars_are_not():
    metadata = {"filter_metadata": {"m": {"k": 1}}}
    message = cluster("a", metadata=metadata).body
    assert [child.DESCRIPTOR.name for child in children(message)] == ["Metadata"]
    assert {found.DESCRIPTOR.name for found in descend(message)} == {"Cluster", "Metadata", "Struct", "Value"}
    settings = xds.message_class("envoy.extensions.filters.http.ext_authz.v3.CheckSettings")
    assert list(children(settings(context_extensions={"a": "b"}))) == []


def test_copies_with_and_without_fields():
    message = cluster("a", metadata={"filter_metadata": {"m": {"k": 1}}}, connect_timeout="1s", lb_policy="RANDOM").body
    without = copy_without(message, "connect_timeout", "name")
    assert [field.name for field, _ in without.ListFields()] == ["lb_policy", "metadata"]
    assert without.metadata == message.metadata
    assert [field.name for field, _ in copy_only(message, "name").ListFields()] == ["name"]
    assert [chain.filters[0].name for chain in copy_without(two_proxies(), "name").filter_chains] == ["tcp", "hcm"]
