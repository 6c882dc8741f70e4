"""A model of APISIX's `radixtree_host_uri` router and of lua-resty-expr, written from their sources.

apisix/http/router/radixtree_host_uri.lua, lua-resty-radixtree 2.9 (`match_route`, `compare_param`, `fetch_pat`) and
lua-resty-expr 1.3 (`compare_funcs`). Routes of equal rank are tried in an order that the caller chooses, because nodes
differ in it.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"}
_LOGIC = {"AND", "OR", "!AND", "!OR"}
_SKIPPED = re.compile(r"\\A(?:\.\{(\d+)\})?\(")


class RequestId(str):
    """A request id that keeps in mind which groups of four digits expressions have looked at.

    Attributes:
        asked: their numbers, in the order of the first look.
    """

    __slots__ = ("asked",)

    def __new__(cls, digits: str) -> Self:
        """Start with nothing asked."""
        made = super().__new__(cls, digits)
        made.asked = {}
        return made

    def note(self, pattern: str) -> None:
        """Note that a pattern looks at a group."""
        found = _SKIPPED.match(pattern)
        assert found is not None, pattern
        self.asked[int(found[1] or 0) // 4] = None

    asked: dict[int, None]


@dataclass(frozen=True)
class Request:
    """What nginx and APISIX know of a request when routes are matched.

    `uri` is decoded and normalised, `host` lower-case without port; `variables` holds all others by name.
    """

    host: str
    uri: str
    method: str = "GET"
    variables: dict[str, Any] = field(default_factory=dict)

    def variable(self, name: str) -> Any:
        known = {"host": self.host, "uri": self.uri, "request_method": self.method}
        return known[name] if name in known else self.variables.get(name)


@lru_cache(maxsize=100_000)
def pcre(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    r"""Compile a PCRE as Python reads it: `\z` is Python's `\Z`."""
    translated = re.sub(r"\\(.)", lambda found: r"\Z" if found[1] == "z" else found[0], pattern, flags=re.DOTALL)
    return re.compile(translated, re.IGNORECASE if ignore_case else 0)


def _number(value: Any) -> float | None:
    """Lua's tonumber."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        text = str(value).strip()
        return float(int(text, 16)) if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", text) else float(text)
    except ValueError:
        return None


def _compare(left: Any, operator: str, right: Any) -> bool:  # noqa: PLR0911 - one return per operator, as in the source
    if operator in ("==", "~="):
        if isinstance(right, (int, float)):
            number = _number(left)
            return operator == "~=" if number is None else (number == right) == (operator == "==")
        return (left == right) == (operator == "==")
    if operator in (">", ">=", "<", "<="):
        a, b = _number(left), _number(right)
        if a is None or b is None:
            return False
        return {">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}[operator]
    if operator in ("~~", "~*"):
        return left is not None and left is not False and _finds(left, right, operator)
    if operator == "in":
        return left in right
    assert operator == "ipmatch", f"operator {operator}"
    return any(ipaddress.ip_address(left) in ipaddress.ip_network(r, strict=False) for r in right)


def _finds(left: Any, pattern: str, operator: str) -> bool:
    if isinstance(left, RequestId):
        left.note(pattern)
    return pcre(pattern, ignore_case=operator == "~*").search(str(left)) is not None


def holds(expression: Any, request: Request) -> bool:
    """Evaluate one expression of `vars`."""
    if isinstance(expression[0], (list, tuple)):
        return all(holds(member, request) for member in expression)
    if str(expression[0]).upper() in _LOGIC:
        if len(expression) < 3:
            raise AssertionError("rule too short")
        operator = expression[0].upper()
        results = (holds(member, request) for member in expression[1:])
        found = all(results) if operator.endswith("AND") else any(results)
        return found != operator.startswith("!")
    if len(expression) == 4:
        if expression[1] != "!":
            raise AssertionError("bad 'not' expression")
        return not _compare(request.variable(expression[0]), expression[2], expression[3])
    name, operator, right = expression
    return _compare(request.variable(name), operator, right)


@lru_cache(maxsize=100_000)
def _parameter_pattern(path: str) -> re.Pattern[str] | None:
    """`fetch_pat`: the regex that a path with `:x` or `*` segments becomes; None when it has none."""
    pieces, has_names = path.split("/"), False
    while len(pieces) > 1 and pieces[-1] == "":
        pieces.pop()
    for index, piece in enumerate(pieces):
        if piece.startswith(":"):
            pieces[index], has_names = r"([^\/]+)", True
        elif piece.startswith("*"):
            pieces[index], has_names = r"((.|\n)*)", True
    if not has_names:
        return None
    try:
        return pcre(r"\/".join(pieces) + (r"\/" if path.endswith("/") else ""))
    except re.error:
        return re.compile(r"(?!)")


class Router:
    """Looks up routes as one APISIX worker does."""

    def __init__(self, routes: dict[str, dict[str, Any]]) -> None:
        """Build the router; routes of equal rank are tried in the order of the mapping."""
        self._buckets: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        for route_id, route in routes.items():
            for host in route.get("hosts", [""]):
                self._buckets[host].append((route_id, route))
        self._lists = {host: _lists(members) for host, members in self._buckets.items()}

    def find(self, request: Request) -> str | None:
        """Give the id of the route that takes a request."""
        for bucket in self._order(request.host):
            found = _find(self._lists[bucket], request)
            if found is not None:
                return found
        return None

    def _order(self, host: str) -> list[str]:
        wildcards = [b for b in self._buckets if b.startswith("*") and host.endswith(b[1:])]
        exact = [host] if host and host in self._buckets else []
        return [*exact, *sorted(wildcards, key=len, reverse=True), *([""] if "" in self._buckets else [])]


def _lists(members: list[tuple[str, dict[str, Any]]]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """Routes by key; the key of `/a*` is `/a*`, whatever follows the first `*`."""
    lists: dict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
    for route_id, route in members:
        for path in route.get("uris") or [route["uri"]]:
            key = path if "*" not in path else path.partition("*")[0] + "*"
            lists[key].append((path, route_id, route))
    for entries in lists.values():
        entries.sort(key=lambda entry: (-entry[2].get("priority", 0), -len(entry[0])))
    return lists


def _find(lists: dict[str, list[tuple[str, str, dict[str, Any]]]], request: Request) -> str | None:
    for path, route_id, route in lists.get(request.uri, []):
        if path == request.uri and "*" not in path and _admits(route, request):
            return route_id
    for length in range(len(request.uri), -1, -1):
        for path, route_id, route in lists.get(request.uri[:length] + "*", []):
            if _admits(route, request) and _compare_param(path, request.uri):
                return route_id
    return None


def _compare_param(path: str, uri: str) -> bool:
    pattern = _parameter_pattern(path)
    if pattern is None:
        return True
    found = pattern.search(uri)
    return found is not None and found.group() == uri


def _admits(route: dict[str, Any], request: Request) -> bool:
    if route.get("methods") and request.method not in route["methods"]:
        return False
    return all(holds(expression, request) for expression in route.get("vars", []))
