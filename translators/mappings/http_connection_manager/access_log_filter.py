"""Source: AccessLog.filter, envoy.config.accesslog.v3.AccessLogFilter.

Target: `_meta.filter` of the logger, which APISIX evaluates when the response is known.
Fidelity: A.
Differs: what cannot be expressed logs too much rather than too little; a duration is measured when the first part of
    the response goes out.
Diagnostics: OBS-ALS.
See: mapping.md section 4.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.approximation import HOLDS, UNKNOWN, Approximation, both, either, exactly
from translators.expr import fraction, negate
from translators.mappings.match.headers import header_condition
from translators.mappings.match.runtime_fraction import DENOMINATORS
from translators.regex import RegexError

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.where import Where

_MS_PER_S = 1000
_EQUAL, _AT_LEAST, _AT_MOST = 0, 1, 2


def condition_of(log_filter: xds.Message, at: Where, findings: Findings) -> Expr:
    """Give what must hold for a request to be logged; it may hold for more.

    Args:
        log_filter: AccessLogFilter; an empty one lets everything pass.
        at: where it stands.
        findings: receives what cannot be expressed.
    """
    return _bounds(log_filter, at, findings).over


def _bounds(log_filter: xds.Message, at: Where, findings: Findings) -> Approximation:
    kind = log_filter.WhichOneof("filter_specifier")
    if kind is None or kind == "not_health_check_filter":
        return HOLDS
    place = at.field(kind)
    value = getattr(log_filter, kind)
    if kind in ("and_filter", "or_filter"):
        parts = [_bounds(inner, place.item("filters", index), findings) for index, inner in enumerate(value.filters)]
        return both(parts) if kind == "and_filter" else either(parts)
    found = _leaf(kind, value)
    if found is None:
        findings.report("OBS-ALS", place, effect="requests are logged whether this filter lets them pass or not")
        return UNKNOWN
    return exactly(found)


def _leaf(kind: str, value: Any) -> Expr | None:
    if kind == "status_code_filter":
        return _comparison("status", value.comparison.op, int(value.comparison.value.default_value))
    if kind == "duration_filter":
        return _comparison("request_time", value.comparison.op, value.comparison.value.default_value / _MS_PER_S)
    if kind == "runtime_filter":
        return fraction(value.percent_sampled.numerator, DENOMINATORS[value.percent_sampled.denominator])
    if kind == "header_filter":
        try:
            return header_condition(value.header, is_proto_overwritten=False)
        except RegexError:
            return None
    return None


def _comparison(variable: str, operator: int, value: float) -> Expr:
    if operator in (_AT_LEAST, _AT_MOST):
        return (variable, ">=" if operator == _AT_LEAST else "<=", value)
    equal: Expr = (variable, "==", value)
    return equal if operator == _EQUAL else negate(equal)
