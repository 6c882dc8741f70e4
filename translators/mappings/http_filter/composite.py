"""Source: envoy.extensions.common.matching.v3.ExtensionWithMatcher, usually around a composite filter.

Target: none: what runs is decided by a matcher tree while the request runs.
Fidelity: N.
Differs: -
Diagnostics: HF-CODE; HF-UNTRANSLATED where only faults can be injected.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_COMPOSITE = "envoy.extensions.filters.http.composite.v3.Composite"
_FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Block the route, unless the matcher can lead to nothing that restricts."""
    config = http_filter.config
    inner = config.extension_config.typed_config.type_url.rpartition("/")[2] if config is not None else ""
    if inner == _FAULT:
        findings.report("HF-UNTRANSLATED", at, effect="no faults are injected")
        return
    # Without a tree a composite filter has nothing to delegate to.
    has_tree = config is None or config.HasField("xds_matcher") or config.HasField("matcher")
    if inner == _COMPOSITE and not has_tree and not http_filter.overrides:
        return
    if findings.blocks("HF-CODE", at, value=inner):
        draft.deny("HF-CODE")
