"""Source: limits of a filter, from rate_limit.py.

Target: which plugin counts which of them: `limit-count`, `limit-req` or `workflow`.
Fidelity: A.
Differs: where a route has more limits than plugins count at once, routes with other limits count apart.
Diagnostics: HF-RESTRICT, HF-DUP, HF-ORDER.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from schemas.records import Severity
from translators.diagnostics import DiagnosticClass
from translators.expr import ALWAYS, NEVER, all_of, any_of, conjuncts
from translators.format_string import RESOLVED
from translators.ids import hash80, object_id
from translators.mappings.http_filter.rate_limit import Limit
from translators.plugin_phase import priority_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.mappings.http_filter.rate_limit import Terms

_PLUGINS = 2
_HEADER_VARIABLE = re.compile(r"\bhttp_(\w+)")
_POLICY = "local"
"""Where plugins count: said although it is the default, because the schemas of APISIX ask for redis_host without."""
_TOO_MANY = "these limits cannot be counted at once: the route is blocked"
_APART = "these limits are counted apart where routes have other descriptors: more requests may pass"
_APART_REMEDY = "use fewer descriptors, or the same on all routes"
_TOO_FEW_REMEDY = "use fewer descriptors, or give all buckets one condition"


def counters(
    http_filter: EffectiveFilter, limits: Iterable[Limit], terms: Terms, findings: Findings, *, is_counting: bool
) -> dict[str, dict[str, Any]] | None:
    """Give the plugins that count.

    Args:
        http_filter: whose limits these are.
        limits: all hold.
        terms: of all of them.
        findings: receives the diagnostics.
        is_counting: another filter has limit-count.

    Returns:
        None where they cannot count all limits: the route must be blocked.
    """
    live = [limit for limit in _joined(limits) if all_of((limit.condition, terms.condition)) != NEVER]
    if not live:
        return {}
    live.sort(key=_turn)
    shared = _allocated(live, terms.primary.name if terms.primary else "", is_counting=is_counting)
    if shared is None:
        is_blocked = findings.blocks("HF-RESTRICT", http_filter.at, effect=_TOO_MANY, remedy=_TOO_FEW_REMEDY)
        return None if is_blocked else {}
    if shared.is_apart:
        findings.report(
            "HF-RESTRICT",
            http_filter.at,
            effect=_APART,
            remedy=_APART_REMEDY,
            severity=Severity.WARN,
            diagnostic_class=DiagnosticClass.APPROXIMATED,
        )
    writer = _Writer(http_filter, terms)
    return {
        **({"limit-count": writer.counting(shared.counted)} if shared.counted else {}),
        **({"limit-req": writer.metering(shared.metered)} if shared.metered else {}),
        **({"workflow": writer.choosing(shared.cases)} if shared.cases else {}),
    }


def _turn(limit: Limit) -> tuple[bool, float]:
    """Envoy takes the slowest bucket first, that of all requests last; a refusal takes no further tokens."""
    return not limit.name, limit.bucket.rate_per_s


def add_counters(
    http_filter: EffectiveFilter, draft: FilterDraft, plugins: dict[str, dict[str, Any]] | None, findings: Findings
) -> None:
    """Add what `counters` gave, or block the route."""
    if plugins is None:
        draft.deny("HF-RESTRICT")
        return
    draft.read_headers(_HEADER_VARIABLE.findall(orjson.dumps(plugins).decode()), http_filter.at)
    added = [draft.add_plugin(name, conf, http_filter.index) for name, conf in plugins.items()]
    if not all(added) and findings.blocks("HF-DUP", http_filter.at):
        draft.deny("HF-DUP")


def is_counting(draft: FilterDraft) -> bool:
    """Tell whether another filter has limit-count, which does not go with workflow."""
    return "limit-count" in draft.plugins or "workflow" in draft.plugins


def _joined(limits: Iterable[Limit]) -> list[Limit]:
    """Join what would be counted under one key: a node refuses two rules with the same."""
    found: dict[tuple[str, str], Limit] = {}
    for limit in limits:
        known = found.setdefault((limit.name, limit.key), limit)
        if known is not limit:
            condition = any_of((known.condition, limit.condition))
            found[limit.name, limit.key] = Limit(known.bucket, known.name, known.key, condition)
    return list(found.values())


class _Shared(NamedTuple):
    """Which plugin counts what: limit-count, limit-req, workflow.

    Attributes:
        is_apart: routes count together only if all their limits are the same.
    """

    counted: tuple[Limit, ...] = ()
    metered: Limit | None = None
    cases: tuple[Limit, ...] = ()
    is_apart: bool = False


def _allocated(limits: Sequence[Limit], primary: str, *, is_counting: bool) -> _Shared | None:
    """Share limits out so that each bucket stays one bucket for all its routes, as far as the plugins can.

    limit-count counts one limit under a group, or several under the service of routes with the same limits, if their
    keys tell whom they count. limit-req counts one, under a service too. workflow counts any number of which no two
    hold for one request, under a service, and not beside limit-count. Routes count together only if one plugin counts
    a limit on all of them.

    Args:
        limits: at least one.
        primary: name of the limit that limit-count counts.
        is_counting: another filter has limit-count.
    """
    if len(limits) > _PLUGINS:
        return None if is_counting else _in_services(limits)
    counted = [limit for limit in limits if limit.name == primary and limit.bucket.window_s and not is_counting]
    others = [limit for limit in limits if limit not in counted]
    if len(others) < _PLUGINS:
        return _Shared(tuple(counted), others[0] if others else None)
    whole = [limit for limit in others if limit.bucket.window_s]
    if is_counting or not whole:
        return None
    (metered,) = (limit for limit in others if limit is not whole[0])
    return _Shared((whole[0],), metered, is_apart=True)


def _in_services(limits: Sequence[Limit]) -> _Shared | None:
    whole = [limit for limit in limits if limit.bucket.window_s]
    if len(whole) == len(limits) and all(limit.condition == limits[0].condition for limit in limits):
        return _Shared(tuple(limits), is_apart=True)
    rules = tuple(limit for limit in whole if limit.is_rule)
    others = [limit for limit in limits if limit not in rules]
    if len(others) <= 1:
        return _Shared(rules, others[0] if others else None, is_apart=True)
    if len(rules) <= 1 and all(limit.bucket.window_s for limit in others) and _excludes_each_other(others):
        return _Shared(metered=rules[0] if rules else None, cases=tuple(others), is_apart=True)
    return None


def _excludes_each_other(limits: Sequence[Limit]) -> bool:
    return all(all_of((one.condition, other.condition)) == NEVER for one, other in combinations(limits, 2))


class _Writer:
    """Writes the plugins of one filter."""

    def __init__(self, http_filter: EffectiveFilter, terms: Terms) -> None:
        self._filter = http_filter
        self._terms = terms

    def counting(self, limits: tuple[Limit, ...]) -> dict[str, Any]:
        """Give limit-count."""
        conf = self._refusing()
        (first, *others), common = limits, limits[0].condition
        if not others:
            conf |= {
                "count": first.bucket.capacity,
                "time_window": first.bucket.window_s,
                "key": first.key or "all",
                "key_type": "var_combination" if first.key else "constant",
            }
            # A group whose configuration changes is refused by the node, so the configuration is part of its name.
            conf["group"] = object_id("limits", self._filter.name, *self._terms.owner, first.name, _canonical(conf))
        else:
            common = common if all(limit.condition == common for limit in others) else ALWAYS
            conf["rules"] = [
                {
                    "count": limit.bucket.capacity,
                    "time_window": limit.bucket.window_s,
                    "key": self._key(limit),
                }
                for limit in limits
            ]
        return self._under(conf, common)

    def choosing(self, limits: tuple[Limit, ...]) -> dict[str, Any]:
        """Give workflow, which takes the first case that holds."""
        rules = []
        for limit in limits:
            conf = self._refusing() | {
                "count": limit.bucket.capacity,
                "time_window": limit.bucket.window_s,
                "key": self._key(limit),
                "key_type": "var_combination",
            }
            rules.append({"case": conjuncts((limit.condition,)), "actions": [["limit-count", conf]]})
        return self._under({"rules": rules}, ALWAYS)

    def _refusing(self) -> dict[str, Any]:
        return {
            "policy": _POLICY,
            "rejected_code": self._terms.status,
            "rejected_msg": self._terms.text,
            "show_limit_quota_header": self._terms.has_headers,
        }

    def metering(self, limit: Limit) -> dict[str, Any]:
        """Give limit-req, which fills its bucket continuously as Envoy does; the first request leaves burst = 0."""
        conf = {
            "burst": limit.bucket.capacity - 1,
            "key": self._key(limit),
            "key_type": "var_combination",
            "nodelay": True,
            "policy": _POLICY,
            "rate": limit.bucket.rate_per_s,
            "rejected_code": self._terms.status,
            "rejected_msg": self._terms.text,
        }
        primary = self._terms.primary
        # The same on all routes, whatever else they count, else they would not share the service.
        is_first = primary is None or _turn(limit) < _turn(primary)
        return self._under(conf, limit.condition, priority=priority_of(self._filter.index) + (1 if is_first else -1))

    def _key(self, limit: Limit) -> str:
        return f"{hash80('limits', *self._terms.owner, limit.name)}.{limit.key or RESOLVED}"

    def _under(self, conf: dict[str, Any], condition: Expr, **meta: Any) -> dict[str, Any]:
        required = conjuncts((condition, self._terms.condition))
        if required:
            meta["filter"] = required
        return {**conf, "_meta": meta} if meta else conf


def _canonical(conf: dict[str, Any]) -> str:
    return orjson.dumps(conf, option=orjson.OPT_SORT_KEYS).decode()
