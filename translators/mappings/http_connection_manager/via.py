"""Source: HttpConnectionManager.via.

Target: proxy-rewrite.headers.add and response-rewrite.headers.add.
Fidelity: A.
Differs: a line of its own where Envoy lengthens the one that is there.
Diagnostics: HDR-VALUE for a response where the value cannot be written.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.format_string import Text
from translators.header_step import APPEND, Mutation, Step

if TYPE_CHECKING:
    from schemas import xds
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, _findings: Findings) -> None:
    """Append to Via in both directions."""
    step = Step(mutations=(Mutation("via", (Text(hcm.via),), APPEND, keeps_empty=False, at=at.field("via")),))
    draft.request.append(step)
    draft.response.append(step)
