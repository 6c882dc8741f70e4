r"""RouteMatch.safe_regex.

Source: envoy.config.route.v3.RouteMatch.safe_regex, a full match in RE2's syntax.
Target: the key of its literal prefix and the guard `\A(?s:R)\z` in PCRE.
Fidelity: E, as far as RE2 and PCRE agree.
Differs: `.` and classes take one byte where RE2 takes one character.
Diagnostics: RT-REGEX.
See: mapping.md sections 3 and 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.path_key import matches_regex
from translators.regex import RegexError, translate_regex

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate the regex."""
    require_regex(match.safe_regex.regex, draft, at.field("safe_regex"), findings)


def require_regex(regex: str, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Require that the path matches a regex in full; one that names an escape sees the path as received."""
    view = draft.view.raw() if "%" in regex else draft.view
    try:
        draft.require_path(matches_regex(translate_regex(regex, view.stops), view))
    except RegexError as error:
        draft.widen("RT-REGEX", at, findings, value=str(error))
