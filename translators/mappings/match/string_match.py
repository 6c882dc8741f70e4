"""envoy.type.matcher.v3.StringMatcher, wherever RouteMatch holds one.

Source: envoy.type.matcher.v3.StringMatcher.
Target: one expression over a variable (headers), or a PCRE over a piece of text (query parameters).
Fidelity: E; `custom` cannot be expressed.
Differs: nothing.
Diagnostics: raised by the caller, who knows what is matched.
See: mapping.md section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from translators import expr
from translators.regex import translate_regex

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas import xds
    from translators.expr import Expr


@dataclass(frozen=True, slots=True)
class StringTest:
    """A test of a variable: false when the variable does not exist; `matches_empty` = true for the empty text."""

    holds: Expr
    matches_empty: bool


_LITERAL_TESTS: dict[str, Callable[..., Expr]] = {
    "exact": expr.equals,
    "prefix": expr.prefix,
    "suffix": expr.suffix,
    "contains": expr.contains,
}


def test_of(matcher: xds.Message, variable: str) -> StringTest | None:
    """Translate a StringMatcher over a variable; None when it cannot be expressed.

    Raises:
        RegexError: its regex cannot be translated.
    """
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return regex_test(matcher.safe_regex.regex, variable)
    if kind not in _LITERAL_TESTS:
        return None
    return literal_test(kind, getattr(matcher, kind), variable, ignore_case=matcher.ignore_case)


def literal_test(kind: str, text: str, variable: str, *, ignore_case: bool = False) -> StringTest:
    """Test for `exact`, `prefix`, `suffix` or `contains`."""
    if not text and kind != "exact":
        return StringTest(expr.present(variable), matches_empty=True)
    return StringTest(_LITERAL_TESTS[kind](variable, text, ignore_case=ignore_case), matches_empty=not text)


def regex_test(regex: str, variable: str) -> StringTest:
    """Test for a full match of a regex."""
    translated = translate_regex(regex)
    return StringTest(expr.safe_regex(variable, translated.pcre), translated.matches_empty)


def pcre_of(matcher: xds.Message, excluded: str) -> str | None:
    """Give a PCRE for a StringMatcher that consumes the whole text up to an excluded character.

    Args:
        matcher: the StringMatcher.
        excluded: one character that ends the text, e.g. `&`.

    Returns:
        None when it cannot be expressed.

    Raises:
        RegexError: its regex cannot be translated.
    """
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return f"(?s:{translate_regex(matcher.safe_regex.regex, excluded).pcre})"
    if kind not in _LITERAL_TESTS:
        return None
    text = getattr(matcher, kind)
    if excluded in text:
        return "(?!)"
    anything = f"[^{excluded}]*"
    before = anything if kind in ("suffix", "contains") else ""
    after = anything if kind in ("prefix", "contains") else ""
    return f"{'(?i:' if matcher.ignore_case else '(?:'}{before}{expr.escape(text)}{after})"
