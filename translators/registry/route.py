"""Rows of the family `route`: route configurations, virtual hosts and routes, their actions and matches aside."""

from __future__ import annotations

from translators.registry.row import Diagnosed, Handled, Row, diagnosed, handled, ignored

_CONFIG = "envoy.config.route.v3.RouteConfiguration"
_HOST = "envoy.config.route.v3.VirtualHost"
_ROUTE = "envoy.config.route.v3.Route"
_SCOPED = "envoy.config.route.v3.ScopedRouteConfiguration"
_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3"
_SCOPES = f"{_MANAGER}.ScopedRoutes"
_EXTRACTOR = f"{_SCOPES}.ScopeKeyBuilder.FragmentBuilder.HeaderValueExtractor"
_STATISTICS = "statistics of Envoy"
_BUFFERS = "nginx has buffers of its own"
_TOOLS = "describes the resource to tools"
_ATTEMPTS = "Envoy's own headers about attempts"

ROWS: tuple[Row, ...] = (
    *handled(_CONFIG, "name", "virtual_hosts", "ignore_port_in_host_matching"),
    *handled(_CONFIG, "ignore_path_parameters_in_path_matching"),
    *ignored(_CONFIG, "a cluster that does not exist answers 503, whoever looks for it", "validate_clusters"),
    *ignored(_CONFIG, "Envoy refuses longer bodies when it loads them", "max_direct_response_body_size_bytes"),
    *diagnosed(_CONFIG, "RT-VHDS", "vhds"),
    Diagnosed(
        f"{_CONFIG}.vhost_header",
        "RT-MATCHER",
        restricts=True,
        effect="the route configuration is not served",
        remedy="choose virtual hosts by the Host header",
    ),
    *ignored(_CONFIG, _TOOLS, "metadata"),
    *handled(_HOST, "name", "routes", "require_tls"),
    Handled(f"{_HOST}.domains", codes=("RT-SHADOWED", "CFG-INVALID")),
    Handled(f"{_HOST}.matcher", codes=("RT-MATCHER",)),
    *ignored(_HOST, _STATISTICS, "virtual_clusters"),
    *ignored(_HOST, _ATTEMPTS, "include_request_attempt_count", "include_attempt_count_in_response"),
    *ignored(_HOST, _ATTEMPTS, "include_is_timeout_retry_header"),
    *ignored(_HOST, _BUFFERS, "per_request_buffer_limit_bytes", "request_body_buffer_limit"),
    *ignored(_HOST, _TOOLS, "metadata"),
    *handled(_ROUTE, "name"),
    *handled(_SCOPED, "name", "route_configuration_name", "route_configuration"),
    Handled(f"{_SCOPED}.key", codes=("CFG-INVALID", "RT-HEADER")),
    *ignored(_SCOPED, "scopes are loaded when they arrive", "on_demand"),
    *handled(_SCOPES, "name", "scope_key_builder", "scoped_route_configurations_list", "scoped_rds"),
    *ignored(_SCOPES, "the producer asks one control plane", "rds_config_source"),
    *handled(f"{_SCOPES}.ScopeKeyBuilder", "fragments"),
    *handled(f"{_SCOPES}.ScopeKeyBuilder.FragmentBuilder", "header_value_extractor"),
    *handled(f"{_SCOPED}.Key", "fragments"),
    *handled(f"{_SCOPED}.Key.Fragment", "string_key"),
    *handled(f"{_MANAGER}.ScopedRouteConfigurationsList", "scoped_route_configurations"),
    *ignored(f"{_MANAGER}.ScopedRds", "the producer asks for all scopes", "scoped_rds_config_source"),
    *ignored(f"{_MANAGER}.ScopedRds", "the producer asks for all scopes", "srds_resources_locator"),
    *handled(f"{_MANAGER}.Rds", "route_config_name", "config_source"),
    *handled(_EXTRACTOR, "name", "element_separator", "index", "element"),
    *handled(f"{_EXTRACTOR}.KvElement", "separator", "key"),
    Handled(f"{_ROUTE}.match", codes=("RT-SHADOWED", "RT-FLAT")),
    *ignored(_ROUTE, _STATISTICS, "stat_prefix"),
    *ignored(_ROUTE, _BUFFERS, "per_request_buffer_limit_bytes", "request_body_buffer_limit"),
    *ignored(_ROUTE, _TOOLS, "metadata"),
    *ignored(_ROUTE, "names spans of Envoy's tracing", "decorator"),
)
