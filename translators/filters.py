"""What the HTTP filters of a route add to it: plugins, mutations, and guards that answer instead of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.records import Severity
from translators import dispatch
from translators.block import FIRST_ERROR, FORBIDDEN, UNAVAILABLE, denial
from translators.diagnostics import DiagnosticClass
from translators.expr import ALWAYS, NEVER, all_of
from translators.http_filter import effective_filters
from translators.plugin_phase import answered, priority_of
from translators.registry import Diagnosed, Handled, Ignored, find
from translators.route_context import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.header_step import Step
    from translators.http_filter import EffectiveFilter
    from translators.route_context import RouteContext
    from translators.verified_token import VerifiedToken
    from translators.where import Where

_FORBIDDING = frozenset({"HF-RESTRICT", "AUTH-JWT-AUD", "AUTH-JWKS"})
"""Codes of filters that ask who the client is; all others answer 503."""
_SERVED = "requests are served without the filter"


@dataclass(frozen=True, slots=True)
class Guard:
    """What a filter answers itself: a route in front of the one it guards (mapping.md section 14.9).

    Attributes:
        name: tells the guards of a route apart; empty for the one that closes it.
        conditions: when it answers.
        plugins: what answers, with all that runs before.
        status: of the answer.
    """

    name: str
    conditions: tuple[Expr, ...]
    plugins: dict[str, Any]
    status: int


@dataclass(slots=True)
class FilterDraft:
    """What the filters of one route contribute to.

    Attributes:
        guards: answers of filters, in the order of the filters; what follows an unconditional one is never reached.
        plugins: plugins of the route itself, each with its place in Envoy's order.
        request: mutations of the request, in the order of the filters.
        response: mutations of the response, in the order of the filters; Envoy runs them backwards.
        tokens: by the key of the metadata their payload goes to in Envoy: when the route has verified a token.
    """

    guards: list[Guard] = field(default_factory=list)
    plugins: dict[str, Any] = field(default_factory=dict)
    request: list[Step] = field(default_factory=list)
    response: list[list[Step]] = field(default_factory=list)
    tokens: dict[str, VerifiedToken] = field(default_factory=dict)

    @property
    def is_closed(self) -> bool:
        """The route itself is never reached."""
        return bool(self.guards) and not self.guards[-1].conditions

    def deny(self, code: str) -> None:
        """Block the route; the first filter that does so decides the answer, as in Envoy."""
        status = FORBIDDEN if code in _FORBIDDING else UNAVAILABLE
        self._close(denial(status, code).fields["plugins"], status)

    def answer(self, name: str, answer: dict[str, Any], conditions: Iterable[Expr] = ()) -> None:
        """Answer instead of the route.

        Args:
            name: of the filter, and of the answer where a filter has several.
            answer: plugins among which fault-injection aborts.
            conditions: when; always if there is none.
        """
        required = all_of(conditions)
        status = int(answer["fault-injection"]["abort"]["http_status"])
        if required == ALWAYS:
            self._close(answer, status)
        elif required != NEVER and not self.is_closed:
            taken = sum(guard.name.partition("#")[0] == name for guard in self.guards)
            unique = f"{name}#{taken}" if taken else name
            self.guards.append(Guard(unique, (required,), answered(self.plugins, answer), status))

    def _close(self, answer: dict[str, Any], status: int) -> None:
        if not self.is_closed:
            self.guards.append(Guard("", (), answered(self.plugins, answer), status))

    def add_plugin(self, name: str, conf: dict[str, Any], index: int, place: int = 0) -> bool:
        """Add a plugin to the route.

        Args:
            name: of the plugin.
            conf: its configuration; `_meta.filter` may say when it runs.
            index: of the filter in the connection manager.
            place: among several plugins of the filter, 0..9; the one with the highest place runs first.

        Returns:
            False when another filter has the plugin already: a route has one of each name, so the caller reports
            HF-DUP and fails closed if the filter restricts.
        """
        if name in self.plugins:
            return False
        meta = {"priority": priority_of(index) + place, **conf.get("_meta", {})}
        self.plugins[name] = {**conf, "_meta": meta}
        return True

    def response_steps(self) -> list[Step]:
        """Give the mutations of the response in the order in which Envoy evaluates them."""
        return [step for steps in reversed(self.response) for step in steps]

    def guarded(self, part: Part, response: Mapping[str, Any]) -> list[Part]:
        """Give a part with its guards in front of it, or only these where it is never reached.

        Args:
            part: one APISIX route of the Envoy route.
            response: the plugins that mutate the guards' answers.
        """
        parts = [_guard_part(guard, part, response) for guard in self.guards]
        return parts if self.is_closed else [*parts, part]


def _guard_part(guard: Guard, part: Part, response: Mapping[str, Any]) -> Part:
    return Part(
        suffix=".".join(filter(None, (part.suffix, guard.name))),
        conditions=(*part.conditions, *guard.conditions),
        fields={"plugins": {**guard.plugins, **response}},
        is_blocking=guard.status >= FIRST_ERROR,
        is_guard=bool(guard.name),
    )


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
