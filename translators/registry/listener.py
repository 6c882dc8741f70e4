"""Rows of the family `listener`: listeners, their addresses and filter chains."""

from __future__ import annotations

from translators.mappings.listener import listener_filter
from translators.registry.row import Diagnosed, Fidelity, Handled, Row, diagnosed, handled, ignored

_LISTENER = "envoy.config.listener.v3.Listener"
_CHAIN = "envoy.config.listener.v3.FilterChain"
_MATCH = "envoy.config.listener.v3.FilterChainMatch"
_LISTENER_FILTER = "envoy.config.listener.v3.ListenerFilter"
_SOCKET = "envoy.config.core.v3.SocketAddress"
_PORTS = "the node's ports and sockets are set in its config.yaml"
_APPROXIMATED = Fidelity.APPROXIMATED

ROWS: tuple[Row, ...] = (
    Handled(f"{_LISTENER}.address", codes=("LST-ADDR", "LST-INTERNAL")),
    Handled(f"{_LISTENER}.additional_addresses", codes=("LST-ADDR",)),
    Handled(f"{_LISTENER}.filter_chains", codes=("LST-MATCHER", "LST-TLS-MIX", "LST-ALPN")),
    Handled(f"{_LISTENER}.listener_filters", listener_filter.apply, _APPROXIMATED, codes=("LST-LFILTER",)),
    Handled(f"{_LISTENER}.internal_listener", fidelity=Fidelity.NOT_EXPRESSIBLE, codes=("LST-INTERNAL",)),
    *handled(_LISTENER, "name", "default_filter_chain", "use_original_dst", "deprecated_v1", "bind_to_port"),
    *handled(_LISTENER, "traffic_direction", "udp_listener_config"),
    Diagnosed(f"{_LISTENER}.filter_chain_matcher", "LST-MATCHER", restricts=True),
    *diagnosed(_LISTENER, "LST-FCDS", "fcds_config"),
    Diagnosed(f"{_LISTENER}.transparent", "LST-TPROXY", unless=lambda value: not value.value),
    *diagnosed(_LISTENER, "LST-ADDR", "api_listener", effect="API listeners serve gRPC clients without a port"),
    *diagnosed(_LISTENER, "OBS-ALS", "access_log"),
    *ignored(_LISTENER, "statistics of Envoy", "stat_prefix"),
    *ignored(_LISTENER, "describes the listener to tools", "metadata"),
    *ignored(_LISTENER, "nginx has buffers of its own", "per_connection_buffer_limit_bytes"),
    *ignored(_LISTENER, "nginx waits for no listener filter", "listener_filters_timeout"),
    *ignored(_LISTENER, "nginx waits for no listener filter", "continue_on_listener_filters_timeout"),
    *ignored(_LISTENER, _PORTS, "drain_type", "freebind", "socket_options", "tcp_fast_open_queue_length"),
    *ignored(_LISTENER, _PORTS, "connection_balance_config", "reuse_port", "enable_reuse_port", "tcp_backlog_size"),
    *ignored(_LISTENER, _PORTS, "max_connections_to_accept_per_socket_event", "enable_mptcp"),
    *ignored(_LISTENER, _PORTS, "ignore_global_conn_limit", "bypass_overload_manager"),
    *handled(f"{_LISTENER}.DeprecatedV1", "bind_to_port"),
    *handled("envoy.config.listener.v3.AdditionalAddress", "address"),
    *ignored("envoy.config.listener.v3.AdditionalAddress", _PORTS, "socket_options"),
    Handled("envoy.config.core.v3.Address.socket_address", codes=("LST-ADDR",)),
    Handled(
        "envoy.config.core.v3.Address.pipe",
        fidelity=Fidelity.NOT_EXPRESSIBLE,
        codes=("LST-ADDR", "EP-ADDR"),
        is_whole=True,
    ),
    Handled(
        "envoy.config.core.v3.Address.envoy_internal_address",
        fidelity=Fidelity.NOT_EXPRESSIBLE,
        codes=("LST-INTERNAL", "EP-ADDR"),
        is_whole=True,
    ),
    *handled(_SOCKET, "protocol", "address", "port_value", "named_port", "resolver_name"),
    *ignored(_SOCKET, _PORTS, "ipv4_compat", "network_namespace_filepath"),
    Handled(f"{_CHAIN}.filter_chain_match", codes=("LST-MATCHER", "LST-ALPN")),
    Handled(f"{_CHAIN}.filters", codes=("L4-FILTER", "L4-RBAC", "EXT-PENDING")),
    Handled(f"{_CHAIN}.transport_socket", codes=("LST-TLS-MIX",)),
    Handled(f"{_CHAIN}.use_proxy_proto", fidelity=_APPROXIMATED),
    *handled(_CHAIN, "name"),
    *ignored(_CHAIN, "describes the chain to tools", "metadata"),
    *ignored(_CHAIN, "nginx has timeouts of its own for handshakes", "transport_socket_connect_timeout"),
    *handled(_MATCH, "destination_port", "prefix_ranges", "direct_source_prefix_ranges", "source_prefix_ranges"),
    *handled(_MATCH, "source_ports", "server_names"),
    Handled(f"{_MATCH}.source_type", fidelity=_APPROXIMATED),
    Handled(f"{_MATCH}.transport_protocol", fidelity=_APPROXIMATED, codes=("LST-TLS-MIX", "LST-MATCHER")),
    Handled(f"{_MATCH}.application_protocols", fidelity=_APPROXIMATED, codes=("LST-ALPN",)),
    *ignored(_MATCH, "Envoy does not implement it", "address_suffix", "suffix_len"),
    *handled("envoy.config.listener.v3.Filter", "name", "typed_config", "config_discovery"),
    *handled(_LISTENER_FILTER, "name", "typed_config"),
    *ignored(_LISTENER_FILTER, "the filter is known by its name", "config_discovery"),
    Handled(f"{_LISTENER_FILTER}.filter_disabled", fidelity=_APPROXIMATED, codes=("LST-LFILTER",), is_whole=True),
    Handled("envoy.config.listener.v3.UdpListenerConfig.quic_options", fidelity=_APPROXIMATED, is_whole=True),
    *ignored("envoy.config.listener.v3.UdpListenerConfig", _PORTS, "downstream_socket_config"),
    *ignored("envoy.config.listener.v3.UdpListenerConfig", _PORTS, "udp_packet_packet_writer_config"),
    *handled("envoy.config.core.v3.CidrRange", "address_prefix", "prefix_len"),
)
