"""Source: envoy.extensions.filters.http.ext_authz.v3.HttpService, BufferSettings: what an authorization service sees.

Target: `forward-auth`.
Fidelity: A.
Differs: see ext_authz.py.
Diagnostics: HF-RESTRICT, HF-META, HF-UNTRANSLATED, HDR-FORMAT, HDR-VALUE.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from translators import dispatch
from translators.block import FORBIDDEN
from translators.format_string import FormatError, parse, render
from translators.mappings.duration import seconds_of
from translators.mappings.transport_socket import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas import xds
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_BASE_URL = re.compile(r"(https?)://([^/?#\s]+)", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_MAX_TIMEOUT_MS = 60_000
_DEFAULT_TIMEOUT_MS = 200
_ALWAYS_SENT = "authorization"
_SET_BY_PLUGIN = frozenset({"host", "content-length", "transfer-encoding"})
_ALWAYS_ANSWERED = ("www-authenticate", "location")
_COMMONLY_ANSWERED = (*_ALWAYS_ANSWERED, "cache-control", "content-type", "retry-after", "set-cookie")
"""Stand for all headers of a refusal, which Envoy hands on unless a list is given."""
_ALL_ANSWERED = f"of the headers of a refusal only {', '.join(_COMMONLY_ANSWERED)} reach the client"
_ALL_REMEDY = "list them in allowed_client_headers"
_LISTED_REMEDY = "list the headers by their names"
_NO_PATTERN = "headers that are not named one by one do not pass"
_PROTOCOL = "the service is told method, host and path in X-Forwarded-Method, -Host and -Uri, not in its request line"
_PROTOCOL_REMEDY = "map the cluster in the policy's authorization_services to a URL that understands these headers"
_LITERAL_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
    "contains": str.__contains__,
}


class Question(NamedTuple):
    """What is asked whom.

    Attributes:
        config: envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.
        service: the HttpService in force.
        body: the BufferSettings in force; None when the service does not get the body.
        url: where nodes reach the service.
    """

    config: xds.Message
    service: xds.Message
    body: xds.Message | None
    url: str


def forward_auth(question: Question, at: Where, findings: Findings) -> dict[str, Any] | None:
    """Give the plugin that asks an HTTP service.

    Args:
        question: what is asked.
        at: the filter.
        findings: receives the diagnostics.

    Returns:
        None when the service would not see what it may deny by.
    """
    config, service, body, url = question
    place = at.field("http_service")
    told = _told(config, service, at, findings)
    if told is None:
        return None
    conf: dict[str, Any] = {
        "uri": url,
        "timeout": _timeout_ms(service),
        "request_headers": told,
        "client_headers": _answered(service, place, findings),
        "status_on_error": error_status(config),
        "allow_degradation": config.failure_mode_allow,
    }
    if upstream := _listed(service.authorization_response.allowed_upstream_headers, place, findings):
        conf["upstream_headers"] = upstream
    if extra := _extra(service, place, findings):
        conf["extra_headers"] = extra
    if body is not None:
        conf["request_method"] = "POST"
        if not body.allow_partial_message:
            conf["max_req_body_size"] = max(body.max_request_bytes, 1)
    for message, where in ((service, place), (service.authorization_response, place.field("authorization_response"))):
        dispatch.apply(message, None, where, findings)
    return conf


def error_status(config: xds.Message) -> int:
    """Give the status of an answer when the service cannot be asked."""
    return config.status_on_error.code or FORBIDDEN


def url_of(service: xds.Message, http_filter: EffectiveFilter, at: Where, findings: Findings) -> str | None:
    """Say where nodes reach a service; None when there is no URL.

    Envoy takes the address from the cluster and no part of `server_uri.uri`; control planes write one that resolves, or
    the policy says where the cluster is.
    """
    context, server = http_filter.context, service.server_uri
    mapped = context.policy.authorization_services.get(server.cluster, "")
    if found := _BASE_URL.match(mapped):
        return mapped if len(mapped) > found.end() else f"{mapped}/"
    found = _BASE_URL.match(server.uri)
    if found is None:
        return None
    findings.report("HF-UNTRANSLATED", at.field("http_service"), effect=_PROTOCOL, remedy=_PROTOCOL_REMEDY)
    cluster = context.clusters.get(server.cluster)
    is_encrypted = cluster is not None and unwrap(cluster.transport_socket).context is not None
    scheme = "https" if is_encrypted else found[1].lower()
    return f"{scheme}://{found[2]}/{service.path_prefix.lstrip('/')}"


def _timeout_ms(service: xds.Message) -> int:
    timeout = service.server_uri.timeout
    milliseconds = round(seconds_of(timeout) * 1000) if service.server_uri.HasField("timeout") else _DEFAULT_TIMEOUT_MS
    return min(max(milliseconds, 1), _MAX_TIMEOUT_MS)


def _told(config: xds.Message, service: xds.Message, at: Where, findings: Findings) -> list[str] | None:
    """Give the request headers that the service sees; None when they cannot be listed, for it may deny by any."""
    chosen, place = service.authorization_request.allowed_headers, at.field("http_service.authorization_request")
    if config.HasField("allowed_headers"):
        chosen, place = config.allowed_headers, at
    names, is_complete = _names(chosen)
    if not is_complete and findings.blocks(
        "HF-RESTRICT", place.field("allowed_headers"), effect=_NO_PATTERN, remedy=_LISTED_REMEDY
    ):
        return None
    sent = {_ALWAYS_SENT, *names} - _SET_BY_PLUGIN
    return sorted(name for name in sent if not any(_holds(one, name) for one in config.disallowed_headers.patterns))


def _names(matchers: xds.Message) -> tuple[list[str], bool]:
    """Give the names that are listed one by one, and whether there is nothing else in the list.

    Envoy compares with names in lower case, so a name with capitals matches nothing unless case is ignored.
    """
    exact = [one for one in matchers.patterns if one.WhichOneof("match_pattern") == "exact"]
    names = [one.exact.lower() for one in exact if one.ignore_case or one.exact == one.exact.lower()]
    return [name for name in names if _HEADER_NAME.match(name)], len(exact) == len(matchers.patterns)


def _holds(matcher: xds.Message, name: str) -> bool:
    """Match a name; what cannot be read matches."""
    kind = matcher.WhichOneof("match_pattern") or ""
    if kind == "safe_regex":
        try:
            return re.fullmatch(matcher.safe_regex.regex, name) is not None
        except re.error:
            return True
    test, text = _LITERAL_TESTS.get(kind), getattr(matcher, kind) if kind in _LITERAL_TESTS else ""
    return test is None or test(name, text.lower() if matcher.ignore_case else text)


def _listed(matchers: xds.Message, at: Where, findings: Findings) -> list[str]:
    names, is_complete = _names(matchers)
    if not is_complete:
        findings.report("HDR-VALUE", at, effect=_NO_PATTERN, remedy=_LISTED_REMEDY)
    return sorted(set(names))


def _answered(service: xds.Message, at: Where, findings: Findings) -> list[str]:
    """Give the headers of a refusal that the client sees."""
    answer = service.authorization_response
    place = at.field("authorization_response.allowed_client_headers")
    if not answer.allowed_client_headers.patterns:
        findings.report("HDR-VALUE", place, effect=_ALL_ANSWERED, remedy=_ALL_REMEDY)
        return list(_COMMONLY_ANSWERED)
    return sorted({*_ALWAYS_ANSWERED, *_listed(answer.allowed_client_headers, place, findings)} - _SET_BY_PLUGIN)


def _extra(service: xds.Message, at: Where, findings: Findings) -> dict[str, str]:
    """Give the headers that are added to what the service is told."""
    added: dict[str, str] = {}
    for header in service.authorization_request.headers_to_add:
        try:
            added[header.key] = render(parse(header.value or header.raw_value.decode("latin-1"), "request"))
        except FormatError as error:
            place = at.field("authorization_request").item("headers_to_add", header.key)
            findings.report("HDR-FORMAT", place, value=str(error))
    return added
