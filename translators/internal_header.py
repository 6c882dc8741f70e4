"""Headers that only internal clients may send (RouteConfiguration.internal_only_headers).

Envoy takes them from the requests of all others before it chooses a route, so neither matches nor filters see them.
Nobody is internal unless internal_address_config says so; APISIX takes the headers from every request, and only behind
the choice of the route: conditions are written as if they were not there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from translators.expr import ALWAYS, NEVER, all_of, assume_absent, variables
from translators.header_order import header_variable

if TYPE_CHECKING:
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.match_draft import MatchDraft
    from translators.route_context import RouteContext
    from translators.where import Where

_UNKNOWN_PEER = "whether the client is internal, and may send the header, is not known: the route is left out"
_REMEDY = "match on a header that anybody may send, or drop internal_address_config"


def internal_variables(context: RouteContext) -> frozenset[str]:
    """Give the variables of the headers that are taken from requests."""
    return frozenset(map(header_variable, context.route_config.internal_only_headers))


def has_internal_clients(context: RouteContext) -> bool:
    """Tell whether some clients may keep the headers."""
    config = context.hcm.internal_address_config
    return bool(config.cidr_ranges or config.unix_sockets)


def settle_match(draft: MatchDraft, context: RouteContext, at: Where, findings: Findings) -> MatchDraft:
    """Write a match as if the headers were not there; leave the route out where some clients may send them.

    Args:
        draft: the match, which other virtual hosts may have in common.
        context: what surrounds the route.
        at: where the match stands.
        findings: receives RT-HEADER.

    Returns:
        The match as it is, or another one.
    """
    internal = internal_variables(context)
    read = internal.intersection(name for condition in draft.conditions for name in variables(condition))
    if not read:
        return draft
    settled = replace(draft, conditions=[])
    if has_internal_clients(context):
        said = ", ".join(sorted(name.removeprefix("http_") for name in read))
        settled.conditions.extend(draft.conditions)
        settled.widen("RT-HEADER", at.field("headers"), findings, value=said, effect=_UNKNOWN_PEER, remedy=_REMEDY)
        return settled
    for condition in draft.conditions:
        settled.require(assume_absent(condition, internal))
    return settled


def settle_filter(draft: FilterDraft, known: int, removed: frozenset[str]) -> None:
    """Write when a filter answers as if headers were not there; plugins behind the removal see them no more anyway.

    Args:
        draft: the filters so far.
        known: how many guards stood before the filter ran.
        removed: variables of the headers.
    """
    settled = []
    for guard in draft.guards[known:]:
        required = assume_absent(all_of(guard.conditions), removed)
        if required == ALWAYS:
            settled.append(replace(guard, name="", conditions=()))
            draft.is_closed = True
            break
        if required != NEVER:
            settled.append(replace(guard, conditions=(required,)))
    draft.guards[known:] = settled
