"""Conditions of which a part cannot be expressed: bounds from both sides, so that who restricts can fail closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from translators.expr import ALWAYS, NEVER, Expr, all_of, any_of, negate

if TYPE_CHECKING:
    from collections.abc import Iterable


class Approximation(NamedTuple):
    """A condition between two expressions.

    Attributes:
        under: holds only for requests that meet the condition.
        over: holds for all requests that meet it.
    """

    under: Expr
    over: Expr


HOLDS = Approximation(ALWAYS, ALWAYS)
FAILS = Approximation(NEVER, NEVER)
UNKNOWN = Approximation(NEVER, ALWAYS)
OPENED = Approximation(ALWAYS, NEVER)
"""A condition that the operator gave up by policy: whoever restricts by it, restricts nothing."""


def exactly(expr: Expr) -> Approximation:
    """Give a condition that can be expressed."""
    return Approximation(expr, expr)


def both(parts: Iterable[Approximation]) -> Approximation:
    """Give the condition that all parts hold."""
    known = list(parts)
    return Approximation(all_of(part.under for part in known), all_of(part.over for part in known))


def either(parts: Iterable[Approximation]) -> Approximation:
    """Give the condition that at least one part holds."""
    known = list(parts)
    return Approximation(any_of(part.under for part in known), any_of(part.over for part in known))


def opposite(part: Approximation) -> Approximation:
    """Give the condition that the part does not hold."""
    return Approximation(negate(part.over), negate(part.under))
