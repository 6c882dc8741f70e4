from __future__ import annotations

import pytest

from producers.xds.references import REFERENCES, may_refer, references_of
from schemas import xds
from tests.producers.xds.dialogue import (
    ADS,
    build,
    cluster,
    discovering_listener,
    endpoints,
    hcm,
    http_listener,
    listener,
    routes,
    scope,
    scoped_listener,
    tls,
)

OTHER_SERVER = {
    "api_config_source": {"api_type": "GRPC", "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]}
}


def names(message):
    return {name for _, name in references_of(message)}


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: row.message)
def test_every_row_names_fields_that_exist(row):
    """A misspelt path would silently find nothing."""
    for path in filter(None, (*row.names, row.config_source)):
        descriptor = xds.message_class(row.message).DESCRIPTOR
        for field in path.split("."):
            descriptor = descriptor.fields_by_name[field].message_type
        assert path != row.config_source or descriptor.full_name == "envoy.config.core.v3.ConfigSource"
    assert row.names or row.constant
    assert xds.is_known(row.type_url)


def test_a_cluster_of_type_eds_refers_to_its_endpoints_by_service_name_or_its_own():
    assert references_of(cluster("a")) == {(xds.CLUSTER_LOAD_ASSIGNMENT, "a")}
    assert references_of(cluster("a", "svc")) == {(xds.CLUSTER_LOAD_ASSIGNMENT, "svc")}


def test_a_name_that_would_mean_everything_is_never_asked_for():
    """Nothing would tell its resource from all the others, which would come with it and never go."""
    assert references_of(cluster("*")) == frozenset()
    assert references_of(cluster("a", "*")) == frozenset()
    assert references_of(listener("l", "*", default_routes="r")) == {(xds.ROUTE_CONFIGURATION, "r")}


def test_a_cluster_of_another_type_does_not():
    static = cluster("a")
    static.type = 0
    assert references_of(static) == frozenset()


def test_routes_are_found_in_every_chain_and_the_default_one():
    message = listener("l", "r1", default_routes="r2")
    message.filter_chains.add().CopyFrom(listener("m", "r3").filter_chains[0])
    assert names(message) == {"r1", "r2", "r3"}


def test_routes_are_found_in_an_api_listener():
    message = build(xds.LISTENER, {"name": "l", "api_listener": {"api_listener": hcm("r")["typed_config"]}})
    assert references_of(message) == {(xds.ROUTE_CONFIGURATION, "r")}


def test_secrets_are_found_in_tls_contexts_of_both_sides():
    assert references_of(listener("l", secret="s")) == {(xds.SECRET, "s")}
    assert names(cluster("a", secret="s")) == {"a", "s"}


def test_secrets_are_found_wherever_a_secret_is_named():
    """Quic wraps the context once more, OAuth2 keeps its secrets in a filter: one walk finds both."""
    context = {"@type": xds.DOWNSTREAM_TLS_CONTEXT, "common_tls_context": tls("s1")}
    transport = "type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport"
    context.pop("@type")
    quic = {"@type": transport, "downstream_tls_context": context}
    oauth2 = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2",
        "config": {"credentials": {"client_id": "c", "token_secret": {"name": "s2", "sds_config": ADS}}},
    }
    manager = hcm("r")
    manager["typed_config"]["http_filters"].insert(0, {"name": "oauth2", "typed_config": oauth2})
    chain = {"filters": [manager], "transport_socket": {"name": "quic", "typed_config": quic}}
    assert names(build(xds.LISTENER, {"name": "l", "filter_chains": [chain]})) == {"r", "s1", "s2"}


def test_what_comes_from_elsewhere_is_not_ours_to_ask():
    """Istio's sidecars name certificates that the agent beside them serves (control-planes.md section 3.2)."""
    context = {"@type": xds.DOWNSTREAM_TLS_CONTEXT, "common_tls_context": tls("default")}
    context["common_tls_context"]["tls_certificate_sds_secret_configs"][0]["sds_config"] = OTHER_SERVER
    chain = {"filters": [], "transport_socket": {"name": "tls", "typed_config": context}}
    assert references_of(build(xds.LISTENER, {"name": "l", "filter_chains": [chain]})) == frozenset()


def test_a_static_secret_has_no_source_and_is_not_asked_for():
    context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": tls("s")}
    del context["common_tls_context"]["tls_certificate_sds_secret_configs"][0]["sds_config"]
    message = build(xds.CLUSTER, {"name": "a", "transport_socket": {"name": "tls", "typed_config": context}})
    assert references_of(message) == frozenset()


def test_unknown_and_damaged_any_are_passed_over():
    message = listener("l", "r")
    unknown = message.filter_chains[0].filters.add(name="x").typed_config
    unknown.type_url, unknown.value = "type.googleapis.com/stats.PluginConfig", b"\x01"
    damaged = message.filter_chains[0].filters.add(name="y").typed_config
    damaged.type_url, damaged.value = xds.HTTP_CONNECTION_MANAGER, b"\xff"
    assert names(message) == {"r"}


def test_endpoints_and_routes_refer_to_nothing():
    assert references_of(endpoints("a")) == frozenset()
    assert references_of(routes("r")) == frozenset()


def test_the_walk_goes_only_where_a_name_can_stand():
    assert may_refer(xds.DOWNSTREAM_TLS_CONTEXT)
    assert may_refer(xds.ROUTE_CONFIGURATION)  # through the Any of typed_per_filter_config
    assert not may_refer("type.googleapis.com/google.protobuf.Duration")
    assert not may_refer("type.googleapis.com/made.up.Type")


def test_scopes_in_a_listener_refer_to_their_routes():
    manager = xds.message_class(xds.HTTP_CONNECTION_MANAGER)()
    scopes = {
        "name": "scopes",
        "rds_config_source": {"ads": {}},
        "scoped_route_configurations_list": {
            "scoped_route_configurations": [
                {"name": "one", "route_configuration_name": "r1"},
                {"name": "two", "route_configuration": {"name": "inside"}},
            ]
        },
    }
    xds.from_json({"scoped_routes": scopes}, manager)
    assert references_of(manager) == {(xds.ROUTE_CONFIGURATION, "r1")}
    manager.scoped_routes.ClearField("rds_config_source")
    assert references_of(manager) == frozenset()


def test_scopes_are_wanted_all_and_each_leads_to_its_routes():
    assert references_of(scoped_listener("l")) == {(xds.SCOPED_ROUTE_CONFIGURATION, "*")}
    assert references_of(scope("s", "r")) == {(xds.ROUTE_CONFIGURATION, "r")}


def test_scopes_listed_in_the_listener_lead_to_their_routes():
    listed = {"scoped_route_configurations": [{"name": "s", "route_configuration_name": "r"}]}
    scoped = {
        "name": "scopes",
        "rds_config_source": ADS,
        "scoped_route_configurations_list": listed,
    }
    assert references_of(http_listener("l", scoped_routes=scoped)) == {(xds.ROUTE_CONFIGURATION, "r")}


def test_virtual_hosts_are_wanted_by_the_name_of_a_route_configuration_that_is_a_resource():
    assert references_of(routes("r", has_vhds=True)) == {(xds.VIRTUAL_HOST, "r")}
    assert references_of(http_listener("l", route_config={"name": "r", "vhds": {"config_source": ADS}})) == frozenset()


def test_filters_are_discovered_by_their_name():
    found = references_of(discovering_listener("l", "f"))
    assert found == {(xds.TYPED_EXTENSION_CONFIG, "f"), (xds.ROUTE_CONFIGURATION, "r")}


def test_names_are_found_in_maps_too():
    message = cluster("a", is_eds=False)
    inner = cluster("b", is_eds=False, secret="s").transport_socket.typed_config
    message.typed_extension_protocol_options["x"].CopyFrom(inner)
    assert references_of(message) == {(xds.SECRET, "s")}
