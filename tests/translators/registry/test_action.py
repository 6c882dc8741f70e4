"""The descriptor walk over routes and their actions (law 8)."""

from __future__ import annotations

import pytest

from schemas import xds
from translators.registry import find

ROUTE = "envoy.config.route.v3"
MESSAGES = [
    f"{ROUTE}.Route",
    f"{ROUTE}.VirtualHost",
    f"{ROUTE}.ScopedRouteConfiguration",
    "envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes",
    f"{ROUTE}.RouteConfiguration",
    f"{ROUTE}.RouteAction",
    f"{ROUTE}.RouteAction.RequestMirrorPolicy",
    f"{ROUTE}.WeightedCluster",
    f"{ROUTE}.WeightedCluster.ClusterWeight",
    f"{ROUTE}.RedirectAction",
    f"{ROUTE}.DirectResponseAction",
    f"{ROUTE}.RetryPolicy",
    f"{ROUTE}.FilterConfig",
    "envoy.config.core.v3.HeaderValueOption",
    "envoy.config.core.v3.HeaderValue",
]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_row(name: str):
    fields = [field.full_name for field in xds.message_class(name).DESCRIPTOR.fields]
    assert [field for field in fields if find(field) is None] == []
