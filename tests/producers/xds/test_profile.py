from __future__ import annotations

import json

import pytest

from producers.xds.profile import PROFILES, Facts, build_identity
from schemas import xds

GATEWAY = Facts(name="gw", namespace="edge", ip="10.0.0.1")


def node(identity):
    return xds.to_dict(identity.node)


def test_an_istio_router_is_named_in_four_parts_and_its_metadata_are_strings():
    facts = Facts("gw", "edge", "10.0.0.1", mesh="m", service_account="sa")
    metadata = {
        "DNS_CAPTURE": True,
        "INSTANCE_IPS": ["10.0.0.1", "fd00::1"],
        "POD_PORTS": [{"containerPort": 80}],
        "LABELS": {"app": "gw", "live": False},
        "PROXY_CONFIG": {"concurrency": 2},
        "CLUSTER_ID": None,
    }
    identity = build_identity("istio-router", facts, "1", metadata=metadata)
    built = node(identity)
    assert built["id"] == "router~10.0.0.1~gw.edge~edge.svc.cluster.local"
    assert built["cluster"] == "gw.edge"
    assert built["metadata"] == {
        "NAMESPACE": "edge",
        "INSTANCE_IPS": "10.0.0.1,fd00::1",
        "SERVICE_ACCOUNT": "sa",
        "MESH_ID": "m",
        "DNS_CAPTURE": "true",
        "POD_PORTS": '[{"containerPort": 80}]',
        "LABELS": {"app": "gw", "live": "false"},
        "PROXY_CONFIG": {"concurrency": 2.0},
    }
    assert (identity.variant, identity.token_header, identity.token_prefix) == ("sotw", "authorization", "Bearer ")


def test_an_istio_sidecar_takes_its_domain_where_it_is_given():
    facts = Facts("app", "ns", "fd00::1", domain="ns.svc.example.org")
    assert node(build_identity("istio-sidecar", facts, "1"))["id"] == "sidecar~fd00::1~app.ns~ns.svc.example.org"


def test_a_kuma_data_plane_announces_a_delegated_gateway_and_a_readiness_port():
    identity = build_identity("kuma", GATEWAY, "1")
    built = node(identity)
    assert built["id"] == "default.gw"
    assert built["metadata"]["dataplane.readinessReporter.port"] == "9902"
    dataplane = json.loads(built["metadata"]["dataplane.resource"])
    assert (dataplane["mesh"], dataplane["name"]) == ("default", "gw")
    assert dataplane["networking"]["gateway"]["type"] == "DELEGATED"
    assert identity.token_prefix == ""


def test_a_dataplane_given_as_a_mapping_becomes_a_string():
    metadata = {"dataplane.resource": {"type": "Dataplane"}, "dataplane.readinessReporter.port": 9000}
    built = node(build_identity("kuma", Facts("gw", mesh="m"), "1", metadata=metadata))
    assert built["id"] == "m.gw"
    assert built["metadata"]["dataplane.resource"] == '{"type": "Dataplane"}'
    assert built["metadata"]["dataplane.readinessReporter.port"] == "9000"


def test_a_consul_proxy_speaks_delta_and_has_its_own_token_header():
    identity = build_identity("consul", GATEWAY, "1", metadata={"node_name": "n1"})
    built = node(identity)
    assert (built["id"], built["cluster"]) == ("gw", "gw")
    assert built["metadata"] == {"namespace": "edge", "node_name": "n1"}
    assert (identity.variant, identity.token_header, identity.token_prefix) == ("delta", "x-consul-token", "")


def test_an_envoy_gateway_proxy_belongs_to_the_cluster_of_its_gateway():
    built = node(build_identity("envoy-gateway", GATEWAY, "1"))
    assert (built["id"], built["cluster"]) == ("meshferry-edge-gw", "edge/gw")


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_given_replaces_what_a_profile_builds(profile):
    node_id = "router~10.0.0.9~other.ns~ns.svc" if profile.startswith("istio-") else "other"
    identity = build_identity(
        profile, Facts(), "1", node_id=node_id, cluster="c", metadata={"K": "v"}, locality={"region": "r"}
    )
    built = node(identity)
    assert (built["id"], built["cluster"], built["metadata"]["K"]) == (node_id, "c", "v")
    assert built["locality"] == {"region": "r"}


@pytest.mark.parametrize(
    ("profile", "facts", "words"),
    [
        ("istio", Facts(), "profile: 'istio' is none; there are generic, istio-sidecar"),
        ("generic", Facts(), "node id: empty"),
        (
            "istio-router",
            Facts("gw"),
            r"profile istio-router: identity.namespace, identity.ip missing; give them, or node",
        ),
        ("istio-sidecar", Facts("gw", "ns", "10.0.0"), "identity.ip: '10.0.0' is no IP address"),
        ("kuma", Facts(), "profile kuma: identity.name missing"),
        ("consul", Facts(), "profile consul: identity.name missing"),
        ("envoy-gateway", Facts("gw"), "profile envoy-gateway: identity.namespace missing"),
    ],
)
def test_what_is_missing_or_wrong_is_named(profile, facts, words):
    with pytest.raises(ValueError, match=words):
        build_identity(profile, facts, "1")


def test_an_istio_node_id_of_other_parts_is_refused():
    with pytest.raises(ValueError, match=r"node_id: 'gw' is not TYPE~IP~NAME.NAMESPACE~DOMAIN"):
        build_identity("istio-router", Facts(), "1", node_id="gw")


def test_an_envoy_gateway_without_its_gateway_needs_a_cluster():
    with pytest.raises(ValueError, match="profile envoy-gateway: cluster missing"):
        build_identity("envoy-gateway", Facts(), "1", node_id="n")
