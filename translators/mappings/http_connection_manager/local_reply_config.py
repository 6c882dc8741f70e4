"""Source: HttpConnectionManager.local_reply_config (LocalReplyConfig, ResponseMapper).

Target: status, body and headers of every answer that a route of the unit gives itself: refusals of filters, redirects,
direct responses, 404 of no route.
Fidelity: A.
Differs: what nginx answers when an upstream fails or a request is malformed keeps its form, and so does what plugins
    refuse in their own words (keys, tokens, limits, external authorization); what closes a route because it cannot be
    kept as restricted as it was is no local reply of Envoy and is not formed; variables in a JSON body are not
    escaped; header filters see the request as the client sent it; mutations of redirects and direct responses come
    after the headers of a mapper.
Diagnostics: HCM-LOCALREPLY.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from translators.block import UNSET_STATUS
from translators.expr import ALWAYS, NEVER, all_of, any_of, fraction
from translators.format_string import FormatError, escape_text, parse, render
from translators.header_step import ADD_IF_ABSENT, OVERWRITE_IF_EXISTS
from translators.mappings.match.headers import header_condition
from translators.mappings.match.runtime_fraction import DENOMINATORS
from translators.regex import RegexError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from translators.connection import ConnectionDraft
    from translators.expr import Expr
    from translators.findings import Findings
    from translators.route_context import Part
    from translators.where import Where

_BODY = "\x00"
"""Stands for the body of the answer, a template, until the format around it is one too."""
_EQUAL, _AT_LEAST, _AT_MOST, _NOT_EQUAL = 0, 1, 2, 3
_INLINE = ("inline_string", "inline_bytes")
_LOWEST_STATUS = 200
_CONTENT_TYPE = "content-type"
_DEFAULT_TYPE = ("Content-Type", "text/plain")
"""What Envoy writes last, where nothing else has set a type."""
_ELSEWHERE = (
    "answers to failing upstreams and malformed requests keep the form that nginx gives them, and refusals of keys, "
    "tokens, limits and external authorization the status, headers and words of the plugin; headers of a mapper come "
    "before the mutations of the route, not after them"
)
_SKIPPED = "answers keep the form that they have without this mapper"
_UNFORMATTED = "answers are sent without this format"


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer of APISIX itself: templates, headers by their lower-case names."""

    status: int
    body: str
    headers: dict[str, tuple[str, str]]


def apply(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Keep what is said of local replies for the answers of the routes, and report what cannot be kept."""
    config, at = hcm.local_reply_config, at.field("local_reply_config")
    if not config.ByteSize():
        return
    draft.local_reply = config
    findings.report("HCM-LOCALREPLY", at, effect=_ELSEWHERE)
    _check_format(config.body_format, at.field("body_format"), findings)
    for index, mapper in enumerate(config.mappers):
        place = at.item("mappers", index)
        if _condition(mapper.filter, _LOWEST_STATUS) is None:
            findings.report("HCM-LOCALREPLY", place.field("filter"), effect=_SKIPPED)
        if mapper.body.WhichOneof("specifier") not in (None, *_INLINE):
            findings.report("HCM-LOCALREPLY", place.field("body"), effect="answers keep their body")
        _check_format(mapper.body_format_override, place.field("body_format_override"), findings)
        for option in mapper.headers_to_add:
            if _rendered(option.header.value, 0) is None:
                findings.report("HDR-FORMAT", place.item("headers_to_add", option.header.key))


def _check_format(style: xds.Message, at: Where, findings: Findings) -> None:
    if style.WhichOneof("format") is not None and _formatted(style, "", 0) is None:
        findings.report("HCM-LOCALREPLY", at, effect=_UNFORMATTED)


def formed(parts: Iterable[Part], config: xds.Message | None) -> list[Part]:
    """Give parts whose answers have the form that the connection manager gives to local replies.

    Args:
        parts: APISIX routes of one Envoy route; those that answer nothing, or no local reply, stay as they are.
        config: the LocalReplyConfig; None without one.
    """
    if config is None:
        return list(parts)
    return [one for part in parts for one in _formed(part, config)]


def _formed(part: Part, config: xds.Message) -> list[Part]:
    answer = _answer_of(part.fields.get("plugins", {})) if part.is_local_reply else None
    if answer is None:
        return [part]
    found: list[Part] = []
    for index, mapper in enumerate(config.mappers):
        condition = _condition(mapper.filter, answer.status)
        if condition is None or condition == NEVER:
            continue
        mapped = _with_answer(part, _mapped(answer, mapper, config))
        if condition == ALWAYS:
            return [*found, mapped]
        suffix = ".".join(filter(None, (part.suffix, f"reply{index}")))
        found.append(mapped._replace(suffix=suffix, conditions=(*part.conditions, condition)))
    return [*found, _with_answer(part, _styled(answer, answer.body, config.body_format))]


def _mapped(answer: _Answer, mapper: xds.Message, config: xds.Message) -> _Answer:
    """Give the answer behind a mapper: headers first, which see the status as it was, then status, body and format."""
    headers, is_typed = dict(answer.headers), False
    for option in mapper.headers_to_add:
        name = option.header.key.lower()
        is_known = name in headers and name != _CONTENT_TYPE
        value = _rendered(option.header.value, answer.status)
        refused = ADD_IF_ABSENT if is_known else OVERWRITE_IF_EXISTS
        if value and option.append_action != refused:
            headers[name] = "Content-Type" if name == _CONTENT_TYPE else option.header.key, value
            is_typed = is_typed or name == _CONTENT_TYPE
    status = max(mapper.status_code.value, _LOWEST_STATUS) if mapper.HasField("status_code") else answer.status
    is_given = mapper.body.WhichOneof("specifier") in _INLINE
    given = mapper.body.inline_bytes.decode(errors="replace") or mapper.body.inline_string
    body = escape_text(given) if is_given else answer.body
    style = mapper.body_format_override if mapper.HasField("body_format_override") else config.body_format
    return _styled(_Answer(status, answer.body, headers), body, style, is_typed=is_typed)


def _styled(answer: _Answer, body: str, style: xds.Message, *, is_typed: bool = False) -> _Answer:
    """Give the answer with a body in its format; the type goes with the format unless a mapper has set one."""
    text, content_type = body, "text/plain"
    if style.WhichOneof("format") is not None and (found := _formatted(style, body, answer.status)) is not None:
        text = found
        content_type = style.content_type or ("application/json" if style.HasField("json_format") else "text/plain")
    headers = dict(answer.headers)
    if text and not is_typed and (text != answer.body or headers.get(_CONTENT_TYPE) in (None, _DEFAULT_TYPE)):
        headers[_CONTENT_TYPE] = "Content-Type", content_type
    if not text:
        headers.pop(_CONTENT_TYPE, None)
    return _Answer(answer.status, text, headers)


def _formatted(style: xds.Message, body: str, status: int) -> str | None:
    """Give the template of a format; None when it has none."""
    try:
        if style.HasField("json_format"):
            shown = orjson.dumps(body).decode()[1:-1]
            text = orjson.dumps(_json(xds.to_dict(style.json_format), status), option=orjson.OPT_SORT_KEYS).decode()
            return text.replace("\\u0000", shown) + "\n"
        source = style.text_format_source
        given = style.text_format or source.inline_string or source.inline_bytes.decode(errors="replace")
        found = _template(given, status)
    except FormatError:
        return None
    return found.replace(_BODY, body)


def _json(value: Any, status: int) -> Any:
    if isinstance(value, dict):
        return {key: _json(inner, status) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner, status) for inner in value]
    if value == "%RESPONSE_CODE%":
        return status
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a Struct has no whole numbers, and Envoy writes those that are one as such
    return _template(value, status) if isinstance(value, str) else value


def _template(text: str, status: int) -> str:
    return render(parse(text, "request", {"LOCAL_REPLY_BODY": _BODY, "RESPONSE_CODE": str(status)}))


def _rendered(text: str, status: int) -> str | None:
    try:
        return render(parse(text, "request", {"RESPONSE_CODE": str(status) if status else UNSET_STATUS}))
    except FormatError:
        return None


def _condition(reply_filter: xds.Message, status: int) -> Expr | None:
    """Give on which requests a mapper takes an answer with this status; None when that cannot be told."""
    kind = reply_filter.WhichOneof("filter_specifier")
    if kind is None:
        return None
    value = getattr(reply_filter, kind)
    if kind in ("and_filter", "or_filter"):
        found = [_condition(one, status) for one in value.filters]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            return None
        return all_of(known) if kind == "and_filter" else any_of(known)
    if kind == "status_code_filter":
        return ALWAYS if _compares(value.comparison, status) else NEVER
    if kind == "not_health_check_filter":
        return ALWAYS
    return _of_request(kind, value)


def _of_request(kind: str, value: Any) -> Expr | None:
    """Give the condition of a filter that looks at the request only."""
    if kind == "runtime_filter":
        return fraction(value.percent_sampled.numerator, DENOMINATORS[value.percent_sampled.denominator])
    try:
        return header_condition(value.header, is_proto_overwritten=False) if kind == "header_filter" else None
    except RegexError:
        return None


def _compares(comparison: xds.Message, status: int) -> bool:
    wanted = int(comparison.value.default_value)
    holds = {
        _EQUAL: status == wanted,
        _AT_LEAST: status >= wanted,
        _AT_MOST: status <= wanted,
        _NOT_EQUAL: status != wanted,
    }
    return holds.get(int(comparison.op), False)


def _answer_of(plugins: dict[str, Any]) -> _Answer | None:
    """Read what a route answers itself; None when it goes to an upstream."""
    mocked, abort = plugins.get("mocking"), plugins.get("fault-injection", {}).get("abort")
    if mocked is not None:
        headers = {"Content-Type": mocked["content_type"], **mocked.get("response_headers", {})}
        return _Answer(mocked["response_status"], mocked["response_example"], _by_name(headers))
    if abort is not None:
        return _Answer(abort["http_status"], abort["body"], _by_name(abort.get("headers", {})))
    return None


def _by_name(headers: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {name.lower(): (name, value) for name, value in headers.items()}


def _with_answer(part: Part, answer: _Answer) -> Part:
    """Give the part with another answer; what it denies it still denies."""
    plugins = dict(part.fields["plugins"])
    headers = dict(answer.headers.values())
    if "mocking" in plugins:
        content_type = headers.pop("Content-Type", "text/plain")
        mocked = {key: value for key, value in plugins["mocking"].items() if key != "response_headers"}
        mocked |= {"content_type": content_type, "response_example": answer.body, "response_status": answer.status}
        plugins["mocking"] = mocked | ({"response_headers": headers} if headers else {})
    else:
        abort = {key: value for key, value in plugins["fault-injection"]["abort"].items() if key != "headers"}
        abort |= {"http_status": answer.status, "body": answer.body} | ({"headers": headers} if headers else {})
        plugins["fault-injection"] = {**plugins["fault-injection"], "abort": abort}
    return part._replace(fields={**part.fields, "plugins": plugins})
