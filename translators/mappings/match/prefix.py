"""RouteMatch.prefix.

Source: envoy.config.route.v3.RouteMatch.prefix, with case_sensitive.
Target: `uris: ["P*"]`; where the router reads that as more or less than a literal prefix, the longest prefix that is
    safe and a guard on `uri`.
Fidelity: E.
Differs: nothing, for paths that look the same encoded and decoded.
Diagnostics: RT-DECODED.
See: mapping.md sections 5.5 and 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.mappings.match.case_sensitive import ignores_case
from translators.mappings.match.literal import note_decoded
from translators.path_key import begins_with

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where


def apply(match: xds.Message, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Translate the prefix."""
    note_decoded(match.prefix, draft, at.field("prefix"), findings)
    draft.require_path(begins_with(match.prefix, draft.view, ignore_case=ignores_case(match)))
