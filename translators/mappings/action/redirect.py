"""Source: Route.redirect (RedirectAction).

Target: fault-injection.abort with a Location; proxy-rewrite before it where the path is rewritten.
Fidelity: E; A for prefix_rewrite and regex_rewrite, which work on the decoded path.
Differs: where a port is taken off or replaced, the host in Location is in lower case.
Diagnostics: RA-REDIRECT, RT-REGEX.
See: mapping.md sections 5.8, 14.12 and 14.13; Envoy's Http::Utility::newUri.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.records import Severity
from translators.block import abort
from translators.diagnostics import DiagnosticClass
from translators.expr import equals, matches
from translators.format_string import FormatError, Piece, Text, Variable, render
from translators.mappings.action.prefix_rewrite import prefix_pair, rewrite_prefix, substitution
from translators.mappings.action.regex_rewrite import regex_pair
from translators.route_draft import RouteDraft

if TYPE_CHECKING:
    from typing import Any

    from schemas import xds
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.route_context import RouteContext
    from translators.where import Where

STATUSES = {0: 301, 1: 302, 2: 303, 3: 307, 4: 308}
"""RedirectAction.RedirectResponseCode."""
_WITHOUT_QUERY = [r"(?s)\A([^?]*).*\z", "${1}"]
_DEFAULT_PORTS = (("http", 80), ("https", 443))
"""Scheme of the request -> its default port, which goes from the Host when the scheme changes."""

AS_RECEIVED: tuple[Piece, ...] = (Variable("real_request_uri"),)


@dataclass(frozen=True, slots=True)
class Redirect:
    """One answer of a redirect; see Part.

    Attributes:
        plugins: what answers.
        status: its status.
        suffix: tells the answers apart.
        conditions: when this one is given.
    """

    plugins: dict[str, Any]
    status: int
    suffix: str = ""
    conditions: tuple[Expr, ...] = ()


def redirects(route: xds.Message, context: RouteContext, at: Where, findings: Findings) -> list[Redirect] | None:
    """Give the answers of a redirect, the last without conditions; None, with a diagnostic, if it has no counterpart.

    Args:
        route: a Route with a redirect.
        context: what surrounds it.
        at: the redirect.
        findings: receives the diagnostics.
    """
    action = route.redirect
    draft = RouteDraft(route, context)
    path = _path(action, draft, at, findings)
    if path is None:
        return None
    status = STATUSES.get(action.response_code, STATUSES[0])
    scheme = _scheme(action)
    hosts: list[tuple[str, tuple[Expr, ...], list[Piece]]] = [("", (), _host(action))]
    if isinstance(scheme, Text) and not action.host_redirect and not action.port_redirect:
        # Envoy compares the scheme as it is written: `HTTP` is another than `http`.
        dropped = [(request, port) for request, port in _DEFAULT_PORTS if request != scheme.text]
        hosts[:0] = [
            (f"port{port}", (equals("scheme", request), matches("http_host", rf":{port}\z")), [Variable("host")])
            for request, port in dropped
        ]
    found: list[Redirect] = []
    for suffix, required, host in hosts:
        try:
            location = render([scheme, Text("://"), *host, *path])
        except FormatError as error:
            findings.report("RA-REDIRECT", at, value=str(error))
            return None
        found.append(Redirect(_plugins(status, location, draft), status, suffix, required))
    return found


def path_behind(action: xds.Message) -> tuple[Piece, ...]:
    """Give what `:path` has become when Envoy mutates the answer: rewrites have been done to it, other changes not."""
    if action.WhichOneof("path_rewrite_specifier") not in ("prefix_rewrite", "regex_rewrite"):
        return AS_RECEIVED
    if action.prefix_rewrite and action.strip_query:
        return (Variable("upstream_uri"), Variable("is_args", may_be_empty=True), Variable("args", may_be_empty=True))
    return (Variable("upstream_uri"),)


def _plugins(status: int, location: str, draft: RouteDraft) -> dict[str, Any]:
    if not draft.uri and not draft.regex_uri:
        return abort(status, "", {"Location": location})
    rewrite: dict[str, Any] = {"uri": draft.uri} if draft.uri else {"regex_uri": draft.regex_uri}
    if draft.is_raw:
        rewrite["use_real_request_uri_unsafe"] = True
    return {"proxy-rewrite": rewrite, **abort(status, "", {"Location": location}, is_after_rewrite=True)}


def _scheme(action: xds.Message) -> Piece:
    if action.scheme_redirect:
        return Text(action.scheme_redirect)
    return Text("https") if action.https_redirect else Variable("scheme")


def _host(action: xds.Message) -> list[Piece]:
    port = [Text(f":{action.port_redirect}")] if action.port_redirect else []
    if action.host_redirect:
        return [Text(action.host_redirect), *port]
    return [Variable("host" if port else "http_host"), *port]


def _path(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> list[Piece] | None:
    kind = action.WhichOneof("path_rewrite_specifier")
    if kind == "path_redirect" and action.path_redirect:
        return _literal_path(action.path_redirect, strips_query=action.strip_query)
    rewritten: list[Piece] = [Variable("upstream_uri")]
    if kind == "prefix_rewrite" and action.prefix_rewrite:
        if action.strip_query:
            draft.regex_uri, draft.is_raw = _raw_prefix_pairs(draft, action.prefix_rewrite), True
        else:
            rewrite_prefix(action.prefix_rewrite, draft)
        return rewritten
    if kind == "regex_rewrite":
        return rewritten if _rewrite_regex(action, draft, at.field("regex_rewrite"), findings) else None
    if action.strip_query:
        draft.regex_uri, draft.is_raw = list(_WITHOUT_QUERY), True
        return rewritten
    return [Variable("real_request_uri")]


def _literal_path(path: str, *, strips_query: bool) -> list[Piece]:
    literal = Text(path if path.startswith("/") else f"/{path}")
    if "?" in path or strips_query:
        return [literal]
    return [literal, Variable("is_args"), Variable("args")]


def _raw_prefix_pairs(draft: RouteDraft, new: str) -> list[str]:
    """Rewrite on the raw path, where the query can be cut off; a path that is written in another way keeps its form."""
    match = draft.route.match
    kind = match.WhichOneof("path_specifier")
    if kind not in ("prefix", "path_separated_prefix"):
        return [r"(?s)\A.*\z", substitution(new)]
    is_case_sensitive = not match.HasField("case_sensitive") or match.case_sensitive.value
    pattern, replacement = prefix_pair(getattr(match, kind), new, is_case_sensitive=is_case_sensitive)
    return [pattern.replace(r"(.*)\z", r"([^?]*).*\z"), replacement, *_WITHOUT_QUERY]


def _rewrite_regex(action: xds.Message, draft: RouteDraft, at: Where, findings: Findings) -> bool:
    pair = regex_pair(action.regex_rewrite, at, findings)
    if pair is None:
        findings.report("RA-REDIRECT", at, value=action.regex_rewrite.pattern.regex)
        return False
    if action.strip_query:
        findings.report(
            "RA-REDIRECT",
            at,
            effect="the query is kept",
            remedy="use prefix_rewrite or path_redirect",
            severity=Severity.WARN,
            diagnostic_class=DiagnosticClass.APPROXIMATED,
        )
    draft.regex_uri = pair
    return True
