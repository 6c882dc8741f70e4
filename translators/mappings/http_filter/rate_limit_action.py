"""Source: envoy.config.route.v3.RateLimit: the descriptor that its actions make of a request.

Target: what is known of the descriptor when the route is translated: keys, and values as texts or variables.
Fidelity: E; query parameters are decoded.
Differs: repeated headers are one value, joined by `, `.
Diagnostics: raised by the caller, who knows what is limited.
See: mapping.md sections 4.7 and 5.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from translators import expr
from translators.expr import ALWAYS, NEVER, all_of, negate
from translators.mappings.match.headers import header_condition, variable_of
from translators.mappings.match.query_parameters import query_condition
from translators.regex import RegexError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas import xds
    from translators.expr import Expr
    from translators.http_filter import EffectiveFilter

_OVERRIDE, _INCLUDE = 0, 1
_MAX_ALTERNATIVES = 16
"""Each header that may be left out doubles what a descriptor can be."""
_WHOLE = (32, 128)
_V6 = 6
_UNCOUNTED = ("hits_addend", "limit")
"""A request that costs several tokens, a limit that the request brings along."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a descriptor with its value.

    Attributes:
        key: of the entry.
        value: the text it always has; empty when it depends on the request.
        variable: holds the value where it depends on the request.
        masks: lengths of IPv4 and IPv6 prefixes, where the value is the network of an address.
    """

    key: str
    value: str = ""
    variable: str = ""
    masks: tuple[int, int] | None = None

    def condition(self, wanted: str) -> Expr:
        """Tell when the entry has a value."""
        if self.masks is not None:
            return expr.ip_match(self.variable, [wanted]) if _has_mask(wanted, self.masks) else NEVER
        if self.variable:
            return expr.equals(self.variable, wanted)
        return ALWAYS if self.value == wanted else NEVER

    @property
    def is_readable(self) -> bool:
        """A template can give the value."""
        return self.masks in (None, _WHOLE)


def _has_mask(network: str, masks: tuple[int, int]) -> bool:
    """Tell whether a masked address can be this one."""
    try:
        parsed = ip_network(network)
    except ValueError:
        return False
    return "/" in network and parsed.prefixlen == masks[parsed.version == _V6]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a request is asked for by, under a condition."""

    entries: tuple[Entry, ...] = ()
    condition: Expr = ALWAYS

    def extended(self, entry: Entry, condition: Expr) -> Descriptor:
        """Add an entry."""
        return Descriptor((*self.entries, entry), all_of((self.condition, condition)))

    def limited(self, condition: Expr) -> Descriptor:
        """Add a condition."""
        return Descriptor(self.entries, all_of((self.condition, condition)))


@dataclass(frozen=True, slots=True)
class _Step:
    """What an action adds; without the condition the descriptor is dropped, or goes on where that is allowed."""

    entry: Entry
    condition: Expr = ALWAYS
    is_skipped: bool = False


def descriptors_of(rate_limit: xds.Message, cluster: str) -> list[Descriptor] | None:
    """Give the descriptors that a RateLimit may make of requests; no two are made of one request.

    Args:
        rate_limit: envoy.config.route.v3.RateLimit.
        cluster: that requests are sent to; empty when that depends on the request.

    Returns:
        None when an action cannot be expressed.
    """
    if any(rate_limit.HasField(field) for field in _UNCOUNTED) or rate_limit.apply_on_stream_done:
        return None
    found = [Descriptor()]
    for action in rate_limit.actions:
        step = _step(action, cluster)
        if step is None:
            return None
        without = [one.limited(negate(step.condition)) for one in found] if step.is_skipped else []
        found = [one.extended(step.entry, step.condition) for one in found] + without
        if len(found) > _MAX_ALTERNATIVES:
            return None
    return [one for one in found if one.entries and one.condition != NEVER]


def _step(action: xds.Message, cluster: str) -> _Step | None:
    kind = action.WhichOneof("action_specifier") or ""
    if kind == "destination_cluster":
        return _Step(Entry("destination_cluster", cluster)) if cluster else None
    read = _READS.get(kind)
    try:
        return read(getattr(action, kind)) if read is not None else None
    except RegexError:
        return None


def _generic_key(action: xds.Message) -> _Step | None:
    if "%" in action.descriptor_value:
        return None
    return _Step(Entry(action.descriptor_key or "generic_key", action.descriptor_value))


def _request_headers(action: xds.Message) -> _Step | None:
    variable = variable_of(action.header_name)
    if variable is None:
        return None
    return _Step(Entry(action.descriptor_key, "", variable), expr.present(variable), action.skip_if_absent)


def _query_parameters(action: xds.Message) -> _Step:
    variable = f"arg_{action.query_parameter_name}"
    return _Step(Entry(action.descriptor_key, "", variable), expr.present(variable), action.skip_if_absent)


def _remote_address(_action: xds.Message) -> _Step:
    return _Step(Entry("remote_address", "", "remote_addr"))


def _masked_remote_address(action: xds.Message) -> _Step:
    masks = (
        action.v4_prefix_mask_len.value if action.HasField("v4_prefix_mask_len") else _WHOLE[0],
        action.v6_prefix_mask_len.value if action.HasField("v6_prefix_mask_len") else _WHOLE[1],
    )
    return _Step(Entry("masked_remote_address", "", "remote_addr", masks))


def _header_value_match(action: xds.Message) -> _Step | None:
    conditions = [header_condition(header, is_proto_overwritten=False) for header in action.headers]
    return _matched(action, "header_match", conditions)


def _query_parameter_value_match(action: xds.Message) -> _Step | None:
    return _matched(action, "query_match", [query_condition(one) for one in action.query_parameters])


def _matched(action: xds.Message, key: str, conditions: Sequence[Expr | None]) -> _Step | None:
    known = [condition for condition in conditions if condition is not None]
    if len(known) < len(conditions) or "%" in action.descriptor_value:
        return None
    condition = all_of(known)
    if action.HasField("expect_match") and not action.expect_match.value:
        condition = negate(condition)
    return _Step(Entry(action.descriptor_key or key, action.descriptor_value), condition)


_READS: Mapping[str, Callable[[Any], _Step | None]] = {
    "generic_key": _generic_key,
    "request_headers": _request_headers,
    "query_parameters": _query_parameters,
    "remote_address": _remote_address,
    "masked_remote_address": _masked_remote_address,
    "header_value_match": _header_value_match,
    "query_parameter_value_match": _query_parameter_value_match,
}
"""By the name of the oneof's field; source_cluster, metadata and extensions are not known to APISIX."""


def applicable(
    own: Sequence[xds.Message], outer: Sequence[xds.Message], option: int, *, is_included: bool, stage: int
) -> list[xds.Message]:
    """Choose the RateLimits of a route and its virtual host.

    Args:
        own: of the RouteAction.
        outer: of the VirtualHost.
        option: VhRateLimitsOptions of the filter: 0 override, 1 include, 2 ignore.
        is_included: RouteAction.include_vh_rate_limits.
        stage: of the filter; others belong to other filters.
    """
    takes_outer = is_included or option == _INCLUDE or (option == _OVERRIDE and not own)
    chosen = [*own, *(outer if takes_outer else ())]
    return [one for one in chosen if one.stage.value == stage]


def route_descriptors(
    http_filter: EffectiveFilter, own: Sequence[xds.Message], vh_rate_limits: int, stage: int
) -> list[Descriptor] | None:
    """Give the descriptors of requests on the route of a filter; those without a route to a cluster have none.

    Args:
        http_filter: as it runs on the route.
        own: rate_limits of the filter's configuration, which replace those of the route and its virtual host.
        vh_rate_limits: whether those of the virtual host count (VhRateLimitsOptions).
        stage: that the filter is of.

    Returns:
        None when what they are made of cannot be expressed.
    """
    route, host = http_filter.route, http_filter.context.virtual_host
    if route is None or not route.HasField("route") or host is None:
        return []
    action = route.route
    chosen = list(own) or applicable(
        action.rate_limits,
        host.rate_limits,
        vh_rate_limits,
        is_included=action.include_vh_rate_limits.value,
        stage=stage,
    )
    found: list[Descriptor] = []
    for rate_limit in chosen:
        descriptors = descriptors_of(rate_limit, action.cluster)
        if descriptors is None:
            return None
        found += descriptors
    return found
