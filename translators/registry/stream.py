"""Rows of the family `stream`: network filters and their fields."""

from __future__ import annotations

from translators.mappings.stream import connection_limit, protocol_proxy, rbac, tcp_proxy
from translators.registry.row import Diagnosed, Fidelity, Handled, Ignored, Row, diagnosed, handled, ignored, lost

_NETWORK = "envoy.extensions.filters.network"
_TCP = f"{_NETWORK}.tcp_proxy.v3.TcpProxy"
_RBAC = f"{_NETWORK}.rbac.v3.RBAC"
_UDP = "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig"
_UNSERVED = "the UDP listener is not served"
_LIMIT = f"{_NETWORK}.connection_limit.v3.ConnectionLimit"
_STATISTICS = "statistics of Envoy"
_LIMITERS = (
    "local_ratelimit.v3.LocalRateLimit",
    "ratelimit.v3.RateLimit",
    "ext_authz.v3.ExtAuthz",
    "ext_proc.v3.NetworkExternalProcessor",
    "wasm.v3.Wasm",
)
_TERMINALS = (
    "direct_response.v3.Config",
    "echo.v3.Echo",
    "reverse_tunnel.v3.ReverseTunnel",
    "sni_dynamic_forward_proxy.v3.FilterConfig",
)
_PROTOCOLS = (
    "redis_proxy.v3.RedisProxy",
    "thrift_proxy.v3.ThriftProxy",
    "dubbo_proxy.v3.DubboProxy",
    "generic_proxy.v3.GenericProxy",
)
_OBSERVERS = (
    "mongo_proxy.v3.MongoProxy",
    "zookeeper_proxy.v3.ZooKeeperProxy",
    "geoip.v3.Geoip",
    "set_filter_state.v3.Config",
)

ROWS: tuple[Row, ...] = (
    Handled(_TCP, tcp_proxy.apply, Fidelity.EXACT, codes=("RA-CLUSTER-UNKNOWN", "L4-FEATURE")),
    *handled(_TCP, "cluster", "weighted_clusters", "metadata_match", "idle_timeout", "max_connect_attempts"),
    *handled(_TCP, "hash_policy"),
    *ignored(_TCP, _STATISTICS, "stat_prefix"),
    *ignored(_TCP, "no access log is written", "access_log_options", "access_log_flush_interval"),
    *ignored(_TCP, "no access log is written", "flush_access_log_on_connected"),
    *diagnosed(_TCP, "OBS-ALS", "access_log"),
    *diagnosed(_TCP, "L4-FEATURE", "tunneling_config", "on_demand", restricts=True, effect="the chain is not served"),
    *handled(_TCP, "downstream_idle_timeout", "upstream_idle_timeout"),
    *diagnosed(_TCP, "L4-FEATURE", "backoff_options"),
    *diagnosed(_TCP, "L4-FEATURE", "max_downstream_connection_duration", "proxy_protocol_tlvs"),
    *diagnosed(_TCP, "L4-FEATURE", "max_downstream_connection_duration_jitter_percentage", "upstream_connect_mode"),
    *diagnosed(_TCP, "L4-FEATURE", "max_early_data_bytes"),
    *handled(f"{_TCP}.WeightedCluster", "clusters"),
    *handled(f"{_TCP}.WeightedCluster.ClusterWeight", "name", "weight", "metadata_match"),
    *handled("envoy.type.v3.HashPolicy", "source_ip"),
    *lost("envoy.type.v3.HashPolicy", "L4-FEATURE", "filter_state"),
    *handled(f"{_UDP}.HashPolicy", "source_ip"),
    *lost(f"{_UDP}.HashPolicy", "L4-FEATURE", "key"),
    *handled(_UDP, "cluster", "idle_timeout", "hash_policies"),
    Handled(f"{_UDP}.matcher", fidelity=Fidelity.APPROXIMATED, codes=("LST-MATCHER",)),
    *ignored(_UDP, _STATISTICS, "stat_prefix"),
    *ignored(_UDP, "no access log is written", "access_log_options"),
    *diagnosed(_UDP, "OBS-ALS", "access_log", "proxy_access_log"),
    *diagnosed(_UDP, "L4-FEATURE", "session_filters", "tunneling_config", restricts=True, effect=_UNSERVED),
    *diagnosed(_UDP, "L4-FEATURE", "use_original_src_ip", "upstream_socket_config", "use_per_packet_load_balancing"),
    Handled(_LIMIT, connection_limit.apply, Fidelity.APPROXIMATED, codes=("L4-FEATURE",)),
    *handled(_LIMIT, "max_connections"),
    *ignored(_LIMIT, _STATISTICS, "stat_prefix"),
    *diagnosed(_LIMIT, "L4-FEATURE", "delay", "runtime_enabled"),
    Handled(_RBAC, rbac.apply, Fidelity.APPROXIMATED, codes=("L4-RBAC",)),
    *handled(_RBAC, "rules"),
    *lost(_RBAC, "L4-RBAC", "matcher"),
    *ignored(_RBAC, "shadow rules only count", "shadow_rules", "shadow_matcher", "shadow_rules_stat_prefix"),
    *ignored(_RBAC, "a connection is judged once, when it is made", "enforcement_type", "delay_deny"),
    *ignored(_RBAC, _STATISTICS, "stat_prefix"),
    *(
        Handled(f"{_NETWORK}.{name}", protocol_proxy.apply, Fidelity.APPROXIMATED, codes=("L4-FILTER",), is_whole=True)
        for name in _PROTOCOLS
    ),
    Diagnosed(f"{_NETWORK}.sni_cluster.v3.SniCluster", "L4-PASSTHROUGH", restricts=True),
    *(
        Diagnosed(f"{_NETWORK}.{name}", "L4-FILTER", restricts=True, effect="the chain is not served")
        for name in _LIMITERS
    ),
    *(
        Diagnosed(f"{_NETWORK}.{name}", "L4-FILTER", restricts=True, effect="the chain is not served")
        for name in _TERMINALS
    ),
    *(Ignored(f"{_NETWORK}.{name}", "observes only") for name in _OBSERVERS),
)
