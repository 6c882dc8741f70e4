"""Source: envoy.extensions.filters.http.header_mutation.v3.HeaderMutation, HeaderMutationPerRoute.

Target: proxy-rewrite.headers, response-rewrite.headers, together with the mutations of routes.
Fidelity: E/A as translators.headers.
Differs: query parameters and trailers are not mutated; names cannot be removed by a pattern.
Diagnostics: HDR-VALUE, HDR-FORMAT, HF-UNTRANSLATED.
See: mapping.md sections 4.7 and 6.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators import dispatch
from translators.header_step import Step, read_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas import xds
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.format_string import Side
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_KEPT, _NAMED = "no header is removed by it", "remove headers by name"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Add the mutations of the listener, then those of all levels below it (they do not replace each other).

    Without most_specific_header_mutations_wins the most specific level comes first, so that the others win.
    """
    config = http_filter.config
    levels = [(override.config, override.at) for override in http_filter.overrides if override.config is not None]
    if config is None or not getattr(config, "most_specific_header_mutations_wins", False):
        levels.reverse()
    if config is not None:
        levels.insert(0, (config, at))
    response: list[Step] = []
    for level, place in levels:
        mutations = level.mutations
        draft.request.extend(steps_of(mutations.request_mutations, "request", place, findings))
        response.extend(steps_of(mutations.response_mutations, "response", place, findings))
        dispatch.apply(mutations, None, place, findings)
    draft.response.append(response)


def steps_of(
    mutations: Iterable[xds.Message], side: Side, at: Where, findings: Findings, *, field: str = ""
) -> Iterator[Step]:
    """Give one step per HeaderMutation: they are evaluated one after the other.

    Args:
        mutations: in order.
        side: what they mutate.
        at: the message that holds them.
        findings: receives HDR-FORMAT and HDR-VALUE.
        field: name of their field, if it is not `<side>_mutations`.
    """
    field = field or f"{side}_mutations"
    for mutation in mutations:
        kind = mutation.WhichOneof("action")
        if kind == "remove":
            yield Step(removed=(mutation.remove.lower(),))
        elif kind == "append":
            place = at.item(field, mutation.append.header.key)
            read = read_option(mutation.append, side, {}, place, findings)
            if read is not None:
                yield Step(mutations=(read,))
        elif kind == "remove_on_match" and mutation.remove_on_match.key_matcher.exact:
            yield Step(removed=(mutation.remove_on_match.key_matcher.exact.lower(),))
        elif kind is not None:
            findings.report("HDR-VALUE", at.field(f"{field}.{kind}"), effect=_KEPT, remedy=_NAMED)
