"""Source: Route.direct_response (DirectResponseAction).

Target: fault-injection.abort.
Fidelity: E; A for body_format.
Differs: nginx appends `; charset=utf-8` to text types.
Diagnostics: SEC-SOURCE, HDR-FORMAT.
See: mapping.md sections 5.9 and 14.15.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from translators.block import UNAVAILABLE, abort
from translators.format_string import FormatError, escape_text, parse, render

if TYPE_CHECKING:
    from typing import Any

    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_LOWEST_STATUS = 200
REQUEST_URL = "${scheme}://${http_host}${real_request_uri}"


def direct_response(answer: xds.Message, at: Where, findings: Findings) -> dict[str, Any]:
    """Give the plugin that answers.

    Args:
        answer: the DirectResponseAction.
        at: where it stands.
        findings: receives the diagnostics.
    """
    body = _body(answer.body, at.field("body"), findings)
    headers = {}
    template = escape_text(body)
    content_type = "text/plain"
    if answer.HasField("body_format"):
        template, content_type = _formatted(answer, body, at.field("body_format"), findings)
    if template:
        headers["Content-Type"] = content_type
    if answer.status == HTTPStatus.CREATED or HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        headers["Location"] = REQUEST_URL
    if answer.status < _LOWEST_STATUS:
        findings.report("CFG-INVALID", at.field("status"), value=str(answer.status), effect="the route answers 503")
        return abort(UNAVAILABLE)
    return abort(answer.status, template, headers)


def _body(source: xds.Message, at: Where, findings: Findings) -> str:
    kind = source.WhichOneof("specifier")
    if kind == "inline_string":
        return str(source.inline_string)
    if kind == "inline_bytes":
        try:
            return bytes(source.inline_bytes).decode()
        except UnicodeDecodeError:
            findings.report("SEC-SOURCE", at, effect="the body is empty", remedy="give a body in UTF-8")
    elif kind is not None:
        findings.report("SEC-SOURCE", at.field(kind), effect="the body is empty", remedy="give the body inline")
    return ""


def _formatted(answer: xds.Message, body: str, at: Where, findings: Findings) -> tuple[str, str]:
    style = answer.body_format
    kind = style.WhichOneof("format")
    text = style.text_format if kind == "text_format" else None
    if kind == "text_format_source":
        text = _body(style.text_format_source, at.field(kind), findings)
    content_type = style.content_type or "text/plain"
    known = {"LOCAL_REPLY_BODY": body, "RESPONSE_CODE": str(answer.status)}
    problem = f"{kind} is not translated"
    if text is not None:
        try:
            return render(parse(text, "request", known)), content_type
        except FormatError as error:
            problem = str(error)
    findings.report("HDR-FORMAT", at, value=problem, effect="the body is sent without its format")
    return escape_text(body), content_type
