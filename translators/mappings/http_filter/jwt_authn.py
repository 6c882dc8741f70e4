"""Source: envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication, PerRouteConfig.

Target: none yet; a requirement that can apply to the route blocks it.
Fidelity: N.
Differs: -
Diagnostics: HF-RESTRICT.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.http_filter.switch import is_switched_off

if TYPE_CHECKING:
    from schemas import xds
    from translators.http_filter import EffectiveFilter

_PER_ROUTE = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"


def verifies_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether no request to the route can be refused for its token."""
    config, override = http_filter.config, http_filter.override
    if is_switched_off(http_filter):
        return True
    if config is None or http_filter.has_unreadable_override:
        return False
    if override is not None and override.DESCRIPTOR.full_name == _PER_ROUTE and override.requirement_name:
        return _lets_pass(config.requirement_map.get(override.requirement_name))
    match = http_filter.route.match if http_filter.route is not None else None
    for rule in config.rules:
        if match is not None and _is_disjoint(rule.match, match):
            continue
        if not _lets_pass(_requirement_of(rule, config)):
            return False
        if match is not None and _covers(rule.match, match):
            return True
    return True


def _requirement_of(rule: xds.Message, config: xds.Message) -> xds.Message | None:
    kind = rule.WhichOneof("requirement_type")
    if kind == "requirement_name":
        return config.requirement_map.get(rule.requirement_name)
    return rule.requires


def _lets_pass(requirement: xds.Message | None) -> bool:
    """Tell whether a requirement refuses nobody; a name without a requirement refuses all."""
    if requirement is None:
        return False
    kind = requirement.WhichOneof("requires_type")
    if kind == "requires_any":
        return any(_lets_pass(one) for one in requirement.requires_any.requirements)
    if kind == "requires_all":
        return all(_lets_pass(one) for one in requirement.requires_all.requirements)
    return kind in (None, "allow_missing_or_failed")


def _path_of(match: xds.Message) -> tuple[str, str]:
    """Give how and with what the path begins: `exact`, or `prefix` (possibly of everything)."""
    kind = match.WhichOneof("path_specifier")
    is_exact_case = not match.HasField("case_sensitive") or match.case_sensitive.value
    if kind in ("prefix", "path", "path_separated_prefix") and is_exact_case:
        return "exact" if kind == "path" else "prefix", getattr(match, kind)
    return "prefix", ""


def _is_disjoint(rule: xds.Message, route: xds.Message) -> bool:
    (rule_kind, rule_path), (route_kind, route_path) = _path_of(rule), _path_of(route)
    if rule_kind == "exact" and route_kind == "exact":
        return rule_path != route_path
    if rule_kind == "exact":
        return not rule_path.startswith(route_path)
    if route_kind == "exact":
        return not route_path.startswith(rule_path)
    return not (rule_path.startswith(route_path) or route_path.startswith(rule_path))


def _covers(rule: xds.Message, route: xds.Message) -> bool:
    """Tell whether the rule matches whatever the route matches."""
    if {spec.name for spec, _ in rule.ListFields()} - {"prefix", "path", "case_sensitive"}:
        return False
    kind, path = _path_of(rule)
    route_kind, route_path = _path_of(route)
    if kind == "exact":
        return route_kind == "exact" and path == route_path
    return bool(rule.prefix == "/" or (path and route_path.startswith(path)))
