"""RouteMatch.grpc.

Source: envoy.config.route.v3.RouteMatch.grpc: only gRPC requests match.
Target: `http_content_type` is `application/grpc`, alone or with a `+` suffix.
Fidelity: E.
Differs: nothing.
Diagnostics: none.
See: mapping.md section 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.expr import matches

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

IS_GRPC = matches("http_content_type", r"\Aapplication/grpc(?:\+.*)?\z")


def apply(_match: xds.Message, draft: MatchDraft, _at: Where, _findings: Findings) -> None:
    """Translate the condition."""
    draft.require(IS_GRPC)
