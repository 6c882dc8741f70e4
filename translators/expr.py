"""The expression cookbook: typed constructors for lua-resty-expr over `ctx.var` (mapping.md section 3).

An expression is what stands in `vars`, `_meta.filter`, `traffic-split.match` and `workflow.case`. A variable that does
not exist is nil: every operator but `~=` and the negated ones is false on it. The constructors hide the traps: logic
operators need two operands, `$` matches before a final newline, a number on the right side turns both sides into
numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from translators.hexrange import hexrange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

Expr: TypeAlias = tuple[Any, ...]

ALWAYS: Expr = ("uri", "~~", "")
"""Holds for every request; `all_of` drops it."""
NEVER: Expr = ("uri", "!", "~~", "")
"""Holds for no request; `any_of` drops it."""

SHARE_UNITS = 16**4
_SHARE_DIGITS = 4
_NEGATED_LOGIC = {"AND": "!AND", "!AND": "AND", "OR": "!OR", "!OR": "OR"}
_NEGATED_COMPARISON = {"==": "~=", "~=": "=="}
_UNESCAPED = re.compile(r"[^0-9A-Za-z_/\x80-\U0010ffff-]")
_MIN_OPERANDS = 2
_COSTS = {"~~": 3, "~*": 3, "ipmatch": 2}


def escape(text: str) -> str:
    """Escape a literal for PCRE: every ASCII character but letters, digits, `_`, `/` and `-`."""
    return _UNESCAPED.sub(lambda found: "\\" + found.group(), text)


def present(variable: str) -> Expr:
    """Hold when the variable exists, even if it is empty."""
    return (variable, "~~", ".*")


def absent(variable: str) -> Expr:
    """Hold when the variable does not exist."""
    return (variable, "!", "~~", ".*")


def equals(variable: str, value: str, *, ignore_case: bool = False) -> Expr:
    """Hold when the variable is exactly this text."""
    return (variable, "~*", rf"\A{escape(value)}\z") if ignore_case else (variable, "==", value)


def differs(variable: str, value: str) -> Expr:
    """Hold when the variable is another text or does not exist."""
    return (variable, "~=", value)


def one_of(variable: str, values: Sequence[str]) -> Expr:
    """Hold when the variable is one of these texts."""
    return equals(variable, values[0]) if len(values) == 1 else (variable, "in", tuple(values))


def prefix(variable: str, text: str, *, ignore_case: bool = False) -> Expr:
    """Hold when the variable begins with this text."""
    return matches(variable, rf"\A{escape(text)}", ignore_case=ignore_case)


def suffix(variable: str, text: str, *, ignore_case: bool = False) -> Expr:
    """Hold when the variable ends with this text."""
    return matches(variable, rf"{escape(text)}\z", ignore_case=ignore_case)


def contains(variable: str, text: str, *, ignore_case: bool = False) -> Expr:
    """Hold when the variable contains this text."""
    return matches(variable, escape(text), ignore_case=ignore_case)


def safe_regex(variable: str, pcre: str) -> Expr:
    """Hold when the whole variable matches, as RE2's FullMatch; the regex comes from `translators.regex`."""
    return matches(variable, rf"\A(?s:{pcre})\z")


def matches(variable: str, pcre: str, *, ignore_case: bool = False) -> Expr:
    """Hold when a PCRE is found anywhere in the variable."""
    return (variable, "~*" if ignore_case else "~~", pcre)


def integer_range(variable: str, start: int, end: int) -> Expr:
    """Hold when the variable is a decimal integer in [start, end); `5.5`, `0x5` and ` 5 ` are none."""
    return ("AND", matches(variable, r"\A[+-]?\d+\z"), (variable, ">=", start), (variable, "<", end))


def ip_match(variable: str, ranges: Sequence[str]) -> Expr:
    """Hold when the variable is an IP address in one of the ranges (addresses or CIDR)."""
    return (variable, "ipmatch", tuple(ranges))


def share(start: int, end: int, total: int, *, skipped_digits: int = 0) -> Expr:
    """Hold for the share [start, end) of `total` of all requests, the same draw for everyone who skips as many digits.

    Args:
        start: begin of the range, 0..total.
        end: end of the range, start..total.
        total: what 100 % is.
        skipped_digits: 0 for runtime fractions, 4 for weighted clusters, 8 for mirrors and faults, so that the three
            draws are independent.

    Returns:
        An expression with a granularity of 1/65536; `ALWAYS` for everything, `NEVER` for nothing. A share between is
        never rounded to either.
    """
    if start >= end:
        return NEVER
    if start <= 0 and end >= total:
        return ALWAYS
    first = round(start * SHARE_UNITS / total)
    last = round(end * SHARE_UNITS / total)
    if first >= last:
        first, last = (first, first + 1) if first < SHARE_UNITS else (first - 1, first)
    if (first, last) == (0, SHARE_UNITS):
        first, last = (1, last) if start > 0 else (0, last - 1)
    skipped = f".{{{skipped_digits}}}" if skipped_digits else ""
    return matches("request_id", rf"\A{skipped}(?:{hexrange(first, last, _SHARE_DIGITS)})")


def fraction(numerator: int, denominator: int, *, skipped_digits: int = 0) -> Expr:
    """Hold for numerator/denominator of all requests; see `share`."""
    return share(0, numerator, denominator, skipped_digits=skipped_digits)


def negate(expr: Expr) -> Expr:
    """Hold when the expression does not."""
    if expr[0] in _NEGATED_LOGIC:
        return (_NEGATED_LOGIC[expr[0]], *expr[1:])
    if expr[1] == "!":
        return (expr[0], *expr[2:])
    if expr[1] in _NEGATED_COMPARISON and isinstance(expr[2], str):
        return (expr[0], _NEGATED_COMPARISON[expr[1]], expr[2])
    return (expr[0], "!", *expr[1:])


def bound(expr: Expr, unknown: AbstractSet[str], *, is_upper: bool) -> Expr:
    """Give what holds at least, or at most, where the expression does, whatever some variables are.

    Args:
        expr: the expression.
        unknown: names of variables of which nothing is known.
        is_upper: the bound holds wherever the expression may hold; else the expression holds wherever the bound does.
    """
    if expr[0] in ("AND", "OR"):
        members = [bound(member, unknown, is_upper=is_upper) for member in expr[1:]]
        return all_of(members) if expr[0] == "AND" else any_of(members)
    if expr[0] in _NEGATED_LOGIC:
        return negate(bound(negate(expr), unknown, is_upper=not is_upper))
    if expr[0] not in unknown:
        return expr
    return ALWAYS if is_upper else NEVER


def assume_absent(expr: Expr, missing: AbstractSet[str]) -> Expr:
    """Give what an expression comes to when some variables do not exist.

    Args:
        expr: the expression.
        missing: names of the variables.
    """
    if expr[0] in ("AND", "OR"):
        members = [assume_absent(member, missing) for member in expr[1:]]
        return all_of(members) if expr[0] == "AND" else any_of(members)
    if expr[0] in _NEGATED_LOGIC:
        return negate(assume_absent(negate(expr), missing))
    if expr[0] not in missing:
        return expr
    return ALWAYS if expr[1] in ("!", "~=") else NEVER


def variables(expr: Expr) -> Iterator[str]:
    """Give the variables that an expression looks at."""
    if expr[0] not in _NEGATED_LOGIC:
        yield expr[0]
        return
    for member in expr[1:]:
        yield from variables(member)


def all_of(exprs: Iterable[Expr]) -> Expr:
    """Hold when all hold; `ALWAYS` when there is none."""
    kept: list[Expr] = []
    for expr in exprs:
        kept.extend(expr[1:] if expr[0] == "AND" else (expr,))
    kept = _unique(kept, dropped=ALWAYS)
    if NEVER in kept or _contradicts(kept):
        return NEVER
    return _joined("AND", kept, ALWAYS)


def any_of(exprs: Iterable[Expr]) -> Expr:
    """Hold when at least one holds; `NEVER` when there is none."""
    kept: list[Expr] = []
    for expr in exprs:
        kept.extend(expr[1:] if expr[0] == "OR" else (expr,))
    kept = _unique(kept, dropped=NEVER)
    if ALWAYS in kept:
        return ALWAYS
    return _joined("OR", kept, NEVER)


def conjuncts(exprs: Iterable[Expr]) -> list[Expr]:
    """Give the list that stands in `vars`: the members of nested conjunctions, once each, cheapest first.

    Comparisons come before address lists, these before regular expressions and logic, `server_port` before all.
    """
    joined = all_of(exprs)
    members = list(joined[1:]) if joined[0] == "AND" else [] if joined == ALWAYS else [joined]
    return sorted(members, key=_cost)


def _unique(exprs: list[Expr], dropped: Expr) -> list[Expr]:
    kept: list[Expr] = []
    for expr in exprs:
        if expr != dropped and expr not in kept:
            kept.append(expr)
    return kept


def _contradicts(exprs: list[Expr]) -> bool:
    """Tell whether one variable would have to be two texts."""
    exact: dict[str, str] = {}
    for expr in exprs:
        if expr[1] == "==" and isinstance(expr[2], str) and exact.setdefault(expr[0], expr[2]) != expr[2]:
            return True
    return any(expr[1] == "in" and exact.get(expr[0], expr[2][0]) not in expr[2] for expr in exprs)


def _joined(operator: str, exprs: list[Expr], empty: Expr) -> Expr:
    if len(exprs) < _MIN_OPERANDS:
        return exprs[0] if exprs else empty
    return (operator, *exprs)


def _cost(expr: Expr) -> int:
    if expr[0] == "server_port":
        return 0
    if expr[0] in _NEGATED_LOGIC:
        return 4
    operator = expr[2] if expr[1] == "!" else expr[1]
    return _COSTS.get(operator, 1)
