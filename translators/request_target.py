"""Conditions on `:path`, the request target with its query, as Envoy has normalised it before it matches.

Nginx has the path normalised (`uri`) and the whole target as it came (`real_request_uri`), but nothing that is both.
Envoy normalises paths and leaves queries alone, so that a text is looked for in `uri` as far as it is a path, and in
the target as it came as far as it is a query (mapping.md section 5.5.1, which looks at the latter only).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translators.expr import all_of, any_of, contains, equals, escape, matches, prefix, safe_regex, suffix
from translators.path_key import occurs_normalised

if TYPE_CHECKING:
    from translators.expr import Expr

TARGET, PATH = "real_request_uri", "uri"
_TO_QUERY = r"\A[^?]*\?"
_HAS_QUERY, _HAS_NO_QUERY = matches(TARGET, r"\?"), matches(TARGET, r"\A[^?]*\z")
UNNORMALISED_WITH_QUERY = matches(TARGET, r"\A[^?]*(?:%|//|/\.)[^?]*\?")
"""Targets of which a regex over path and query cannot be told: it would have to look at two variables at once."""


def literal_condition(kind: str, text: str, *, ignore_case: bool = False) -> Expr | None:
    """Give the condition of a text.

    Args:
        kind: `exact`, `prefix`, `suffix` or `contains`.
        text: not empty.
        ignore_case: of both.

    Returns:
        None when the text holds what no normalised path does: then it is to be compared with the target as it came.
    """
    path, mark, query = text.partition("?")
    if not occurs_normalised(path):
        return None
    tests = {"exact": equals, "prefix": prefix, "suffix": suffix, "contains": contains}
    if mark:
        of_path = (equals if kind in ("exact", "prefix") else suffix)(PATH, path, ignore_case=ignore_case)
        found = all_of((of_path, _in_query("", query, kind, ignore_case=ignore_case)))
    else:
        found = tests[kind](PATH, text, ignore_case=ignore_case)
        found = all_of((found, _HAS_NO_QUERY)) if kind in ("exact", "suffix") else found
    if kind in ("exact", "prefix"):
        return found
    return any_of((found, _in_query(".*", text, kind, ignore_case=ignore_case)))


def _in_query(before: str, text: str, kind: str, *, ignore_case: bool) -> Expr:
    end = r"\z" if kind in ("exact", "suffix") else ""
    return matches(TARGET, f"{_TO_QUERY}{before}{escape(text)}{end}", ignore_case=ignore_case)


def regex_condition(pcre: str) -> Expr:
    """Give the condition of a regex; it is exact but for UNNORMALISED_WITH_QUERY."""
    without = all_of((_HAS_NO_QUERY, safe_regex(PATH, pcre)))
    return any_of((without, all_of((_HAS_QUERY, safe_regex(TARGET, pcre)))))
