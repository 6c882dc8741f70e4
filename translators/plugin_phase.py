"""When plugins run, and how an answer of APISIX itself comes after those that run before it.

APISIX runs the rewrite handlers of all plugins by priority, then all access handlers, then those that see the answer
(apisix/plugin.lua). A filter's position in Envoy becomes `_meta.priority`, which orders plugins of one phase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_PRIORITY = 20_000
_STEP = 10
_ANSWER_PRIORITY = 2000
"""Below all filters, above proxy-rewrite's 1008."""
LAST_PRIORITY = -1999
"""Of what answers behind all plugins of the access phase."""

ACCESS_PLUGINS = frozenset(
    (
        "consumer-restriction",
        "forward-auth",
        "grpc-transcode",
        "grpc-web",
        "limit-conn",
        "limit-count",
        "limit-req",
        "mocking",
        "opa",
        "workflow",
    )
)
"""Plugins that translations use and whose handler runs in the access phase: no answer in the rewrite phase waits for
them."""

_ABORT = "fault-injection"


def priority_of(index: int) -> int:
    """Give the priority of the plugin of a filter.

    Args:
        index: of the filter in the connection manager.
    """
    return FIRST_PRIORITY - _STEP * index


def answered(before: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give the plugins of a route that answers by itself after other plugins have run.

    fault-injection answers in the rewrite phase. Behind a plugin of the access phase, `mocking` gives the same answer
    instead, else the limit or the authorization in front of it would be passed by (mapping.md section 5.9).

    Args:
        before: the plugins that must run first.
        answer: plugins among which fault-injection aborts.
    """
    if not before:
        return dict(answer)
    if not ACCESS_PLUGINS.isdisjoint(before):
        rest = {name: conf for name, conf in answer.items() if name != _ABORT}
        return {**before, **rest, "mocking": _mocked(answer[_ABORT]["abort"])}
    abort = dict(answer[_ABORT])
    rewriting = before.keys() - {_ABORT}
    if rewriting and "_meta" not in abort:
        abort["_meta"] = {"priority": _ANSWER_PRIORITY}
    return {**before, **answer, _ABORT: {**before.get(_ABORT, {}), **abort}}


def _mocked(abort: Mapping[str, Any]) -> dict[str, Any]:
    headers = dict(abort.get("headers", {}))
    mocked: dict[str, Any] = {
        "_meta": {"priority": LAST_PRIORITY},
        "content_type": headers.pop("Content-Type", "text/plain"),
        "response_example": abort["body"],
        "response_status": abort["http_status"],
        "with_mock_header": False,
    }
    return {**mocked, "response_headers": headers} if headers else mocked
