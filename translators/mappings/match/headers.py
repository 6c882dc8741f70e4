"""RouteMatch.headers.

Source: envoy.config.route.v3.HeaderMatcher, the deprecated specifiers too; semantics of HeaderUtility::matchHeaders.
Target: `methods` for one exact `:method`, else expressions over `http_*` and nginx's variables for pseudo-headers.
Fidelity: E for single headers.
Differs: nginx joins repeated headers with `, `, Envoy with `,`; `-` and `_` are one character in nginx's names; a regex
    over `:path` sees a path that has a query as it was received.
Diagnostics: RT-HEADER, RT-REGEX, RT-DECODED.
See: mapping.md section 5.5.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from translators import expr
from translators.element import elements
from translators.mappings.match.string_match import StringTest, literal_test, regex_test, test_of
from translators.regex import RegexError, translate_regex
from translators.request_target import TARGET, literal_condition, regex_condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

    _Read = Callable[[xds.Message, str, str], StringTest | None]

METHODS = frozenset(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"])
_PSEUDO_HEADERS = {
    ":method": "request_method",
    ":authority": "http_host",
    ":path": TARGET,
    ":scheme": "scheme",
}
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
FORWARDED_PROTO = "x-forwarded-proto"
_AS_RECEIVED = "the regex sees a path that has a query as it was received"
_LITERALS_INSTEAD = "match :path by literals, or the path by the route's own match"
_DEPRECATED_LITERALS = {
    "exact_match": "exact",
    "prefix_match": "prefix",
    "suffix_match": "suffix",
    "contains_match": "contains",
}


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate all header matchers; they hold together."""
    for header, place in zip(match.headers, elements(at, "headers", match.headers), strict=True):
        method = _plain_method(header)
        if method and not draft.methods:
            draft.methods = (method,)
            continue
        name = header.name.lower()
        try:
            condition = header_condition(
                header, is_proto_overwritten=draft.is_proto_overwritten, is_path_raw=draft.view.variable == TARGET
            )
        except RegexError as error:
            draft.widen("RT-REGEX", place, findings, value=str(error))
            continue
        if condition is None:
            draft.widen("RT-HEADER", place, findings, value=name)
            continue
        if may_collide(name) and not (name == FORWARDED_PROTO and draft.is_proto_overwritten):
            draft.colliding_headers.append(place)
        if draft.view.variable != TARGET and is_target_regex(header):
            findings.report("RT-DECODED", place, effect=_AS_RECEIVED, remedy=_LITERALS_INSTEAD)
        draft.require(condition)


def is_target_regex(header: xds.Message) -> bool:
    """Tell whether a matcher looks at the request target by a regex, which only literals can be found in exactly."""
    kind = header.WhichOneof("header_match_specifier")
    is_regex = kind == "string_match" and header.string_match.WhichOneof("match_pattern") == "safe_regex"
    is_target: bool = header.name.lower() == ":path"
    return is_target and (is_regex or kind == "safe_regex_match")


def _plain_method(header: xds.Message) -> str:
    """Give the method of a matcher that `methods` can say; empty otherwise."""
    if header.name != ":method" or header.invert_match:
        return ""
    method = header.exact_match
    if header.WhichOneof("header_match_specifier") == "string_match" and not header.string_match.ignore_case:
        method = header.string_match.exact
    return method if method in METHODS else ""


def may_collide(name: str) -> bool:
    """Tell whether another header's name is the same to nginx, which does not tell `-` and `_` apart."""
    return "-" in name or "_" in name


def header_condition(header: xds.Message, *, is_proto_overwritten: bool, is_path_raw: bool = False) -> Expr | None:
    """Translate a HeaderMatcher.

    Args:
        header: envoy.config.route.v3.HeaderMatcher.
        is_proto_overwritten: Envoy sets x-forwarded-proto to the scheme of the connection.
        is_path_raw: paths are matched as they were received (path_matching: raw).

    Returns:
        None when it cannot be expressed.

    Raises:
        RegexError: its regex cannot be translated.
    """
    name = header.name.lower()
    variable = variable_of(name)
    if variable is None:
        return None
    if variable == TARGET and not is_path_raw:
        return _header_condition(header, variable, _target_test)
    if name != FORWARDED_PROTO:
        return _header_condition(header, variable)
    by_scheme, by_header = _header_condition(header, "scheme"), _header_condition(header, variable)
    if is_proto_overwritten or by_scheme is None or by_header is None:
        return by_scheme
    return expr.any_of(
        (
            expr.all_of((expr.present(variable), by_header)),
            expr.all_of((expr.absent(variable), by_scheme)),
        )
    )


def variable_of(name: str) -> str | None:
    """Give the variable that holds a header or pseudo-header of the request; None when none does."""
    name = name.lower()
    if name not in _PSEUDO_HEADERS and not _NAME.match(name):
        return None
    return _PSEUDO_HEADERS.get(name) or "http_" + name.replace("-", "_")


def _header_condition(header: xds.Message, variable: str, read: _Read | None = None) -> Expr | None:
    """Translate a matcher over a variable; None when it cannot be expressed.

    A missing header matches no value, inverted or not, unless it is to be treated as empty.
    """
    kind = header.WhichOneof("header_match_specifier")
    if kind in (None, "present_match"):
        return _presence(header, variable, wanted=kind is None or header.present_match)
    test = (read or _test)(header, kind, variable)
    if test is None:
        return None
    holds_when_missing = header.treat_missing_header_as_empty and test.matches_empty != header.invert_match
    if not header.invert_match:
        return expr.any_of((expr.absent(variable), test.holds)) if holds_when_missing else test.holds
    if holds_when_missing:
        return expr.negate(test.holds)
    if test.holds == expr.present(variable):
        return expr.NEVER
    return expr.all_of((expr.present(variable), expr.negate(test.holds)))


def _presence(header: xds.Message, variable: str, *, wanted: bool) -> Expr:
    wanted = wanted != header.invert_match
    if header.treat_missing_header_as_empty:
        return expr.ALWAYS if wanted else expr.NEVER
    return expr.present(variable) if wanted else expr.absent(variable)


def _test(header: xds.Message, kind: str, variable: str) -> StringTest | None:
    if kind == "string_match":
        return test_of(header.string_match, variable)
    if kind == "safe_regex_match":
        return regex_test(header.safe_regex_match.regex, variable)
    if kind == "range_match":
        return StringTest(
            expr.integer_range(variable, header.range_match.start, header.range_match.end), matches_empty=False
        )
    text = getattr(header, kind)
    if not text:
        return StringTest(expr.present(variable), matches_empty=True)
    return literal_test(_DEPRECATED_LITERALS[kind], text, variable)


def _target_test(header: xds.Message, kind: str, variable: str) -> StringTest | None:
    """Test `:path`, which Envoy has normalised; what is not a text that occurs there is compared as it was received."""
    matcher = header.string_match if kind == "string_match" else header
    pattern = matcher.WhichOneof("match_pattern") if kind == "string_match" else kind
    if pattern in ("safe_regex", "safe_regex_match"):
        found: Expr | None = regex_condition(translate_regex(getattr(matcher, pattern).regex).pcre)
    else:
        literal = _DEPRECATED_LITERALS.get(pattern, pattern)
        is_literal = literal in _DEPRECATED_LITERALS.values() and getattr(matcher, pattern)
        ignore_case = kind == "string_match" and matcher.ignore_case
        found = literal_condition(literal, getattr(matcher, pattern), ignore_case=ignore_case) if is_literal else None
    return _test(header, kind, variable) if found is None else StringTest(found, matches_empty=False)
