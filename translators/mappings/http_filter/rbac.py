"""Source: envoy.extensions.filters.http.rbac.v3.RBAC, RBACPerRoute.

Target: none yet; a filter that can deny blocks the route.
Fidelity: N.
Differs: -
Diagnostics: HF-RESTRICT.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds
    from translators.http_filter import EffectiveFilter

_PER_ROUTE = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute"
_ALLOW, _DENY = 0, 1


def denies_nothing(http_filter: EffectiveFilter) -> bool:
    """Tell whether no request can be denied: no rules, only shadow rules, or rules that let everyone in."""
    if http_filter.has_unreadable_override:
        return False
    config = http_filter.config
    if (override := http_filter.override) is not None:
        if override.DESCRIPTOR.full_name != _PER_ROUTE:
            return False
        config = override.rbac if override.HasField("rbac") else None
    elif config is None:
        return False
    if config is None:
        return True
    if config.HasField("matcher"):
        return False
    return not config.HasField("rules") or _rules_deny_nothing(config.rules)


def _rules_deny_nothing(rules: xds.Message) -> bool:
    if rules.action == _ALLOW:
        return any(_lets_everyone_in(policy) for policy in rules.policies.values())
    return rules.action != _DENY or not rules.policies


def _lets_everyone_in(policy: xds.Message) -> bool:
    is_conditional = policy.HasField("condition") or policy.HasField("checked_condition")
    return (
        not is_conditional
        and any(permission.any for permission in policy.permissions)
        and any(principal.any for principal in policy.principals)
    )
