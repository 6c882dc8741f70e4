"""Source: token buckets of local_ratelimit, limits of a rate limit service that the operator gives.

Target: `limit-count`, whose `group` all routes of a bucket share; where it cannot count a bucket, `limit-req`, or
`limit-count` with one rule a bucket, in a service that the routes share.
Fidelity: A; E as limit-req.
Differs: limit-count grants a whole bucket a window, beginning with the first request; Envoy fills it continuously. The
average and the largest burst are the same. Nodes count for themselves, each for all its workers.
Diagnostics: HF-RESTRICT, HF-DUP.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from schemas.records import Severity
from translators.diagnostics import DiagnosticClass
from translators.expr import ALWAYS, NEVER, all_of, any_of, conjuncts, present
from translators.format_string import RESOLVED
from translators.ids import hash80, object_id
from translators.plugin_phase import priority_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas import xds
    from translators.expr import Expr
    from translators.filters import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.mappings.http_filter.rate_limit_action import Descriptor, Entry

_NS_PER_S = 1_000_000_000
UNLIMITED = 2**32 - 1
"""What control planes write for a bucket that is never empty."""
_PLUGINS = 2
_POLICY = "local"
"""Where plugins count: said although it is the default, because the schemas of APISIX ask for redis_host without."""
_TOO_MANY = "these limits cannot be counted at once: the route is blocked"
_APART = "these limits are counted apart where routes have other descriptors: more requests may pass"
_APART_REMEDY = "use fewer descriptors, or the same on all routes"
_TOO_FEW_REMEDY = "use fewer descriptors, or give all buckets one condition"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that requests use up.

    Attributes:
        capacity: tokens of the full bucket.
        tokens: that are added each interval.
        interval_ns: in nanoseconds.
    """

    capacity: int
    tokens: int
    interval_ns: int

    @property
    def fill_ns(self) -> int:
        """How long an empty bucket takes to be full, rounded up."""
        return -(-self.capacity * self.interval_ns // self.tokens)

    @property
    def window_s(self) -> int:
        """The same in seconds; 0 when it is no whole number of them, which limit-count cannot count."""
        return self.fill_ns // _NS_PER_S if self.fill_ns % _NS_PER_S == 0 else 0

    @property
    def rate_per_s(self) -> float:
        """Tokens a second."""
        rate = self.tokens * _NS_PER_S / self.interval_ns
        return int(rate) if rate == int(rate) else rate


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket, or one for each value of a key.

    Attributes:
        name: tells the limits of one owner apart.
        key: a template of what is counted apart; empty when all requests are counted together.
        condition: which requests are counted.
    """

    bucket: Bucket
    name: str = ""
    key: str = ""
    condition: Expr = ALWAYS

    @property
    def is_rule(self) -> bool:
        """A rule of limit-count counts whom it should by its key alone."""
        return self.condition == ALWAYS or (self.key.count("$") == 1 and self.condition == present(self.key[2:-1]))


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a filter counts.

    Attributes:
        owner: names whose buckets these are; routes with the same owner share them.
        status: of the answer to requests without a token.
        text: of the same.
        has_headers: x-ratelimit-limit, -remaining and -reset are written.
        condition: which requests are counted at all.
    """

    owner: tuple[str, ...]
    status: int
    text: str
    has_headers: bool
    condition: Expr


def bucket_of(tokens: xds.Message) -> Bucket | None:
    """Read an envoy.type.v3.TokenBucket; None when it is never empty."""
    interval_ns = tokens.fill_interval.seconds * _NS_PER_S + tokens.fill_interval.nanos
    filled = tokens.tokens_per_fill.value if tokens.HasField("tokens_per_fill") else 1
    if tokens.max_tokens >= UNLIMITED:
        return None
    return Bucket(tokens.max_tokens, max(filled, 1), max(interval_ns, 1))


def limits_of(
    descriptors: Iterable[Descriptor], wanted: Sequence[tuple[str, str]], bucket: Bucket
) -> list[Limit] | None:
    """Give the limits of one bucket on descriptors that requests may have.

    Args:
        descriptors: of requests.
        wanted: keys and values that use the bucket; an empty value is any, each with a bucket of its own.
        bucket: the bucket.

    Returns:
        None when what would be counted apart cannot be told.
    """
    found: dict[str, list[Expr]] = {}
    for descriptor in descriptors:
        if [entry.key for entry in descriptor.entries] != [key for key, _ in wanted]:
            continue
        pairs = list(zip(descriptor.entries, (value for _, value in wanted), strict=True))
        condition = _with_values(descriptor.condition, [(entry, value) for entry, value in pairs if value])
        if condition == NEVER:
            continue
        free = [entry for entry, value in pairs if not value]
        if not all(entry.is_readable for entry in free):
            return None
        key = "|".join(f"${{{entry.variable}}}" for entry in free if entry.variable)
        found.setdefault(key, []).append(condition)
    name = "|".join(f"{key}={value}" for key, value in wanted)
    return [Limit(bucket, name, key, any_of(conditions)) for key, conditions in found.items()]


def _with_values(condition: Expr, pairs: list[tuple[Entry, str]]) -> Expr:
    """Require values; a variable that has a value is there."""
    implied = {present(entry.variable) for entry, _ in pairs if entry.variable}
    kept = [one for one in conjuncts((condition,)) if one not in implied]
    return all_of((*kept, *(entry.condition(value) for entry, value in pairs)))


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
    shared = _allocated(live, is_counting=is_counting)
    if shared is None:
        is_blocked = findings.blocks("HF-RESTRICT", http_filter.at, effect=_TOO_MANY, remedy=_TOO_FEW_REMEDY)
        return None if is_blocked else {}
    if len(shared.counted) > 1:
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
    }


def add_counters(
    http_filter: EffectiveFilter, draft: FilterDraft, plugins: dict[str, dict[str, Any]] | None, findings: Findings
) -> None:
    """Add what `counters` gave, or block the route."""
    if plugins is None:
        draft.deny("HF-RESTRICT")
        return
    added = [draft.add_plugin(name, conf, http_filter.index) for name, conf in plugins.items()]
    if not all(added) and findings.blocks("HF-DUP", http_filter.at):
        draft.deny("HF-DUP")


def is_counting(draft: FilterDraft) -> bool:
    """Tell whether another filter has limit-count."""
    return "limit-count" in draft.plugins


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
    """Which plugin counts what."""

    counted: tuple[Limit, ...]
    metered: Limit | None


def _allocated(limits: Sequence[Limit], *, is_counting: bool) -> _Shared | None:
    """Share limits out so that each bucket stays one bucket for all its routes, as far as two plugins can.

    limit-count counts one limit under a group, or several under the service of routes with the same limits, if their
    keys tell whom they count. limit-req counts one, under a service too.

    Args:
        limits: at least one.
        is_counting: another filter has limit-count.
    """
    if is_counting:
        return _Shared((), limits[0]) if len(limits) == 1 else None
    whole = [limit for limit in limits if limit.bucket.window_s]
    if len(limits) <= _PLUGINS:
        # The bucket of all requests is what most routes share.
        counted = min(whole, key=lambda limit: limit.name, default=None)
        others = [limit for limit in limits if limit is not counted]
        if len(others) < _PLUGINS:
            return _Shared(() if counted is None else (counted,), others[0] if others else None)
        return None
    if len(whole) == len(limits) and all(limit.condition == limits[0].condition for limit in limits):
        return _Shared(tuple(limits), None)
    rules = tuple(limit for limit in whole if limit.is_rule)
    others = [limit for limit in limits if limit not in rules]
    return _Shared(rules, others[0] if others else None) if len(others) < _PLUGINS else None


class _Writer:
    """Writes the plugins of one filter."""

    def __init__(self, http_filter: EffectiveFilter, terms: Terms) -> None:
        self._filter = http_filter
        self._terms = terms

    def counting(self, limits: tuple[Limit, ...]) -> dict[str, Any]:
        """Give limit-count."""
        conf: dict[str, Any] = {
            "policy": _POLICY,
            "rejected_code": self._terms.status,
            "rejected_msg": self._terms.text,
            "show_limit_quota_header": self._terms.has_headers,
        }
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
        return self._under(conf, limit.condition, priority=priority_of(self._filter.index) + 1)

    def _key(self, limit: Limit) -> str:
        return f"{hash80('limits', *self._terms.owner, limit.name)}.{limit.key or RESOLVED}"

    def _under(self, conf: dict[str, Any], condition: Expr, **meta: Any) -> dict[str, Any]:
        required = conjuncts((condition, self._terms.condition))
        if required:
            meta["filter"] = required
        return {**conf, "_meta": meta} if meta else conf


def _canonical(conf: dict[str, Any]) -> str:
    return orjson.dumps(conf, option=orjson.OPT_SORT_KEYS).decode()
