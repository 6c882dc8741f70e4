"""HTTP filters as they run on one route: the list of the connection manager under all that overrides it.

A filter of the listener may be disabled there and enabled per route, or the reverse; what a route, virtual host or
route configuration says about a filter is found under its name, the most specific wins (mapping.md section 4.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError

from schemas import xds
from translators.element import elements
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from translators.route_context import RouteContext

_FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
_TYPED_STRUCTS = frozenset({"xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"})
_LEGACY_NAMES = {"envoy.router": "router", "envoy.cors": "cors", "envoy.gzip": "gzip", "envoy.grpc_web": "grpc_web"}
_NAME_PREFIX = "envoy.filters.http."
_PACKAGE = "envoy.extensions.filters.http."


@dataclass(frozen=True, slots=True)
class Override:
    """What one level says about a filter.

    Attributes:
        type_name: full name of the message; empty when the level only enables the filter.
        config: the message; None when it cannot be read or there is none.
        at: where it stands.
        holder: the RouteConfiguration, VirtualHost, Route or ClusterWeight that says it.
    """

    type_name: str
    config: xds.Message | None
    at: Where
    holder: xds.Message


@dataclass(frozen=True, slots=True)
class EffectiveFilter:
    """A filter that runs on a route.

    Attributes:
        index: its place in the connection manager's list.
        name: of the filter in the connection manager.
        type_name: full name of its configuration's message; inside a TypedStruct the name it carries.
        config: the message; None when its type is unknown, its bytes are damaged or there is none.
        overrides: of the route configuration, virtual host, route, weighted cluster: those that say something about
            the configuration, the most specific last.
        is_optional: Envoy does without the filter when it does not know it.
        is_pending: its configuration comes by discovery and has not arrived.
        at: the place that switches it on for this route.
        route: the Route it runs on; None where no route matched.
        context: what surrounds the route.
    """

    index: int
    name: str
    type_name: str
    config: xds.Message | None
    overrides: tuple[Override, ...]
    is_optional: bool
    is_pending: bool
    at: Where
    route: xds.Message | None
    context: RouteContext

    @property
    def override(self) -> xds.Message | None:
        """The most specific override, if it can be read."""
        return self.overrides[-1].config if self.overrides else None

    @property
    def is_proto_overwritten(self) -> bool:
        """Envoy has set x-forwarded-proto to the scheme of the connection before filters run."""
        hcm = self.context.hcm
        return bool(hcm.use_remote_address.value and not hcm.xff_num_trusted_hops)

    @property
    def is_path_raw(self) -> bool:
        """Paths are matched as they were received."""
        return self.context.policy.path_matching == "raw"

    @property
    def has_unreadable_override(self) -> bool:
        """The most specific override is of a type that is unknown here."""
        return bool(self.overrides) and self.overrides[-1].config is None


def effective_filters(
    context: RouteContext,
    route: xds.Message | None,
    weighted: xds.Message | None,
    at: Where,
    idle: Container[int] = (),
) -> Iterator[EffectiveFilter]:
    """Give the filters that run on a route, in Envoy's order.

    Args:
        context: what surrounds the route.
        route: the Route; None where no route matched: then nothing overrides the listener's list.
        weighted: the WeightedCluster.ClusterWeight that was drawn, if it has filters of its own.
        at: the route.
        idle: indices of filters to leave out.
    """
    levels = _levels(context, route, weighted, at)
    for index, listed in enumerate(listed_filters(context)):
        if index in idle:
            continue
        is_disabled, overrides, place = _overridden(listed, levels)
        if not is_disabled:
            yield EffectiveFilter(
                index,
                listed.name,
                listed.type_name,
                listed.config,
                overrides,
                listed.is_optional,
                listed.is_pending,
                place,
                route,
                context,
            )


def manager_place(listener: str, chain: str) -> Where:
    """Give the place of a chain's HttpConnectionManager.

    Args:
        listener: name of the listener.
        chain: name of the chain, as in RouteContext.
    """
    return Where(xds.LISTENER, listener).item("filter_chains", chain).field("http_connection_manager")


class ListedFilter(NamedTuple):
    """A filter as the connection manager lists it; attributes as in EffectiveFilter."""

    name: str
    type_name: str
    config: xds.Message | None
    is_disabled: bool
    is_optional: bool
    is_pending: bool
    at: Where


def listed_filters(context: RouteContext) -> list[ListedFilter]:
    """Read the connection manager's list: once for all units of the chain."""
    key = ("http_filter",)
    if key not in context.chain_memo:
        filters = context.hcm.http_filters
        places = elements(manager_place(context.listener.name, context.chain), "http_filters", filters)
        context.chain_memo[key] = [_read(http_filter, at) for http_filter, at in zip(filters, places, strict=True)]
    found: list[ListedFilter] = context.chain_memo[key]
    return found


def _read(http_filter: xds.Message, at: Where) -> ListedFilter:
    type_name, config = read_any(*_configuration(http_filter))
    return ListedFilter(
        http_filter.name,
        type_name or _named_type(http_filter.name),
        config,
        http_filter.disabled,
        http_filter.is_optional,
        _is_pending(http_filter),
        at,
    )


def _levels(
    context: RouteContext, route: xds.Message | None, weighted: xds.Message | None, at: Where
) -> list[tuple[xds.Message, Where | None]]:
    """Give the messages with overrides, least specific first; only the route's own have a place of their own."""
    if route is None:
        return []
    levels: list[tuple[xds.Message, Where | None]] = [(context.route_config, None)]
    if context.virtual_host is not None:
        levels.append((context.virtual_host, None))
    levels.append((route, at))
    if weighted is not None:
        levels.append((weighted, at.field("route.weighted_clusters").item("clusters", weighted.name)))
    return [(level, place) for level, place in levels if level.typed_per_filter_config]


def _overridden(
    listed: ListedFilter, levels: list[tuple[xds.Message, Where | None]]
) -> tuple[bool, tuple[Override, ...], Where]:
    is_disabled, at = listed.is_disabled, listed.at
    overrides: list[Override] = []
    for level, place in levels:
        # Asking for a missing key of a map of messages would create it.
        if listed.name not in level.typed_per_filter_config:
            continue
        wrapped = level.typed_per_filter_config[listed.name]
        if place is not None:
            at = place.item("typed_per_filter_config", listed.name)
        type_name, config = read_any(wrapped.type_url, wrapped.value)
        is_disabled = False
        if type_name == _FILTER_CONFIG and config is not None:
            is_disabled = config.disabled
            type_name, config = read_any(config.config.type_url, config.config.value)
        if type_name and not is_disabled:
            overrides.append(Override(type_name, config, at, level))
    return is_disabled, tuple(overrides), at


def _configuration(http_filter: xds.Message) -> tuple[str, bytes]:
    kind = http_filter.WhichOneof("config_type")
    if kind == "typed_config":
        return http_filter.typed_config.type_url, http_filter.typed_config.value
    if kind == "config_discovery" and http_filter.config_discovery.HasField("default_config"):
        default = http_filter.config_discovery.default_config
        return default.type_url, default.value
    return "", b""


def _is_pending(http_filter: xds.Message) -> bool:
    return http_filter.WhichOneof("config_type") == "config_discovery" and not http_filter.config_discovery.HasField(
        "default_config"
    )


@lru_cache(maxsize=1024)
def read_any(type_url: str, body: bytes) -> tuple[str, xds.Message | None]:
    """Read what an Any carries; a TypedStruct counts as what it names.

    Returns:
        The full name of the message ("" for an empty Any) and the message, shared and not to be changed; None when the
        type is unknown, its bytes are damaged, or only a TypedStruct describes it.
    """
    type_name = type_url.rpartition("/")[2]
    if not type_name:
        return "", None
    try:
        message = xds.parse(type_name, body)
    except (xds.UnknownTypeError, DecodeError):
        return type_name, None
    if type_name in _TYPED_STRUCTS:
        inner = message.type_url.rpartition("/")[2]
        return inner or type_name, _from_struct(inner, message)
    return type_name, message


def _from_struct(type_name: str, struct: xds.Message) -> xds.Message | None:
    """Read a TypedStruct whose type is known after all, as Envoy does."""
    try:
        return xds.from_json(xds.to_dict(struct.value), xds.message_class(type_name)())
    except (xds.UnknownTypeError, ParseError):
        return None


@lru_cache(maxsize=256)
def _named_type(name: str) -> str:
    """Give the type of a filter that is known by its name only, as older control planes write it."""
    short = _LEGACY_NAMES.get(name) or name.removeprefix(_NAME_PREFIX)
    if short == name:
        return ""
    found = [spec for spec in _MAIN_MESSAGES if xds.is_known(f"{_PACKAGE}{short}.v3.{spec}")]
    return f"{_PACKAGE}{short}.v3.{found[0]}" if found else ""


_MAIN_MESSAGES = ("Router", "Cors", "GrpcWeb", "Config", "FilterConfig", "Gzip", "Buffer", "HTTPFault", "HealthCheck")
"""Names of the configuration messages of filters that work without any configuration."""
