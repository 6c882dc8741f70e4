"""Source: envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement, RequirementRule, PerRouteConfig.

Target: for every request of a route the one requirement that applies to it: conditions, first match first.
Fidelity: A.
Differs: of `requires_all` only one member can be verified, and nothing in front of it may take the token away;
    alternatives are read from the same place in the request.
Diagnostics: HF-RESTRICT.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from translators.expr import ALWAYS, NEVER, all_of, any_of, equals, matches, negate, one_of
from translators.match import translate_match
from translators.path_key import DECODED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.match_draft import MatchDraft
    from translators.where import Where

_PER_ROUTE = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"
_IS_PREFLIGHT = all_of(
    (
        equals("request_method", "OPTIONS"),
        matches("http_origin", "(?s:.)"),
        matches("http_access_control_request_method", "(?s:.)"),
    )
)


class Requirement(NamedTuple):
    """What a request needs.

    Attributes:
        providers: names of the providers, of which one must verify the token, each with the audiences that stand
            instead of its own (None = its own).
        allows_missing: a request without a token passes.
        is_open: every request passes.
        is_known: it can be expressed.
    """

    providers: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    allows_missing: bool = False
    is_open: bool = False
    is_known: bool = True


OPEN = Requirement(is_open=True)
LENIENT = Requirement(is_open=True, allows_missing=True)
"""Tokens are looked at and nobody is refused for them."""
UNKNOWN = Requirement(is_known=False)


def requirements(http_filter: EffectiveFilter, at: Where, findings: Findings) -> Iterator[tuple[Expr, Requirement]]:
    """Give what requests of a route need, each with the condition under which it applies; the conditions are disjoint.

    Args:
        http_filter: with a configuration that can be read.
        at: where it stands.
        findings: receives what cannot be matched.
    """
    config, override = http_filter.config, http_filter.override
    if config is None:
        return
    rest = negate(_IS_PREFLIGHT) if config.bypass_cors_preflight else ALWAYS
    if override is not None and override.DESCRIPTOR.full_name == _PER_ROUTE and override.requirement_name:
        yield rest, _named(override.requirement_name, config)
        return
    grouped: dict[Requirement, list[Expr]] = {}
    for condition, requirement in _applying(http_filter, rest, at, findings):
        grouped.setdefault(requirement, []).append(condition)
    for requirement, conditions in grouped.items():
        yield any_of(conditions), requirement


def _applying(
    http_filter: EffectiveFilter, rest: Expr, at: Where, findings: Findings
) -> Iterator[tuple[Expr, Requirement]]:
    """Give the rules that can apply to the route; `rest` = requests that no rule has taken so far."""
    config = http_filter.config
    match = http_filter.route.match if http_filter.route is not None else None
    for index, rule in enumerate(config.rules if config is not None else ()):
        if match is not None and _is_disjoint(rule.match, match):
            continue
        requirement = _of_rule(rule, config)
        if match is not None and _covers(rule.match, match):
            yield rest, requirement
            return
        condition, is_exact = _condition(rule.match, http_filter, at.item("rules", index).field("match"), findings)
        if is_exact:
            yield all_of((rest, condition)), requirement
        elif not requirement.is_open:
            yield all_of((rest, condition)), UNKNOWN
        if is_exact or not requirement.is_open:
            rest = all_of((rest, negate(condition)))
        if rest == NEVER:
            return
    if config is not None and config.HasField("filter_state_rules"):
        yield rest, UNKNOWN


def _condition(match: xds.Message, http_filter: EffectiveFilter, at: Where, findings: Findings) -> tuple[Expr, bool]:
    """Give the condition of a rule, and whether it is exact; else it holds for more requests than Envoy's."""
    view = DECODED.raw() if http_filter.context.policy.path_matching == "raw" else DECODED
    hcm = http_filter.context.hcm
    is_overwritten = bool(hcm.use_remote_address.value and not hcm.xff_num_trusted_hops)
    draft = translate_match(match, view, at, findings, is_proto_overwritten=is_overwritten)
    return _expression(draft), draft.is_exact


def _expression(draft: MatchDraft) -> Expr:
    if not draft.is_possible:
        return NEVER
    methods = [one_of("request_method", draft.methods)] if draft.methods else []
    return all_of((*draft.path.flat_guard, *draft.conditions, *methods))


def _of_rule(rule: xds.Message, config: xds.Message | None) -> Requirement:
    if rule.WhichOneof("requirement_type") == "requirement_name":
        return _named(rule.requirement_name, config)
    return read_requirement(rule.requires, config)


def _named(name: str, config: xds.Message | None) -> Requirement:
    if config is None or name not in config.requirement_map:
        return UNKNOWN
    return read_requirement(config.requirement_map[name], config)


def read_requirement(requirement: xds.Message, config: xds.Message | None) -> Requirement:
    """Read a JwtRequirement; nothing set refuses nobody."""
    kind = requirement.WhichOneof("requires_type")
    if kind is None:
        return OPEN
    if kind == "allow_missing_or_failed":
        return LENIENT
    if kind == "provider_name":
        return Requirement(((requirement.provider_name, None),))
    if kind == "provider_and_audiences":
        named = requirement.provider_and_audiences
        return Requirement(((named.provider_name, tuple(named.audiences)),))
    if kind == "allow_missing":
        providers = sorted(config.providers) if config is not None else []
        return Requirement(tuple((name, None) for name in providers), allows_missing=True)
    members = [read_requirement(one, config) for one in getattr(requirement, kind).requirements]
    return _any_of(requirement, members) if kind == "requires_any" else _all_of(members, config)


def _any_of(requirement: xds.Message, members: list[Requirement]) -> Requirement:
    """Join alternatives; beside providers, `allow_missing` is about their tokens alone."""
    if any(member.is_open for member in members):
        return LENIENT
    if not all(member.is_known for member in members):
        return UNKNOWN
    kinds = [one.WhichOneof("requires_type") for one in requirement.requires_any.requirements]
    named = [member for kind, member in zip(kinds, members, strict=True) if kind != "allow_missing"]
    providers = dict.fromkeys(provider for member in named or members for provider in member.providers)
    return Requirement(tuple(providers), allows_missing=any(member.allows_missing for member in members))


def _all_of(members: list[Requirement], config: xds.Message | None) -> Requirement:
    """Join what is all needed: one thing, for of two even the same one is not there twice (Envoy takes it away).

    `allow_missing_or_failed` takes a token away too that a provider has verified and does not forward.
    """
    needed = [member for member in members if not member.is_open]
    if not needed:
        return LENIENT
    is_looked_at = LENIENT in members[: members.index(needed[0])]
    is_kept = config is not None and all(provider.forward for provider in config.providers.values())
    return needed[0] if len(needed) == 1 and (is_kept or not is_looked_at) else UNKNOWN


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
