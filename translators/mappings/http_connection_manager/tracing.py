"""Source: HttpConnectionManager.tracing, Route.tracing.

Target: the plugins zipkin, opentelemetry (with plugin_metadata), skywalking (with plugin_attr in the manifest).
Fidelity: A.
Differs: client, random and overall sampling become the smallest of them; tags are named by their variables, literals
    and metadata are left out; OTLP and SkyWalking go over HTTP. The collector's address is not part of a unit: it is
    read from `collectors` in the policy, for Zipkin also from a cluster's name as Istio writes it.
Diagnostics: OBS-TRACE.
See: mapping.md section 4.8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from schemas import xds
from translators.mappings.match.runtime_fraction import DENOMINATORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

MIN_RATIO = 0.00001
"""The smallest that the plugins take; below it nothing is traced."""
_PACKAGE = "envoy.config.trace.v3."
_OTLP_HTTP_PORT = 4318
_ISTIO_NAME = re.compile(r"outbound\|(\d+)\|[^|]*\|([A-Za-z0-9.-]+)\Z")
_UNMAPPED = "no spans are sent: the collector's address is not known"
_MAP = "name it in the policy: collectors: {CLUSTER: 'http://HOST:PORT'}"
_PERCENT = 100
_SAMPLINGS = ("client_sampling", "random_sampling", "overall_sampling")


class Provider(NamedTuple):
    """A tracing provider of Envoy.

    Attributes:
        plugin: of APISIX.
        url: of the collector; empty when it is not known.
        cluster: that Envoy sends to.
        service: the name that spans carry; empty when Envoy takes its own.
    """

    plugin: str
    url: str
    cluster: str
    service: str = ""


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Trace the requests of the chain."""
    if not hcm.tracing.HasField("provider"):
        return
    place = at.field("tracing")
    provider = read_provider(hcm.tracing, draft.collectors)
    if provider is None:
        findings.report("OBS-TRACE", place.field("provider"), value=hcm.tracing.provider.typed_config.type_url)
    elif not provider.url:
        findings.report("OBS-TRACE", place.field("provider"), value=provider.cluster, effect=_UNMAPPED, remedy=_MAP)
    else:
        ratio = _ratio(hcm.tracing)
        draft.observers.update(_plugin(provider, hcm.tracing, ratio, place, findings) if ratio >= MIN_RATIO else {})


def of_route(
    route: xds.Message, hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings
) -> dict[str, Any]:
    """Give the plugin of a route that samples in its own way; it takes the place of the chain's."""
    provider = read_provider(hcm.tracing, draft.collectors) if hcm.tracing.HasField("provider") else None
    if provider is None or not provider.url:
        return {}
    ratio, place = _ratio(route.tracing), at.field("tracing")
    if ratio >= MIN_RATIO:
        return _plugin(provider, route.tracing, ratio, place, findings)
    silent = _plugin(provider, route.tracing, 1, place, findings)
    return {provider.plugin: {**silent[provider.plugin], "_meta": {"disable": True}}}


def read_provider(tracing: xds.Message, collectors: Mapping[str, str]) -> Provider | None:
    """Read the provider of HttpConnectionManager.Tracing; None for one that APISIX has no plugin for."""
    config = xds.unpack(tracing.provider.typed_config)
    kind = config.DESCRIPTOR.full_name.removeprefix(_PACKAGE) if config is not None else ""
    if config is None:
        return None
    if kind == "ZipkinConfig":
        cluster = config.collector_cluster
        return Provider("zipkin", _url_of(cluster, collectors) or _istio_url(cluster), cluster)
    if kind == "OpenTelemetryConfig":
        http = config.http_service
        cluster = http.http_uri.cluster or _grpc_cluster(config.grpc_service)
        url = http.http_uri.uri or _url_of(cluster, collectors)
        return Provider("opentelemetry", url, cluster, config.service_name)
    if kind == "SkyWalkingConfig":
        cluster = _grpc_cluster(config.grpc_service)
        return Provider("skywalking", _url_of(cluster, collectors), cluster, config.client_config.service_name)
    return None


def collector_of(provider: Provider) -> str:
    """Give HOST:PORT of a collector that is spoken to by OTLP over HTTP."""
    parts = urlsplit(provider.url)
    return f"{parts.hostname}:{parts.port or _OTLP_HTTP_PORT}"


def _grpc_cluster(service: xds.Message) -> str:
    return str(service.envoy_grpc.cluster_name)


def _url_of(cluster: str, collectors: Mapping[str, str]) -> str:
    return collectors.get(cluster, "").rstrip("/")


def _istio_url(cluster: str) -> str:
    """Read where a cluster leads from its name; only where Envoy, too, speaks HTTP to the collector."""
    named = _ISTIO_NAME.match(cluster)
    return f"http://{named[2]}:{named[1]}" if named is not None else ""


def _plugin(provider: Provider, tracing: xds.Message, ratio: float, at: Where, findings: Findings) -> dict[str, Any]:
    if provider.plugin == "opentelemetry":
        root = {"name": "trace_id_ratio", "options": {"fraction": ratio}}
        plugin: dict[str, Any] = {"sampler": {"name": "parent_base", "options": {"root": root}}}
        if attributes := _attributes(tracing, at, findings):
            plugin["additional_attributes"] = attributes
        return {provider.plugin: plugin}
    if tracing.custom_tags:
        findings.report("OBS-TRACE", at.field("custom_tags"), effect="spans have no tags of their own")
    if provider.plugin == "zipkin":
        return {"zipkin": {"endpoint": f"{provider.url}/api/v2/spans", "sample_ratio": ratio}}
    return {provider.plugin: {"sample_ratio": ratio}}


def _attributes(tracing: xds.Message, at: Where, findings: Findings) -> list[str]:
    found = []
    for tag in tracing.custom_tags:
        if tag.WhichOneof("type") == "request_header":
            found.append("http_" + tag.request_header.name.lower().replace("-", "_"))
        else:
            findings.report("OBS-TRACE", at.item("custom_tags", tag.tag), effect="spans do not have this tag")
    return sorted(set(found))


def _ratio(tracing: xds.Message) -> float:
    """Give the smallest of the samplings; each is everything unless it is set."""
    return min((_share(getattr(tracing, name)) for name in _SAMPLINGS if tracing.HasField(name)), default=1.0)


def _share(sampling: xds.Message) -> float:
    """Read a Percent of the connection manager or a FractionalPercent of a route."""
    if sampling.DESCRIPTOR.name == "Percent":
        return float(sampling.value) / _PERCENT
    return float(sampling.numerator) / DENOMINATORS[sampling.denominator]
