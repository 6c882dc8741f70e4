"""RouteMatch.path_separated_prefix.

Source: envoy.config.route.v3.RouteMatch.path_separated_prefix, with case_sensitive.
Target: `uris: ["P", "P/*"]`, or a prefix and a guard where `P/*` is not a literal prefix to the router.
Fidelity: E.
Differs: nothing, for paths that look the same encoded and decoded.
Diagnostics: RT-DECODED.
See: mapping.md sections 5.5 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.match.case_sensitive import ignores_case
from translators.mappings.match.literal import note_decoded
from translators.path_key import is_at_or_below

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate the prefix."""
    text = match.path_separated_prefix
    note_decoded(text, draft, at.field("path_separated_prefix"), findings)
    draft.require_path(is_at_or_below(text, draft.view, ignore_case=ignores_case(match)))
