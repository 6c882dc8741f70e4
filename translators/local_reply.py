"""What the mutations of responses do to an answer that APISIX gives itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.expr import ALWAYS
from translators.format_string import Variable
from translators.headers import fold
from translators.mappings.action.redirect import AS_RECEIVED
from translators.route_draft import response_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from translators.expr import Expr
    from translators.findings import Findings
    from translators.format_string import Piece
    from translators.header_step import Mutation, Step
    from translators.where import Where


def reply_plugins(
    steps: Iterable[Step],
    at: Where,
    findings: Findings,
    path: tuple[Piece, ...] = AS_RECEIVED,
    *,
    condition: Expr = ALWAYS,
) -> dict[str, Any]:
    """Give the plugin that mutates the answer.

    Args:
        steps: in the order in which Envoy evaluates them.
        at: the route, for findings.
        findings: receives the diagnostics.
        path: what `:path` is by then.
        condition: on the request, for all mutations.
    """
    return response_plugins(fold(_unforwarded(steps, path), "response", at, findings).only_if(condition))


def _unforwarded(steps: Iterable[Step], path: tuple[Piece, ...]) -> list[Step]:
    """Quote path and Host as they are where nothing is sent upstream, so that nothing was rewritten for it."""
    known: dict[Piece, tuple[Piece, ...]] = {
        Variable("upstream_uri"): path,
        Variable("upstream_host"): (Variable("http_host"),),
    }

    def replaced(mutation: Mutation) -> Mutation:
        return mutation._replace(pieces=tuple(new for old in mutation.pieces for new in known.get(old, (old,))))

    return [step._replace(mutations=tuple(replaced(mutation) for mutation in step.mutations)) for step in steps]
