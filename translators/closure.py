"""Make Envoy's first match hold in APISIX's router: shadow removal, key closure, priorities (mapping.md section 8).

The router tries the exact key of a path first, then its prefix keys from longest to shortest; `priority` orders only
the routes under one key. So an earlier, wider, conditional route is also registered under every later, more specific
key that lies within its own, with a higher priority there.

Why that is right: let rule i stand before rule j, and a request match both. At the key where j is first tried, either
i has been tried already under a deeper key, or i's own prefix key is a proper prefix of that key: then closure put i
under it too, with a higher priority. Adding keys never adds matches, since they lie within i's own and guards stay.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from translators.path_key import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from translators.expr import Expr
    from translators.path_key import PathMatch

MAX_KEYS_PER_RULE = 4
"""Mean number of keys above which the rules of a bucket are tried one after the other instead."""

MAX_REMEMBERED_RULES = 16
"""Longer lists are placed each time: they are seldom equal, and large."""


class Rule(NamedTuple):
    """One entry of a bucket's ordered list.

    Attributes:
        path: its own keys and guards.
        is_conditional: there are further conditions, the host aside.
        domain: in the host-less bucket, `prefix*`, `*:port` or `*`; in others always `*`. Rules stand in the order of
            their domains: ports, then prefixes from longest to shortest, then `*`.
    """

    path: PathMatch
    is_conditional: bool = False
    domain: str = "*"


class Placement(NamedTuple):
    """Where a rule stands in the router.

    Attributes:
        uris: all its keys, sorted.
        priority: higher is tried first under a shared key.
        guard: expressions over the path that the keys leave open.
    """

    uris: tuple[str, ...]
    priority: int
    guard: tuple[Expr, ...]


def place(rules: Sequence[Rule], max_added_keys: int, *, is_flat: bool = False) -> tuple[list[Placement | None], bool]:
    """Place the rules of one bucket.

    Args:
        rules: in the order of Envoy's first match.
        max_added_keys: keys that closure may add in the bucket before flat mode is used.
        is_flat: use flat mode anyway.

    Returns:
        A placement per rule, None for a rule that can never be reached; and whether flat mode was used.
    """
    # Virtual hosts of a few routes mostly have the paths of others, `/` alone above all.
    placed = _placed_before if len(rules) <= MAX_REMEMBERED_RULES else _placed
    placements, was_flat = placed(tuple(rules), max_added_keys, is_flat=is_flat)
    return list(placements), was_flat


def _placed(
    rules: tuple[Rule, ...], max_added_keys: int, *, is_flat: bool
) -> tuple[tuple[Placement | None, ...], bool]:
    is_live = _live(rules)
    keys = None if is_flat else _closure(rules, is_live, max_added_keys)
    if keys is None:
        return tuple(_flat(rules, is_live)), True
    priorities = _priorities(rules, keys)
    placements = [
        Placement(tuple(sorted(own)), priorities[i], rules[i].path.guard) if own else None for i, own in enumerate(keys)
    ]
    return tuple(placements), False


_placed_before = lru_cache(maxsize=1024)(_placed)


def _flat(rules: Sequence[Rule], is_live: list[bool]) -> list[Placement | None]:
    """Place every rule under `/*` with its whole path condition: the router scans them in order, as Envoy does."""
    placements: list[Placement | None] = []
    below = sum(is_live)
    for rule, live in zip(rules, is_live, strict=True):
        below -= live
        placements.append(Placement((EVERYTHING,), below, rule.path.flat_guard) if live else None)
    return placements


def _live(rules: Sequence[Rule]) -> list[bool]:
    """Tell which rules can be reached: not all of their keys lie within those of earlier unconditional rules."""
    covers: dict[str, _Cover] = {}
    live = []
    for rule in rules:
        cover = covers.setdefault(rule.domain, _Cover())
        is_live = not all(cover.holds(key) for key in rule.path.keys)
        live.append(is_live)
        if is_live and not rule.is_conditional and not rule.path.guard:
            for key in rule.path.keys:
                cover.add(key)
    return live


class _Cover:
    """The region of paths that earlier rules take entirely."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._prefixes: set[str] = set()
        self._lengths: list[int] = []

    def add(self, key: str) -> None:
        if not key.endswith("*"):
            self._exact.add(key)
            return
        self._prefixes.add(key[:-1])
        if len(key) - 1 not in self._lengths:
            insort(self._lengths, len(key) - 1)

    def holds(self, key: str) -> bool:
        if key in self._exact:
            return True
        literal = key.removesuffix("*")
        for length in self._lengths:  # in order, so the rest is longer than the key
            if length > len(literal):
                return False
            if literal[:length] in self._prefixes:
                return True
        return False


def _closure(rules: Sequence[Rule], is_live: list[bool], max_added_keys: int) -> list[set[str]] | None:
    """Give every live rule its keys and those of later rules within them; None when that is too many."""
    later: dict[str, list[tuple[str, str]]] = {}
    known: dict[str, set[str]] = {}
    keys: list[set[str]] = [set() for _ in rules]
    max_keys = MAX_KEYS_PER_RULE * sum(is_live)
    key_count = added_count = 0
    for i in range(len(rules) - 1, -1, -1):
        if not is_live[i]:
            continue
        rule = rules[i]
        own = set(rule.path.keys)
        for prefix in [key[:-1] for key in rule.path.keys if key.endswith("*")]:
            for group in _overlapping(rule.domain, later):
                own.update(_within(prefix, later[group]))
        key_count += len(own)
        added_count += len(own) - len(rule.path.keys)
        if key_count > max_keys or added_count > max_added_keys:
            return None
        keys[i] = own
        group_known = known.setdefault(rule.domain, set())
        for key in rule.path.keys:
            if key not in group_known:
                group_known.add(key)
                insort(later.setdefault(rule.domain, []), (key.removesuffix("*"), key))
    return keys


def _overlapping(domain: str, later: Mapping[str, object]) -> Iterable[str]:
    """Give the domains among those of later rules that take some host this one takes, itself included."""
    if domain == "*":  # all there is in the buckets of hosts, which are most
        return (domain,) if domain in later else ()
    if domain.startswith("*:"):
        return [other for other in later if other == domain or not other.startswith("*:")]
    shorter = (f"{domain[:length]}*" for length in range(len(domain)))
    return [other for other in shorter if other in later]


def _within(prefix: str, ordered: list[tuple[str, str]]) -> Iterator[str]:
    """Give the keys whose literal begins with the prefix."""
    for at in range(bisect_left(ordered, (prefix,)), len(ordered)):
        literal, key = ordered[at]
        if not literal.startswith(prefix):
            return
        yield key


def _priorities(rules: Sequence[Rule], keys: list[set[str]]) -> list[int]:
    """Layer the rules: each one above all later ones with which it shares a key and a host.

    Layers depend on what shares a key only, so an unrelated new route changes no other route's priority.
    """
    highest: dict[str, dict[str, int]] = {}
    priorities = [0] * len(rules)
    for i in range(len(rules) - 1, -1, -1):
        domain = rules[i].domain
        below = -1
        for group in _overlapping(domain, highest):
            by_key = highest[group]
            for key in keys[i]:
                below = max(below, by_key.get(key, -1))
        priorities[i] = below + 1
        mine = highest.setdefault(domain, {})
        for key in keys[i]:
            mine[key] = below + 1
    return priorities
