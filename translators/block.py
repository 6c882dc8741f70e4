"""Answers that APISIX gives itself: what fails closed, 404 of no route, redirects, direct responses.

All are aborts of the fault-injection plugin, which runs in the rewrite phase. The body is always given, else nginx
sends its own HTML page (mapping.md section 5.9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators.route_context import Part

if TYPE_CHECKING:
    from translators.expr import Expr

FORBIDDEN = 403
NOT_FOUND = 404
UNAVAILABLE = 503
FIRST_ERROR = 400
UNSET_STATUS = "0"
"""What %RESPONSE_CODE% is in Envoy while it mutates an answer of its own."""
_AFTER_PROXY_REWRITE = 100
"""A priority below proxy-rewrite's 1008: the answer sees the rewritten path."""


def abort(
    status: int, body: str = "", headers: dict[str, str] | None = None, *, is_after_rewrite: bool = False
) -> dict[str, Any]:
    """Give the plugin that answers.

    Args:
        status: HTTP status, 200..599.
        body: a template.
        headers: templates.
        is_after_rewrite: the templates need what proxy-rewrite has computed.
    """
    answer: dict[str, Any] = {"http_status": status, "body": body}
    if headers:
        answer["headers"] = headers
    plugin: dict[str, Any] = {"abort": answer}
    if is_after_rewrite:
        plugin["_meta"] = {"priority": _AFTER_PROXY_REWRITE}
    return {"fault-injection": plugin}


def denial(status: int, code: str) -> Part:
    """Give the part that stands in for one that cannot be kept as restricted as it was.

    Args:
        status: what clients see.
        code: the diagnostic that says why; the body names it, so that whoever hits it can look it up.
    """
    plugins = abort(status, f"blocked: {code}", {"Content-Type": "text/plain"})
    return Part(fields={"plugins": plugins}, is_blocking=True, is_local_reply=False)


def answer_part(plugins: dict[str, Any], status: int, *, suffix: str = "", conditions: tuple[Expr, ...] = ()) -> Part:
    """Give a part that answers by plugins alone; it blocks when its status is an error."""
    return Part(suffix=suffix, conditions=conditions, fields={"plugins": plugins}, is_blocking=status >= FIRST_ERROR)
