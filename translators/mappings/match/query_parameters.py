"""RouteMatch.query_parameters.

Source: envoy.config.route.v3.QueryParameterMatcher: the raw text of a parameter's first occurrence; a flag is empty.
Target: one PCRE over `args` per parameter.
Fidelity: E.
Differs: nothing.
Diagnostics: RT-REGEX, RT-HEADER for a custom string matcher.
See: mapping.md section 14.16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import expr
from translators.element import elements
from translators.mappings.match.string_match import pcre_of
from translators.regex import RegexError

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

_CUSTOM_EFFECT = "the custom string matcher is not translated: the route is left out"


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate all query parameter matchers; they hold together."""
    places = elements(at, "query_parameters", match.query_parameters)
    for parameter, place in zip(match.query_parameters, places, strict=True):
        try:
            condition = query_condition(parameter)
        except RegexError as error:
            draft.widen("RT-REGEX", place, findings, value=str(error))
            continue
        if condition is None:
            draft.widen("RT-HEADER", place, findings, effect=_CUSTOM_EFFECT)
        else:
            draft.require(condition)


def query_condition(parameter: xds.Message) -> Expr | None:
    """Translate a QueryParameterMatcher; None when it cannot be expressed.

    Raises:
        RegexError: its regex cannot be translated.
    """
    key = expr.escape(parameter.name)
    first = rf"\A(?:(?!{key}(?:[=&]|\z))[^&]*&)*{key}"
    is_present = expr.matches("args", rf"{first}(?:[=&]|\z)")
    kind = parameter.WhichOneof("query_parameter_match_specifier")
    if kind == "present_match":
        return is_present if parameter.present_match else expr.negate(is_present)
    if kind is None:
        return is_present
    value = pcre_of(parameter.string_match, "&")
    return None if value is None else expr.matches("args", rf"{first}(?:=|(?=&|\z)){value}(?:&|\z)")
