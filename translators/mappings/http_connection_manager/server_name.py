"""Source: HttpConnectionManager.server_name, server_header_transformation.

Target: response-rewrite.headers.set.server.
Fidelity: E for OVERWRITE with a name; A where there is none; N for the others.
Differs: without a name Server is that of APISIX; the upstream's Server never reaches the client.
Diagnostics: HCM-CODEC.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.format_string import Text
from translators.header_step import OVERWRITE, Mutation, Step

if TYPE_CHECKING:
    from schemas import xds
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

_PASS_THROUGH = 2


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, _findings: Findings) -> None:
    """Write the name into every response."""
    if hcm.server_header_transformation != _PASS_THROUGH:
        place = at.field("server_name")
        mutation = Mutation("server", (Text(hcm.server_name),), OVERWRITE, keeps_empty=False, at=place)
        draft.response.append(Step(mutations=(mutation,)))
