"""What the mappings of RouteMatch's fields contribute to: keys, guards and conditions of one route."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from translators.expr import ALWAYS, NEVER, Expr
from translators.path_key import ANY_PATH, DECODED, PathMatch, PathView

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.where import Where


@dataclass(slots=True)
class MatchDraft:
    """The translation of a RouteMatch under construction.

    Attributes:
        at: where the match stands that was translated; others may be equal.
        view: what path conditions look at.
        is_proto_overwritten: Envoy sets x-forwarded-proto itself before it chooses the route.
        path: the path condition.
        conditions: on anything but the path.
        methods: as in route.methods; empty = all.
        is_exact: false when a condition could not be expressed and is left out: what stands here matches more.
        is_possible: false when no request can match.
        colliding_headers: matched headers whose name another header can take over (`-` and `_` are one in nginx).
    """

    at: Where
    view: PathView = DECODED
    is_proto_overwritten: bool = False
    path: PathMatch = ANY_PATH
    conditions: list[Expr] = field(default_factory=list)
    methods: tuple[str, ...] = ()
    is_exact: bool = True
    is_possible: bool = True
    colliding_headers: list[Where] = field(default_factory=list)

    def require(self, condition: Expr) -> None:
        """Add a condition."""
        if condition == NEVER:
            self.is_possible = False
        elif condition != ALWAYS:
            self.conditions.append(condition)

    def require_path(self, path: PathMatch | None) -> None:
        """Set the path condition; None when no path matches."""
        if path is None:
            self.is_possible = False
        else:
            self.path = path

    def collisions(self, at: Where) -> list[Where]:
        """Give the places of the colliding headers in a match that stands here and is equal to the translated one."""
        skipped = len(self.at.path)
        return [at._replace(path=at.path + place.path[skipped:]) for place in self.colliding_headers]

    def widen(self, code: str, at: Where, findings: Findings, **details: str) -> None:
        """Leave a condition out and say so; unless the operator accepts that, the match is no longer exact."""
        if findings.blocks(code, at, **details):
            self.is_exact = False
