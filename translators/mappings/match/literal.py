"""Literal paths that Envoy and nginx see differently.

Source: the text of prefix, path and path_separated_prefix.
Target: none; the text is compared with the decoded path all the same.
Fidelity: A.
Differs: Envoy, which compares the encoded path, would never match such a text where it normalises paths.
Diagnostics: RT-DECODED.
See: mapping.md sections 3 and 14.19.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.where import Where

_ESCAPED_ON_THE_WIRE = re.compile(r"[|^{}\"<>`?# \\]|[^\x21-\x7e]")


def note_decoded(text: str, draft: MatchDraft, at: Where, findings: Findings) -> None:
    """Report a literal that requests carry percent-encoded: nginx compares the decoded path, Envoy the encoded one."""
    if draft.view.variable == "uri" and _ESCAPED_ON_THE_WIRE.search(text):
        findings.report("RT-DECODED", at, value=text)
