"""Source: envoy.extensions.filters.http.rbac.v3.RBAC, RBACPerRoute.

Target: a guard that answers 403 where a DENY policy holds, or no ALLOW policy does, or a matcher does not allow.
Fidelity: E; what cannot be expressed counts against the request.
Differs: paths are compared as nginx normalises them unless path_matching is raw.
Diagnostics: HF-RESTRICT, HF-META, TLS-SAN, RT-HEADER, RT-REGEX, HCM-XFF.
See: mapping.md sections 4.7, 6.6 and 14.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.approximation import Approximation, both, either
from translators.block import FORBIDDEN, abort
from translators.expr import negate
from translators.mappings.http_filter.rbac_matcher import MatcherReader
from translators.mappings.http_filter.rbac_rule import RuleReader

if TYPE_CHECKING:
    from schemas import xds
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_PER_ROUTE = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute"
_ALLOW, _DENY = 0, 1
_EXPRESSIONS = ("condition", "checked_condition")
"""Of CEL, which APISIX does not evaluate."""
_DENIED = abort(FORBIDDEN, "RBAC: access denied", {"Content-Type": "text/plain"})


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Deny what the rules deny; shadow rules and LOG only observe."""
    config = http_filter.config
    if (override := http_filter.override) is not None and override.DESCRIPTOR.full_name == _PER_ROUTE:
        config = override.rbac if override.HasField("rbac") else None
        if config is None:
            return
    elif http_filter.overrides:
        config = override
    if config is None:
        if findings.blocks("HF-RESTRICT", at):
            draft.deny("HF-RESTRICT")
        return
    reader = RuleReader(http_filter.context, findings, draft.tokens)
    if config.HasField("matcher"):
        allowed = MatcherReader(reader).allowed(config.matcher, at.field("matcher"))
        draft.answer(http_filter.name, _DENIED, (negate(allowed.under),))
        return
    if not config.HasField("rules"):
        return
    policies = either(_policy(config.rules.policies[name], reader, _place(at, name)) for name in _names(config.rules))
    if config.rules.action == _ALLOW:
        draft.answer(http_filter.name, _DENIED, (negate(policies.under),))
    elif config.rules.action == _DENY:
        draft.answer(http_filter.name, _DENIED, (policies.over,))


def _names(rules: xds.Message) -> list[str]:
    return sorted(rules.policies)


def _place(at: Where, name: str) -> Where:
    return at.field("rules").item("policies", name)


def _policy(policy: xds.Message, reader: RuleReader, at: Where) -> Approximation:
    conditions = [
        either(reader.permission(one, at.item("permissions", index)) for index, one in enumerate(policy.permissions)),
        either(reader.principal(one, at.item("principals", index)) for index, one in enumerate(policy.principals)),
    ]
    conditions += [reader.lost("HF-RESTRICT", at.field(field)) for field in _EXPRESSIONS if policy.HasField(field)]
    return both(conditions)
