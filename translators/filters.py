"""What the HTTP filters of a route add to it, and whether one of them must block it (fail closed)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.records import Severity
from translators import dispatch
from translators.block import FORBIDDEN, UNAVAILABLE, denial
from translators.diagnostics import DiagnosticClass
from translators.http_filter import effective_filters
from translators.registry import Diagnosed, Handled, Ignored, find

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.header_step import Step
    from translators.http_filter import EffectiveFilter
    from translators.route_context import Part, RouteContext
    from translators.where import Where

_FORBIDDING = frozenset({"HF-RESTRICT", "AUTH-JWT-AUD", "AUTH-JWKS"})
"""Codes of filters that ask who the client is; all others answer 503."""
_SERVED = "requests are served without the filter"


@dataclass(slots=True)
class FilterDraft:
    """What the filters of one route contribute to.

    Attributes:
        denied_by: code of the first finding that blocks the route; empty when none does.
        request: mutations of the request, in the order of the filters.
        response: mutations of the response, in the order of the filters; Envoy runs them backwards.
    """

    denied_by: str = ""
    request: list[Step] = field(default_factory=list)
    response: list[list[Step]] = field(default_factory=list)

    def deny(self, code: str) -> None:
        """Block the route; the first filter that does so decides the answer, as in Envoy."""
        self.denied_by = self.denied_by or code

    def denial(self) -> Part | None:
        """Give the part that stands in for the route, if it is blocked."""
        if not self.denied_by:
            return None
        return denial(FORBIDDEN if self.denied_by in _FORBIDDING else UNAVAILABLE, self.denied_by)

    def response_steps(self) -> list[Step]:
        """Give the mutations of the response in the order in which Envoy evaluates them."""
        return [step for steps in reversed(self.response) for step in steps]


def run_filters(
    context: RouteContext,
    route: xds.Message | None,
    at: Where,
    findings: Findings,
    weighted: xds.Message | None = None,
) -> FilterDraft:
    """Translate the filters that run on a route.

    Args:
        context: what surrounds the route.
        route: the Route; None for requests that no route takes: filters run on these too (mapping.md section 14.8).
        at: the route.
        findings: receives the diagnostics.
        weighted: the weighted cluster entry that was drawn, if it has filters of its own.
    """
    draft = FilterDraft()
    for http_filter in effective_filters(context, route, weighted, at):
        _run(http_filter, draft, findings)
    return draft


def _run(http_filter: EffectiveFilter, draft: FilterDraft, findings: Findings) -> None:
    if http_filter.is_pending:
        if _may_restrict(http_filter) and findings.blocks(
            "EXT-PENDING", http_filter.at, effect="the route answers 503"
        ):
            draft.deny("EXT-PENDING")
        return
    row = find(http_filter.type_name) if http_filter.type_name else None
    if row is None:
        _run_unknown(http_filter, draft, findings)
    elif isinstance(row, Handled):
        if row.apply is not None:
            row.apply(http_filter, draft, http_filter.at, findings)
    elif isinstance(row, Diagnosed) and not dispatch.diagnose(row, http_filter, http_filter.at, findings):
        draft.deny(row.code)


def _run_unknown(http_filter: EffectiveFilter, draft: FilterDraft, findings: Findings) -> None:
    said = http_filter.type_name or f"{http_filter.name} without typed_config"
    if http_filter.is_optional:
        findings.report(
            "HF-UNKNOWN",
            http_filter.at,
            value=said,
            effect=_SERVED,
            severity=Severity.WARN,
            diagnostic_class=DiagnosticClass.UNSUPPORTED,
        )
    elif findings.blocks("HF-UNKNOWN", http_filter.at, value=said):
        draft.deny("HF-UNKNOWN")


def _may_restrict(http_filter: EffectiveFilter) -> bool:
    """Tell whether a filter whose configuration has not arrived could be one that restricts."""
    for candidate in http_filter.context.hcm.http_filters:
        if candidate.name == http_filter.name:
            rows = [find(url.rpartition("/")[2]) for url in candidate.config_discovery.type_urls]
            return not rows or any(not isinstance(row, Ignored) for row in rows)
    return True
