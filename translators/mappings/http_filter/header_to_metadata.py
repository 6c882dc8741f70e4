"""Source: envoy.extensions.filters.http.header_to_metadata.v3.Config.

Target: headers that a rule removes are removed; metadata is not produced.
Fidelity: E for removals; what depends on the metadata is diagnosed where it stands.
Differs: -
Diagnostics: HF-UNTRANSLATED.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.header_step import Step

if TYPE_CHECKING:
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_CONFIG = "envoy.extensions.filters.http.header_to_metadata.v3.Config"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Remove what the rules in force remove."""
    config = http_filter.override if http_filter.overrides else http_filter.config
    if config is None or config.DESCRIPTOR.full_name != _CONFIG:
        if http_filter.overrides:
            findings.report("HF-UNTRANSLATED", at, effect="headers that the filter removes are kept")
        return
    dispatch.apply(config, None, at, findings)
    request, response = (
        tuple(rule.header.lower() for rule in rules if rule.remove and rule.header)
        for rules in (config.request_rules, config.response_rules)
    )
    if request:
        draft.request.append(Step(removed=request))
    if response:
        draft.response.append([Step(removed=response)])
