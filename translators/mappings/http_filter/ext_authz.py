"""Source: envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, ExtAuthzPerRoute.

Target: `forward-auth` for an HTTP service; `opa` for a gRPC service that the policy maps.
Fidelity: A.
Differs: the service is asked by GET (POST with a body) at path_prefix, without the path of the request; method, host
and path are in X-Forwarded-Method, -Host and -Uri. Answers 201 to 299 let the request pass as 200 does; an answer 5xx
is handed on, whatever failure_mode_allow says. An allowed_upstream_headers that the service does not give is removed.
Diagnostics: HF-RESTRICT, HF-DUP, HF-META, HF-ORDER, HF-UNTRANSLATED, HDR-FORMAT, HDR-VALUE.
See: mapping.md sections 4.7 and 6.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators import dispatch
from translators.block import abort
from translators.expr import ALWAYS, NEVER, conjuncts, negate
from translators.mappings.http_filter.authorization_service import Question, error_status, forward_auth, url_of
from translators.mappings.http_filter.switch import is_switched_off

if TYPE_CHECKING:
    from schemas import xds
    from translators.filter_draft import FilterDraft
    from translators.findings import Findings
    from translators.http_filter import EffectiveFilter
    from translators.where import Where

_PER_ROUTE = "ExtAuthzPerRoute"
_GRPC_REMEDY = "give the service an HTTP interface, or map its cluster in the policy's opa_services"
_NO_URL = "no node could reach the service: the route is blocked"
_URL_REMEDY = "give an http:// or https:// URL, or map the cluster in the policy's authorization_services"


def apply(http_filter: EffectiveFilter, draft: FilterDraft, at: Where, findings: Findings) -> None:
    """Ask the authorization service; block the route where it cannot be asked."""
    if is_switched_off(http_filter):
        return
    config = http_filter.config
    if config is None or not _is_readable(http_filter):
        _block("HF-RESTRICT", draft, at, findings)
        return
    drawn = draft.draw(config.filter_enabled.default_value) if config.HasField("filter_enabled") else ALWAYS
    if config.HasField("deny_at_disable") and config.deny_at_disable.default_value.value:
        draft.answer(http_filter.name, abort(error_status(config)), (negate(drawn),))
    if drawn == NEVER:
        return
    plugins = _asking_once(config, http_filter, findings)
    if plugins is None:
        draft.deny("HF-RESTRICT")
        return
    for name, conf in plugins.items():
        draft.read_headers(conf.get("request_headers", ()), at)
        draft.set_headers(conf.get("upstream_headers", ()), at)
        asked = {**conf, "_meta": {"filter": conjuncts((drawn,))}} if drawn != ALWAYS else conf
        if not draft.add_plugin(name, asked, http_filter.index):
            _block("HF-DUP", draft, at, findings)


def _block(code: str, draft: FilterDraft, at: Where, findings: Findings, **details: str) -> None:
    if findings.blocks(code, at, **details):
        draft.deny(code)


def _is_readable(http_filter: EffectiveFilter) -> bool:
    override = http_filter.override
    return not http_filter.overrides or (override is not None and override.DESCRIPTOR.name == _PER_ROUTE)


def _asking_once(
    config: xds.Message, http_filter: EffectiveFilter, findings: Findings
) -> dict[str, dict[str, Any]] | None:
    """Work out once for all routes what no route overrides."""
    if http_filter.overrides:
        return _asking(config, http_filter, findings)
    memo, key = http_filter.context.memo, ("ext_authz", http_filter.index)
    if key not in memo:
        memo[key] = _asking(config, http_filter, findings)
    found: dict[str, dict[str, Any]] | None = memo[key]
    return found


def _asking(config: xds.Message, http_filter: EffectiveFilter, findings: Findings) -> dict[str, dict[str, Any]] | None:
    """Give the plugin that asks, none where the policy does without; None where the route must be blocked."""
    at = http_filter.at
    dispatch.apply(config, None, at, findings)
    settings = http_filter.override.check_settings if http_filter.override is not None else None
    service = _service(config, settings)
    kind = service.DESCRIPTOR.name if service is not None else ""
    if service is not None and kind == "HttpService":
        return _asking_http(config, service, _body(config, settings), http_filter, findings)
    if service is not None:
        mapped = http_filter.context.policy.opa_services.get(service.envoy_grpc.cluster_name)
        if mapped is not None:
            return {"opa": {"host": mapped.host, "policy": mapped.policy}}
    return None if findings.blocks("HF-RESTRICT", at, value=kind, remedy=_GRPC_REMEDY) else {}


def _asking_http(
    config: xds.Message,
    service: xds.Message,
    body: xds.Message | None,
    http_filter: EffectiveFilter,
    findings: Findings,
) -> dict[str, dict[str, Any]] | None:
    at = http_filter.at
    url = url_of(service, http_filter, at, findings)
    if url is None:
        place, uri = at.field("http_service.server_uri"), service.server_uri.uri
        is_blocked = findings.blocks("HF-RESTRICT", place, value=uri, effect=_NO_URL, remedy=_URL_REMEDY)
        return None if is_blocked else {}
    conf = forward_auth(Question(config, service, body, url), at, findings)
    return None if conf is None else {"forward-auth": conf}


def _service(config: xds.Message, settings: xds.Message | None) -> xds.Message | None:
    """Give the HttpService or GrpcService in force: a route may name another one."""
    for holder, oneof in ((settings, "service_override"), (config, "services")):
        if holder is not None and (kind := holder.WhichOneof(oneof)) is not None:
            found: xds.Message = getattr(holder, kind)
            return found
    return None


def _body(config: xds.Message, settings: xds.Message | None) -> xds.Message | None:
    """Give the BufferSettings in force; None when the service does not get the body."""
    if settings is not None and settings.disable_request_body_buffering:
        return None
    if settings is not None and settings.HasField("with_request_body"):
        return settings.with_request_body
    return config.with_request_body if config.HasField("with_request_body") else None
