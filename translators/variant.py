"""Upstream variants: what a use of a cluster decides about the APISIX upstream (mapping.md sections 1.5 and 9).

A cluster becomes one upstream per distinct variant. The unit of the cluster emits them, the units of routes name them;
both compute the same variant, hence the same id, without seeing each other. A variant therefore holds nothing that
only one side knows (endpoints) and nothing that all variants of a cluster share (scheme, timeouts): such changes
update the upstream in place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import orjson

from schemas import xds
from translators.etcd_object import build_object
from translators.ids import object_id
from translators.mappings.cluster.hash_policy import l4_hash, l7_hash
from translators.mappings.cluster.load_balancing_policy import HASHES, LbPolicy, effective_policy
from translators.mappings.cluster.retry_policy import l4_retries, l7_retries, l7_retry_timeout_s

if TYPE_CHECKING:
    from schemas.records import EtcdObject
    from translators.route_context import RouteContext

Layer = Literal["l7", "l4", "udp"]
BLACKHOLE_ID = "xds-blackhole"
HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_SUBSET_METADATA = "envoy.lb"
_PLUGIN_HOST = re.compile(r"[0-9a-zA-Z.-]+(?::\d{1,5})?\Z")
_UPSTREAM_HOST = re.compile(r"[0-9a-zA-Z._\[\]:-]+\Z")
_DEFAULT_IDLE_TIMEOUT_S = 3600.0
_DEFAULT_UDP_IDLE_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to use a cluster.

    Attributes:
        layer: `l7` for routes, `l4` for stream routes of TCP, `udp` for those of UDP.
        retries: tries after the first one.
        retry_timeout_s: bounds all tries together; 0 = unbounded.
        hash_on: where the key of consistent hashing comes from, as in upstream.hash_on; empty = no hashing.
        hash_key: the key, as in upstream.key.
        pass_host: `node` = the endpoint's own host name (auto_host_rewrite), `rewrite` = upstream_host.
        upstream_host: the Host header to send where proxy-rewrite.host cannot hold it.
        idle_timeout_s: of an L4 connection; 0 = unbounded.
        subset: canonical JSON of the `envoy.lb` metadata that endpoints must have; empty = all endpoints.
        is_grpc: of a cluster that speaks both protocols, the upstream for gRPC.
    """

    layer: Layer = "l7"
    retries: int = 0
    retry_timeout_s: float = 0.0
    hash_on: str = ""
    hash_key: str = ""
    pass_host: Literal["pass", "node", "rewrite"] = "pass"  # noqa: S105 - a mode, not a password
    upstream_host: str = ""
    idle_timeout_s: float = _DEFAULT_IDLE_TIMEOUT_S
    subset: str = ""
    is_grpc: bool = False

    def canonical(self) -> str:
        """Give canonical JSON of what differs from the defaults, so that a new attribute renames no upstream."""
        chosen = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        differing = {spec.name: chosen[spec.name] for spec in fields(self) if chosen[spec.name] != spec.default}
        return orjson.dumps(differing, option=orjson.OPT_SORT_KEYS).decode()

    def summary(self) -> str:
        """Give a short form for people, e.g. `r2,header:x-user`; empty for the default variant."""
        parts = [
            self.layer if self.layer != "l7" else "",
            f"r{self.retries}" if self.retries else "",
            f"{self.hash_on}:{self.hash_key}" if self.hash_on else "",
            f"host:{self.upstream_host}" if self.upstream_host else "",
            self.pass_host if self.pass_host == "node" else "",  # noqa: S105 - a mode, not a password
            self.subset,
            "grpc" if self.is_grpc else "",
        ]
        return ",".join(part for part in parts if part)


def variant_of(cluster: xds.Message | None, use: xds.Message | None, layer: Layer = "l7") -> Variant:
    """Compute the variant of a use.

    Args:
        cluster: envoy.config.cluster.v3.Cluster, endpoints not needed; None counts as one with default settings.
        use: `l7`: a RouteAction reduced by schemas.uses.reduce_use; `l4`: a TcpProxy; `udp`: a UdpProxyConfig; None =
            nothing special.
        layer: who uses it.
    """
    policy = effective_policy(cluster) if cluster is not None else LbPolicy("ROUND_ROBIN")
    if layer == "l4":
        return _l4(policy, use)
    if layer == "udp":
        return _udp(policy, use)
    defaults = http_protocol_options(cluster)
    hash_on, hash_key = "", ""
    if policy.name in HASHES:
        hash_on, hash_key = l7_hash(_first_set("hash_policy", use, defaults) or [])
    retries = _l7_retries(use, defaults)
    pass_host, upstream_host = _host(use)
    return Variant(
        layer="l7",
        retries=retries,
        retry_timeout_s=l7_retry_timeout_s(use) if retries and use is not None else 0.0,
        hash_on=hash_on,
        hash_key=hash_key,
        pass_host=pass_host,
        upstream_host=upstream_host,
        subset=_subset(policy, use),
    )


@lru_cache(maxsize=4096)
def upstream_id(cluster_name: str, variant: Variant) -> str:
    """Give the id of the upstream of a cluster's variant."""
    return object_id("upstreams", cluster_name, cluster_name, variant.canonical())


def blackhole() -> EtcdObject:
    """Build the placeholder upstream that unknown clusters lead to: no nodes, so APISIX answers 503."""
    value = {"name": BLACKHOLE_ID, "nodes": [], "retries": 0, "scheme": "http", "type": "roundrobin"}
    return build_object("upstreams", BLACKHOLE_ID, value)


def http_protocol_options(cluster: xds.Message | None) -> xds.Message | None:
    """Give the HttpProtocolOptions extension of a cluster."""
    if cluster is None or HTTP_PROTOCOL_OPTIONS not in cluster.typed_extension_protocol_options:
        return None
    options = xds.unpack(cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS])
    return options if options is not None and options.DESCRIPTOR.full_name == HTTP_PROTOCOL_OPTIONS else None


def known_options(name: str, context: RouteContext) -> xds.Message | None:
    """Give the same of the cluster of a name: looked for once a unit, as its routes lead to few."""
    key = "known_options", name
    if key not in context.memo:
        context.memo[key] = http_protocol_options(context.clusters.get(name))
    return context.memo[key]


def speaks_both(cluster: xds.Message | None) -> bool:
    """Tell whether a cluster takes HTTP/2 as well as HTTP/1.1: it has an upstream for gRPC beside the other."""
    options = http_protocol_options(cluster)
    if options is None:
        return False
    if options.HasField("use_downstream_protocol_config"):
        return True
    return bool(options.auto_config.HasField("http2_protocol_options"))


def _first_set(field: str, use: xds.Message | None, defaults: xds.Message | None) -> Any:
    """Give a field of the use, else of the cluster's HttpProtocolOptions, which hold the defaults of routes."""
    for message in (use, defaults):
        if message is None or field not in message.DESCRIPTOR.fields_by_name:
            continue
        is_repeated = message.DESCRIPTOR.fields_by_name[field].is_repeated
        if getattr(message, field) if is_repeated else message.HasField(field):
            return getattr(message, field)
    return None


def _l7_retries(use: xds.Message | None, defaults: xds.Message | None) -> int:
    policy = _first_set("retry_policy", use, defaults)
    return l7_retries(policy) if policy is not None else 0


def _host(use: xds.Message | None) -> tuple[Literal["pass", "node", "rewrite"], str]:
    specifier = use.WhichOneof("host_rewrite_specifier") if use is not None else None
    if use is not None and specifier == "auto_host_rewrite" and use.auto_host_rewrite.value:
        return "node", ""
    if use is not None and specifier == "host_rewrite_literal":
        literal = use.host_rewrite_literal
        if not _PLUGIN_HOST.match(literal) and _UPSTREAM_HOST.match(literal):
            return "rewrite", literal
    return "pass", ""


def _subset(policy: LbPolicy, use: xds.Message | None) -> str:
    if policy.subset is None or use is None or _SUBSET_METADATA not in use.metadata_match.filter_metadata:
        return ""
    wanted = xds.to_dict(use.metadata_match.filter_metadata[_SUBSET_METADATA])
    return orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS).decode() if wanted else ""


def _l4(policy: LbPolicy, use: xds.Message | None) -> Variant:
    if use is None:
        return Variant(layer="l4")
    hash_on, hash_key = l4_hash(use.hash_policy) if policy.name in HASHES else ("", "")
    return Variant(
        layer="l4",
        retries=l4_retries(use),
        hash_on=hash_on,
        hash_key=hash_key,
        idle_timeout_s=_l4_idle_timeout_s(use),
        subset=_subset(policy, use),
    )


def _l4_idle_timeout_s(use: xds.Message) -> float:
    """Give how long a connection may be idle: the shortest that is set for any side, 0 where each is off."""
    fields = ("idle_timeout", "downstream_idle_timeout", "upstream_idle_timeout")
    chosen = [getattr(use, name) for name in fields if use.HasField(name)]
    if not chosen:
        return _DEFAULT_IDLE_TIMEOUT_S
    seconds = [float(duration.seconds + duration.nanos / 1e9) for duration in chosen]
    return min((one for one in seconds if one > 0), default=0.0)


def _udp(policy: LbPolicy, use: xds.Message | None) -> Variant:
    is_hashed = use is not None and policy.name in HASHES
    hash_on, hash_key = l4_hash(use.hash_policies) if use is not None and is_hashed else ("", "")
    idle_timeout_s = _DEFAULT_UDP_IDLE_TIMEOUT_S
    if use is not None and use.HasField("idle_timeout"):
        idle_timeout_s = float(use.idle_timeout.seconds + use.idle_timeout.nanos / 1e9)
    return Variant(layer="udp", hash_on=hash_on, hash_key=hash_key, idle_timeout_s=idle_timeout_s)
