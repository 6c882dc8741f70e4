"""The plugin that asks an authorization service, written from plugins/forward-auth.lua."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tests.oracle.apisix_model import Exchange

_FIRST_REFUSAL = 300


@dataclass(frozen=True)
class Question:
    """What an authorization service is asked; header names in lower case."""

    url: str
    method: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Verdict:
    """What an authorization service answers; header names in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


Authorize: TypeAlias = Callable[[Question], Verdict | None]
"""None where the service cannot be reached."""


def ask(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """forward-auth."""
    assert exchange.node.authorize is not None
    told = {
        "x-forwarded-proto": str(exchange.variable("scheme")),
        "x-forwarded-method": str(exchange.variable("request_method")),
        "x-forwarded-host": str(exchange.variable("host")),
        "x-forwarded-uri": str(exchange.variable("real_request_uri")),
        "x-forwarded-for": str(exchange.variable("remote_addr")),
    }
    told |= {name.lower(): exchange.resolve(value) for name, value in conf.get("extra_headers", {}).items()}
    for name in conf["request_headers"]:
        sent = [value for key, value in exchange.headers if key == name]
        if sent:
            told.setdefault(name, sent[0])
    verdict = exchange.node.authorize(Question(conf["uri"], conf.get("request_method", "GET"), told))
    if verdict is not None and verdict.status < _FIRST_REFUSAL:
        for name in conf.get("upstream_headers", ()):
            exchange.headers = [pair for pair in exchange.headers if pair[0] != name]
            exchange.headers += [(name, verdict.headers[name])] if name in verdict.headers else []
    elif verdict is not None or not conf["allow_degradation"]:
        _refuse(exchange, conf, verdict or Verdict(conf["status_on_error"]))


def _refuse(exchange: Exchange, conf: Mapping[str, Any], verdict: Verdict) -> None:
    headers = [(name, verdict.headers[name]) for name in conf["client_headers"] if name in verdict.headers]
    if verdict.body and "content-type" not in dict(headers):
        headers.append(("content-type", "text/plain"))  # nginx's default_type
    exchange.answer.status, exchange.answer.headers, exchange.answer.body = verdict.status, headers, verdict.body
    exchange.is_answered = True
