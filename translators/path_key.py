"""From a path condition to keys of the APISIX router and guards (mapping.md section 8, step 2).

A key is a `uri` as APISIX reads it: `/a` matches exactly, `/a*` every path that begins with `/a`. Keys decide where in
the router a route is tried; what a key cannot say is said by a guard, an expression over the path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from translators.expr import Expr, equals, escape, matches

if TYPE_CHECKING:
    from translators.regex import Regex

EVERYTHING = "/*"
MAX_URI_CHARS = 4096
_PARAMETER_SEGMENT = re.compile(r"(?:\A|/)[:*]")
_META = re.compile(r"[+?()\[\]{}^$|\\]")
_NEVER_WITHIN_NORMALISED = re.compile(r"%|//|/\.\.?/")
_NEVER_NORMALISED = re.compile(r"%|//|/\.\.?(?:/|\Z)")


class PathView(NamedTuple):
    """What of the request a path condition looks at.

    Attributes:
        variable: `uri` = decoded and normalised by nginx; `real_request_uri` = as received, with the query.
        stops: characters that end the path: `?` of a raw path, `;` where path parameters are ignored.
    """

    variable: str = "uri"
    stops: str = ""

    def raw(self) -> PathView:
        """The same path as received."""
        return self if self.variable == "real_request_uri" else PathView("real_request_uri", self.stops + "?")

    def end(self, further: str = "") -> str:
        """A PCRE for the place where the path ends, or where one of the further characters stands."""
        stops = further + self.stops
        return rf"(?:[{stops}]|\z)" if stops else r"\z"


DECODED = PathView()
RAW = DECODED.raw()


class PathMatch(NamedTuple):
    """A path condition.

    Attributes:
        keys: under which a route is registered; every path that matches is under one of them.
        guard: what the keys leave open, `()` when they are exact.
        flat_guard: the whole condition, for a route that is registered under `/*`.
    """

    keys: tuple[str, ...] = (EVERYTHING,)
    guard: tuple[Expr, ...] = ()
    flat_guard: tuple[Expr, ...] = ()


ANY_PATH = PathMatch()


def occurs_normalised(text: str) -> bool:
    """Tell whether a text can be found within nginx's normalised paths."""
    return _NEVER_WITHIN_NORMALISED.search(text) is None


def is_safe(prefix: str) -> bool:
    """Tell whether the uri `prefix*` matches exactly the paths that begin with `prefix`.

    The router rebuilds a regex from the uri, without escaping, when a segment starts with `:` or `*`, which is always
    so for a uri that ends in `/*`.
    """
    if "*" in prefix or len(prefix) >= MAX_URI_CHARS or _PARAMETER_SEGMENT.search(prefix):
        return False
    return not (prefix.endswith("/") and _META.search(prefix))


def safe_prefix(prefix: str) -> str:
    """Cut a prefix to the longest one that is safe."""
    cut = prefix[: MAX_URI_CHARS - 1].partition("*")[0]
    parameter = _PARAMETER_SEGMENT.search(cut)
    if parameter:
        cut = cut[: parameter.end() - 1]
    while cut.endswith("/") and _META.search(cut):
        cut = cut[:-1]
    return cut or "/"


@lru_cache(maxsize=8192)  # the same paths occur in many units
def begins_with(text: str, view: PathView = DECODED, *, ignore_case: bool = False) -> PathMatch | None:
    """Paths that begin with a text (RouteMatch.prefix); None when no path does."""
    if text in ("", "/"):
        return ANY_PATH
    if not text.startswith("/"):
        return None
    view, guard = _guarded(text, view, None, ignore_case=ignore_case)
    if ignore_case or view.variable != "uri":
        return PathMatch((EVERYTHING,), guard, guard)
    if is_safe(text):
        return PathMatch((f"{text}*",), (), guard)
    return PathMatch((f"{safe_prefix(text)}*",), guard, guard)


@lru_cache(maxsize=8192)  # the same paths occur in many units
def is_exactly(text: str, view: PathView = DECODED, *, ignore_case: bool = False) -> PathMatch | None:
    """One path (RouteMatch.path); None when no path is this one."""
    if not text.startswith("/"):
        return None
    view, guard = _guarded(text, view, "", ignore_case=ignore_case)
    if ignore_case or view.variable != "uri":
        return PathMatch((EVERYTHING,), guard, guard)
    if view.stops:
        return PathMatch((f"{safe_prefix(text)}*",), guard, guard)
    guard = (equals("uri", text),)
    if "*" in text or len(text) > MAX_URI_CHARS:
        return PathMatch((f"{safe_prefix(text)}*",), guard, guard)
    return PathMatch((text,), (), guard)


@lru_cache(maxsize=8192)  # the same paths occur in many units
def is_at_or_below(text: str, view: PathView = DECODED, *, ignore_case: bool = False) -> PathMatch | None:
    """A path and everything below it (RouteMatch.path_separated_prefix); None when no path is."""
    if not text.startswith("/"):
        return None
    view, guard = _guarded(text, view, "/", ignore_case=ignore_case)
    if ignore_case or view.variable != "uri":
        return PathMatch((EVERYTHING,), guard, guard)
    if not view.stops and is_safe(f"{text}/"):
        return PathMatch((text, f"{text}/*"), (), guard)
    return PathMatch((f"{safe_prefix(text)}*",), guard, guard)


def matches_regex(regex: Regex, view: PathView = DECODED) -> PathMatch:
    """Paths that match a regex in full; the regex was translated with the view's stops excluded."""
    guard = (matches(view.variable, rf"\A(?s:{regex.pcre}){view.end()}"),)
    prefix = regex.literal_prefix
    if view.variable != "uri" or not prefix.startswith("/"):
        return PathMatch((EVERYTHING,), guard, guard)
    return PathMatch((f"{safe_prefix(_normalised_part(prefix))}*",), guard, guard)


def _guarded(text: str, view: PathView, further: str | None, *, ignore_case: bool) -> tuple[PathView, tuple[Expr, ...]]:
    """Give the view in which the text can be found at all, and the guard over it.

    A literal with an escape, a double slash or a dot segment never occurs in nginx's normalised path, so it is compared
    with the path as received. `further` = characters that may end the text besides the path's end; None = anything.
    """
    never = _NEVER_WITHIN_NORMALISED if further is None else _NEVER_NORMALISED
    if never.search(text):
        view = view.raw()
    end = "" if further is None else view.end(further)
    return view, (matches(view.variable, rf"\A{escape(text)}{end}", ignore_case=ignore_case),)


def _normalised_part(prefix: str) -> str:
    """Give the part of a regex's literal prefix that nginx's normalisation leaves alone."""
    found = _NEVER_NORMALISED.search(prefix)
    return prefix[: found.start()] if found else prefix
