"""Source: RouteAction.prefix_rewrite, RedirectAction.prefix_rewrite.

Target: proxy-rewrite.regex_uri, or proxy-rewrite.uri where the match is an exact path.
Fidelity: A.
Differs: works on the decoded path, which is encoded again (`%2F` becomes `/`).
Diagnostics: none.
See: mapping.md sections 5.6, 5.8, 14.2 and 14.12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.expr import escape
from translators.format_string import escape_text

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.route_draft import RouteDraft
    from translators.where import Where


def apply(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> None:  # noqa: ARG001 - Apply
    """Rewrite the matched part of the path."""
    rewrite_prefix(action.prefix_rewrite, draft)


def rewrite_prefix(new: str, draft: RouteDraft) -> None:
    """Set the draft's rewrite: a prefix match loses its prefix, other matches their whole path, as in Envoy."""
    match = draft.route.match
    kind = match.WhichOneof("path_specifier")
    if kind in ("prefix", "path_separated_prefix"):
        draft.regex_uri = prefix_pair(getattr(match, kind), new, is_case_sensitive=_is_case_sensitive(match))
    elif new.startswith("/"):
        draft.uri = escape_text(new)
    else:
        draft.regex_uri = [r"(?s)\A.*\z", substitution(new)]


def prefix_pair(prefix: str, new: str, *, is_case_sensitive: bool) -> list[str]:
    """Give pattern and replacement of a prefix."""
    flags = "(?s)" if is_case_sensitive else "(?si)"
    return [rf"{flags}\A{escape(prefix)}(.*)\z", f"{substitution(new)}${{1}}"]


def substitution(text: str) -> str:
    """Write literal text in the replacement of ngx.re.sub."""
    return text.replace("$", "$$")


def _is_case_sensitive(match: xds.Message) -> bool:
    return not match.HasField("case_sensitive") or bool(match.case_sensitive.value)
