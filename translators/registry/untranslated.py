"""Rows of HTTP filters that restrict nobody and are left out: what is then missing, and what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.http_filter.switch import is_switched_off, says_nothing
from translators.registry.row import Diagnosed, Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_FILTER = "envoy.extensions.filters.http"
_NODE_PLUGIN = "do it in the service, or with a plugin of APISIX at the node"
_UNTRANSLATED: dict[str, tuple[str, str]] = {
    "adaptive_concurrency.v3.AdaptiveConcurrency": (
        "concurrency is not limited by latency",
        "limit connections with the plugin limit-conn at the node",
    ),
    "admission_control.v3.AdmissionControl": (
        "no requests are shed when upstreams fail",
        "break circuits with the plugin api-breaker at the node",
    ),
    "aws_lambda.v3.Config": (
        "requests go to the cluster as they are, not as invocations of the function",
        "invoke the function with the plugin aws-lambda at the node",
    ),
    "aws_request_signing.v3.AwsRequestSigning": ("requests are not signed for AWS", "sign requests in the service"),
    "bandwidth_limit.v3.BandwidthLimit": ("bandwidth is not limited", "limit it with limit_rate of nginx at the node"),
    "cache.v3.CacheConfig": (
        "responses are not cached",
        "cache with the plugin proxy-cache at the node; its zones are in config.yaml",
    ),
    "cache_v2.v3.CacheV2Config": (
        "responses are not cached",
        "cache with the plugin proxy-cache at the node; its zones are in config.yaml",
    ),
    "cdn_loop.v3.CdnLoopConfig": ("loops between CDNs are not detected", "detect loops in front of the node"),
    "connect_grpc_bridge.v3.FilterConfig": ("Connect is not translated to gRPC", "speak gRPC or gRPC-Web"),
    "credential_injector.v3.CredentialInjector": (
        "requests reach the upstream without the credential",
        "add it with request_headers_to_add, or in the service",
    ),
    "custom_response.v3.CustomResponse": ("responses keep their status and body", "answer so in the service"),
    "decompressor.v3.Decompressor": ("bodies stay compressed", "decompress in the service"),
    "dynamic_forward_proxy.v3.FilterConfig": (
        "hosts are not resolved per request; clusters of the dynamic forward proxy are not served",
        "route to clusters of type STRICT_DNS or LOGICAL_DNS",
    ),
    "file_system_buffer.v3.FileSystemBufferFilterConfig": ("bodies are buffered as nginx does", "accept this"),
    "gcp_authn.v3.GcpAuthnFilterConfig": (
        "requests reach the upstream without a token of Google Cloud",
        "fetch the token in the service",
    ),
    "geoip.v3.Geoip": ("requests carry no headers about where they come from", "look addresses up in the service"),
    "grpc_http1_bridge.v3.Config": (
        "gRPC over HTTP/1.1 is not translated: such clients miss the trailers",
        "let clients speak HTTP/2 or gRPC-Web",
    ),
    "grpc_http1_reverse_bridge.v3.FilterConfig": (
        "gRPC requests are not translated to HTTP/1.1",
        "let the upstream speak gRPC",
    ),
    "grpc_json_reverse_transcoder.v3.GrpcJsonReverseTranscoder": (
        "gRPC requests are not translated to JSON",
        "let the upstream speak gRPC",
    ),
    "grpc_json_transcoder.v3.GrpcJsonTranscoder": (
        "JSON requests are not translated to gRPC and reach the upstream as they are",
        "transcode with the plugin grpc-transcode at the node, or in the service",
    ),
    "gzip.v3.Gzip": ("responses are not compressed", "use the filter compressor"),
    "ip_tagging.v3.IPTagging": ("requests carry no x-envoy-ip-tags", "tag addresses in the service"),
    "mcp.v3.Mcp": ("MCP requests are not parsed", _NODE_PLUGIN),
    "mcp_router.v3.McpRouter": ("MCP requests are not spread over servers", _NODE_PLUGIN),
    "original_src.v3.OriginalSrc": (
        "upstreams see the address of the node",
        "read the client address from X-Forwarded-For",
    ),
    "rate_limit_quota.v3.RateLimitQuotaFilterConfig": (
        "requests are not limited by quotas",
        "limit with the plugin limit-count at the node",
    ),
    "stateful_session.v3.StatefulSession": (
        "requests of a session may reach different hosts",
        "hash a header or cookie that clients send (hash_policy with RING_HASH)",
    ),
    "tap.v3.Tap": ("nothing is tapped", "trace at the node"),
    "transform.v3.TransformConfig": ("headers and bodies are not transformed", _NODE_PLUGIN),
}
"""Filters that restrict nobody and are left out: what is then missing, and what to do instead."""
_IDLE: dict[str, Callable[[Any], bool]] = {
    "bandwidth_limit.v3.BandwidthLimit": says_nothing,
    "custom_response.v3.CustomResponse": says_nothing,
    "stateful_session.v3.StatefulSession": says_nothing,
}
"""Filters that do nothing unless something is set; control planes list them so that routes can switch them on."""

ROWS: tuple[Row, ...] = tuple(
    Diagnosed(
        f"{_FILTER}.{name}",
        "HF-UNTRANSLATED",
        effect=effect,
        remedy=remedy,
        unless=_IDLE.get(name, is_switched_off),
    )
    for name, (effect, remedy) in _UNTRANSLATED.items()
)
