"""Source: envoy.extensions.filters.http.health_check.v3.HealthCheck.

Target: a guard that answers 200 where the headers match; nothing where checks pass through.
Fidelity: E; A for passing through, which Envoy stops when it is told to fail health checks.
Differs: answers do not depend on the health of clusters; nothing is cached.
Diagnostics: HF-UNTRANSLATED.
See: mapping.md section 4.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.block import abort
from translators.mappings.match.headers import header_condition
from translators.regex import RegexError

if TYPE_CHECKING:
    from translators.expr import Expr
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_OK = 200
_ANSWER = abort(_OK)


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Answer health checks of those in front."""
    config = http_filter.config
    if config is None:
        return
    dispatch.apply(config, None, at, findings)
    if config.pass_through_mode.value:
        if config.HasField("cache_time"):
            findings.report(
                "HF-UNTRANSLATED",
                at.field("cache_time"),
                effect="every health check reaches the upstream",
                remedy="check less often, or answer checks here (pass_through_mode: false)",
            )
        return
    if config.cluster_min_healthy_percentages:
        findings.report(
            "HF-UNTRANSLATED",
            at.field("cluster_min_healthy_percentages"),
            effect="health checks are answered 200 however many hosts are healthy",
            remedy="let health checks pass through to the upstream",
        )
    conditions: list[Expr] = []
    for index, header in enumerate(config.headers):
        try:
            found = header_condition(
                header,
                is_proto_overwritten=http_filter.is_proto_overwritten,
                is_path_raw=http_filter.is_path_raw,
            )
        except RegexError:
            found = None
        if found is None:
            findings.report(
                "HF-UNTRANSLATED",
                at.item("headers", index),
                effect="health checks go to the upstream",
                remedy="match health checks by plain headers or their :path",
            )
            return
        conditions.append(found)
    draft.answer(http_filter.name, _ANSWER, conditions)
