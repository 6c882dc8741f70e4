"""What an HttpConnectionManager does to every request it takes, before and around the HTTP filters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas import xds
    from translators.expr import Expr
    from translators.header_step import Step

FIRST_PRIORITY = 22_000
"""Above all filters: what the connection manager does itself comes before them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Requests that are answered before any filter runs.

    Attributes:
        name: tells the refusals of a connection manager apart.
        condition: which requests.
        status: of the answer.
        plugins: what answers.
    """

    name: str
    condition: Expr
    status: int
    plugins: dict[str, Any]


@dataclass(slots=True)
class ConnectionDraft:
    """What the mappings of HttpConnectionManager contribute to; the same for all routes of the unit.

    Attributes:
        chain: envoy.config.listener.v3.FilterChain around it; None when nothing is known of it.
        collectors: what the operator said about clusters that receive logs and spans: cluster -> URL.
        plugins: plugins that run on every route before the filters.
        observers: plugins that only watch; they stand in a plugin_config that all routes share.
        refusals: answers in front of all filters, in Envoy's order.
        request: mutations of the request before those of the filters.
        response: mutations of the response after all others.
        local_reply: LocalReplyConfig: the form of answers; None where they keep the one they have.
    """

    chain: xds.Message | None = None
    collectors: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, Any] = field(default_factory=dict)
    observers: dict[str, Any] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    request: list[Step] = field(default_factory=list)
    response: list[Step] = field(default_factory=list)
    local_reply: xds.Message | None = None
