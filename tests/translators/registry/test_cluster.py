"""The descriptor walk: a field that a newer xDS adds to a message fails here until someone decides about it (law 8)."""

from __future__ import annotations

import pytest

from schemas import xds
from translators.registry import find

CLUSTER = "envoy.config.cluster.v3.Cluster"
MESSAGES = [
    CLUSTER,
    f"{CLUSTER}.CommonLbConfig",
    f"{CLUSTER}.LbSubsetConfig",
    "envoy.config.cluster.v3.OutlierDetection",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
    "envoy.config.endpoint.v3.LocalityLbEndpoints",
    "envoy.config.endpoint.v3.LbEndpoint",
    "envoy.config.endpoint.v3.Endpoint",
    "envoy.config.endpoint.v3.Endpoint.HealthCheckConfig",
    "envoy.config.core.v3.HttpProtocolOptions",
    "envoy.config.core.v3.HealthCheck",
    "envoy.config.core.v3.HealthCheck.HttpHealthCheck",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions",
]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_row(name: str):
    fields = [field.full_name for field in xds.message_class(name).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []
