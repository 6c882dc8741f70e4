"""Source: RouteAction.regex_rewrite, RedirectAction.regex_rewrite.

Target: proxy-rewrite.regex_uri.
Fidelity: E for a pattern that begins with `^`; A else.
Differs: only the first match is replaced; works on the decoded path.
Diagnostics: RT-REGEX.
See: mapping.md sections 5.6, 5.8 and 14.12.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schemas.records import Severity
from translators.diagnostics import DiagnosticClass
from translators.regex import RegexError, translate_regex

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.route_draft import RouteDraft
    from translators.where import Where

_REWRITE = re.compile(r"\\(.?)|\$", re.DOTALL)
_ANCHORED = re.compile(r"\^[^|]*\Z|\\A[^|]*\Z")


def apply(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:
    """Rewrite the path; one that cannot be carried over is left as it is."""
    place = at.field("regex_rewrite")
    pair = regex_pair(action.regex_rewrite, place, findings)
    if pair is None:
        findings.report(
            "RT-REGEX",
            place,
            value=action.regex_rewrite.pattern.regex,
            effect="the path is not rewritten",
            diagnostic_class=DiagnosticClass.UNSUPPORTED,
        )
        return
    draft.regex_uri = pair


def regex_pair(rewrite: xds.Message, at: Where, findings: Findings) -> list[str] | None:
    """Give pattern and replacement of a RegexMatchAndSubstitute; None when RE2 and PCRE do not agree on them."""
    pattern = rewrite.pattern.regex
    try:
        translated = translate_regex(pattern)
        replacement = _replacement(rewrite.substitution)
    except RegexError:
        return None
    if not _ANCHORED.match(pattern):
        findings.report(
            "RT-REGEX",
            at,
            value=pattern,
            effect="only the first match in the path is replaced",
            remedy="let the pattern begin with ^",
            severity=Severity.WARN,
            diagnostic_class=DiagnosticClass.APPROXIMATED,
        )
    return [f"(?s:{translated.pcre})", replacement]


def _replacement(rewrite: str) -> str:
    r"""Turn RE2's `\1` and `\\` into what ngx.re.sub reads."""

    def convert(found: re.Match[str]) -> str:
        if found.group() == "$":
            return "$$"
        following = found[1]
        if following == "\\":
            return "\\"
        if following.isdigit() and following.isascii():
            return f"${{{following}}}"
        raise RegexError(f"invalid substitution {rewrite}")

    return _REWRITE.sub(convert, rewrite)
