"""Source: HttpConnectionManager.early_header_mutation_extensions.

Target: proxy-rewrite.headers, in front of all other mutations.
Fidelity: A.
Differs: routes are chosen, and filters decide, by the headers as the client sent them.
Diagnostics: HCM-EARLY, HDR-VALUE, HDR-FORMAT.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas import xds
from translators.mappings.http_filter.header_mutation import steps_of

if TYPE_CHECKING:
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

_TYPE = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_LATE = "headers are mutated after the route is chosen"


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Mutate, later than Envoy does."""
    for extension in hcm.early_header_mutation_extensions:
        place = at.item("early_header_mutation_extensions", extension.name)
        config = xds.unpack(extension.typed_config)
        if config is None or config.DESCRIPTOR.full_name != _TYPE:
            findings.report("HCM-EARLY", place, value=extension.typed_config.type_url)
            continue
        findings.report("HCM-EARLY", place, effect=_LATE)
        draft.request.extend(steps_of(config.mutations, "request", place, findings, field="mutations"))
