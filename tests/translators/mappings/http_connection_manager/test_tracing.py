from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.managed import Managed, managed
from translators.findings import Findings
from translators.mappings.http_connection_manager import tracing
from translators.policy import Policy
from translators.where import Where

PACKAGE = "type.googleapis.com/envoy.config.trace.v3."
ISTIO = "outbound|9411||zipkin.istio-system.svc.cluster.local"
ZIPKIN = {"@type": f"{PACKAGE}ZipkinConfig", "collector_cluster": ISTIO, "collector_endpoint": "/"}
OTEL_HTTP = {
    "@type": f"{PACKAGE}OpenTelemetryConfig",
    "http_service": {"http_uri": {"uri": "https://otel.example/v1/traces", "cluster": "c", "timeout": "1s"}},
}


def traced(config: dict[str, Any], collectors: dict[str, str] | None = None, **fields: Any) -> Managed:
    return managed({"tracing": {"provider": {"name": "p", "typed_config": config}, **fields}}, collectors=collectors)


def test_the_smallest_sampling_counts():
    found = traced(ZIPKIN, client_sampling={"value": 50}, random_sampling={"value": 10}, overall_sampling={"value": 20})
    assert found.draft.observers["zipkin"]["sample_ratio"] == pytest.approx(0.1)
    assert traced(ZIPKIN).draft.observers["zipkin"]["sample_ratio"] == 1


def test_nothing_is_traced_below_what_plugins_take():
    assert traced(ZIPKIN, random_sampling={"value": 0}).draft.observers == {}


def test_the_policy_knows_collectors():
    found = traced({**ZIPKIN, "collector_cluster": "z"}, {"z": "http://z.example:9411/"})
    assert found.draft.observers["zipkin"]["endpoint"] == "http://z.example:9411/api/v2/spans"


@pytest.mark.parametrize(
    "config",
    [
        {**ZIPKIN, "collector_cluster": "z"},
        {"@type": f"{PACKAGE}SkyWalkingConfig", "grpc_service": {"envoy_grpc": {"cluster_name": "z"}}},
        {"@type": "type.googleapis.com/google.protobuf.Empty"},
        {"@type": f"{PACKAGE}DatadogConfig", "collector_cluster": "d", "service_name": "s"},
    ],
)
def test_what_is_not_traced_says_so(config: dict[str, Any]):
    found = traced(config)
    assert (found.draft.observers, found.said) == ({}, [("OBS-TRACE", "tracing.provider")])


def test_tracing_without_a_provider_is_nothing():
    found = managed({"tracing": {}})
    assert (found.draft.observers, found.said) == ({}, [])


@pytest.mark.parametrize(
    ("url", "wanted"), [("https://otel.example/v1/traces", "otel.example:4318"), ("http://o:1", "o:1")]
)
def test_otlp_goes_to_a_host_and_port(url: str, wanted: str):
    assert tracing.collector_of(tracing.Provider("opentelemetry", url, "c")) == wanted


def of_route(data: dict[str, Any], hcm: dict[str, Any]) -> dict[str, Any]:
    route = xds.from_json(data, xds.message_class("envoy.config.route.v3.Route")())
    message = xds.from_json(hcm, xds.message_class(xds.HTTP_CONNECTION_MANAGER)())
    return tracing.of_route(route, message, managed(hcm).draft, Where("", "r"), Findings(Policy()))


def test_a_route_samples_in_its_own_way():
    hcm = {"tracing": {"provider": {"name": "p", "typed_config": OTEL_HTTP}}}
    half = {"tracing": {"random_sampling": {"numerator": 5000, "denominator": "TEN_THOUSAND"}}}
    root = of_route(half, hcm)["opentelemetry"]["sampler"]["options"]["root"]
    assert root == {"name": "trace_id_ratio", "options": {"fraction": 0.5}}
    silent = of_route({"tracing": {"random_sampling": {}}}, hcm)
    assert silent["opentelemetry"]["_meta"] == {"disable": True}


@pytest.mark.parametrize(
    "hcm", [{}, {"tracing": {"provider": {"name": "p", "typed_config": {**ZIPKIN, "collector_cluster": "z"}}}}]
)
def test_a_route_of_an_untraced_chain_is_not_traced(hcm: dict[str, Any]):
    assert of_route({"tracing": {}}, hcm) == {}
