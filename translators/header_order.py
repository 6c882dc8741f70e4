"""Headers of the request that a filter sees at another time than in Envoy; what mutates them in between (HF-ORDER).

In Envoy a filter sees what the filters before it have made of the request. Here guards are conditions of routes: they
see the request as the client sent it, so what filters before theirs mutate is unknown to them. Plugins of the access
phase come after all mutations, also those that Envoy makes behind their filter; and where the route answers by itself
nothing is mutated at all. Who restricts then denies more, not less (mapping.md section 14.9).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from translators.block import FIRST_ERROR
from translators.expr import ALWAYS, NEVER, all_of, bound, variables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.header_step import Step
    from translators.where import Where

_DENIES = "requests are denied whatever the header that an earlier filter mutates"
_LEAVES = "the filter does not answer where that depends on the header that an earlier filter mutates"
_REMEDY = "put the filter before the one that mutates the header"
_BEHIND = "the filter would see headers that Envoy mutates only behind it: the route is blocked"
_UNMUTATED = "the filter would see headers as the client sent them, before Envoy mutates them: the route is blocked"
_HOST_NAMES = frozenset(("host", ":authority"))


@dataclass(frozen=True, slots=True)
class Reading:
    """Headers of the request that a plugin of the access phase looks at, or sets.

    Attributes:
        names: their variables.
        step_count: how many mutations come before the filter in Envoy too.
        mutated: those of the variables that these mutations touch.
        at: the filter.
    """

    names: frozenset[str]
    step_count: int
    mutated: frozenset[str]
    at: Where


def header_variable(name: str) -> str:
    """Give the variable of a header: to nginx `-` and `_` are one."""
    name = name.lower()
    return "http_host" if name in _HOST_NAMES else f"http_{name.replace('-', '_')}"


def mutated_variables(steps: Iterable[Step]) -> frozenset[str]:
    """Give the variables of the headers that mutations touch."""
    names = (name for step in steps for name in (*step.removed, *(mutation.name for mutation in step.mutations)))
    return frozenset(map(header_variable, names))


def settle(draft: FilterDraft, known: int, mutated: frozenset[str], at: Where, findings: Findings) -> None:
    """Put bounds in place of guards' conditions on headers that earlier filters mutate.

    Args:
        draft: the filters so far.
        known: how many guards stood before the filter ran.
        mutated: variables of the mutated headers.
        at: the filter.
        findings: receives HF-ORDER.
    """
    settled = []
    for guard in draft.guards[known:]:
        read = mutated.intersection(name for condition in guard.conditions for name in variables(condition))
        if not read:
            settled.append(guard)
            continue
        if guard.is_restricting and guard.status >= FIRST_ERROR:
            is_upper = findings.blocks("HF-ORDER", at, value=_said(read), effect=_DENIES, remedy=_REMEDY)
        else:
            findings.report("HF-ORDER", at, value=_said(read), effect=_LEAVES, remedy=_REMEDY)
            is_upper = False
        required = bound(all_of(guard.conditions), read, is_upper=is_upper)
        if required == ALWAYS:
            settled.append(replace(guard, name="", conditions=()))
            draft.is_closed = True
            break
        if required != NEVER:
            settled.append(replace(guard, conditions=(required,)))
    draft.guards[known:] = settled


def close_reordered(draft: FilterDraft, route_mutates: Iterable[str], findings: Findings) -> None:
    """Block a route to a cluster where its plugins would see what Envoy mutates only behind their filters.

    Args:
        draft: all filters of the route.
        route_mutates: names of headers that the route and the levels around it mutate, behind all filters.
        findings: receives HF-ORDER.
    """
    behind = frozenset(map(header_variable, route_mutates))
    for reading in draft.readings:
        later = behind | mutated_variables(draft.request[reading.step_count :])
        _close(draft, reading, reading.names & later, _BEHIND, findings)


def close_unmutated(draft: FilterDraft, findings: Findings) -> None:
    """Block a route that answers by itself where its plugins look at headers that Envoy has mutated by then.

    Args:
        draft: all filters of the route.
        findings: receives HF-ORDER.
    """
    for reading in draft.readings:
        _close(draft, reading, reading.mutated, _UNMUTATED, findings)


def _close(draft: FilterDraft, reading: Reading, found: frozenset[str], effect: str, findings: Findings) -> None:
    if found and findings.blocks("HF-ORDER", reading.at, value=_said(found), effect=effect):
        draft.deny("HF-ORDER")


def _said(names: Iterable[str]) -> str:
    return ", ".join(sorted(name.removeprefix("http_") for name in names))
