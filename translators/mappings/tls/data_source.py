"""Source: envoy.config.core.v3.DataSource of certificates and keys.

Target: text.
Fidelity: E for inline data; N for files and environment variables.
Differs: nothing.
Diagnostics: SEC-SOURCE.
See: mapping.md section 4.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where


def read_text(source: xds.Message, at: Where, findings: Findings) -> str | None:
    """Give the text of a DataSource; None, with SEC-SOURCE, when it is not inline or not text."""
    kind = source.WhichOneof("specifier")
    if kind == "inline_string":
        return str(source.inline_string)
    if kind == "inline_bytes":
        try:
            return bytes(source.inline_bytes).decode()
        except UnicodeDecodeError:
            findings.report("SEC-SOURCE", at, effect="the material is not text, so it is not loaded", remedy="give PEM")
            return None
    value = source.filename if kind == "filename" else source.environment_variable
    findings.report("SEC-SOURCE", at.field(kind) if kind else at, value=str(value))
    return None
