"""Source: envoy.extensions.filters.http.buffer.v3.Buffer, BufferPerRoute.

Target: a guard that answers 413 to a Content-Length above the limit; client-control for bodies without one.
Fidelity: A.
Differs: nginx buffers all requests, whatever the limit; its own 413 has an HTML body.
Diagnostics: HF-UNTRANSLATED.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.block import abort
from translators.expr import all_of, matches

if TYPE_CHECKING:
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_PER_ROUTE, _BUFFER = "BufferPerRoute", "Buffer"
_LENGTH = "http_content_length"
_TOO_LARGE = 413
_ANSWER = abort(_TOO_LARGE, "Payload Too Large", {"Content-Type": "text/plain"})


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Refuse bodies above the limit in force."""
    config = http_filter.override if http_filter.overrides else http_filter.config
    if config is not None and config.DESCRIPTOR.name == _PER_ROUTE:
        if config.disabled:
            return
        config = config.buffer
    if config is None or config.DESCRIPTOR.name != _BUFFER:
        findings.report("HF-UNTRANSLATED", at, effect="bodies of any size are accepted", remedy="use BufferPerRoute")
        return
    dispatch.apply(config, None, at, findings)
    limit = config.max_request_bytes.value
    is_larger = all_of((matches(_LENGTH, r"\A[0-9]+\z"), (_LENGTH, ">", limit)))
    draft.answer(http_filter.name, _ANSWER, (is_larger,), is_restricting=False)
    if limit and not draft.add_plugin("client-control", {"max_body_size": limit}, http_filter.index):
        findings.report(
            "HF-UNTRANSLATED",
            at,
            effect="bodies without a Content-Length are measured by the first limit only",
            remedy="limit in one buffer filter",
        )
