"""What the mappings of an action contribute to: the plugins and fields of an APISIX route in the making."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas import xds
    from translators.headers import FoldedHeaders
    from translators.route_context import RouteContext


@dataclass(slots=True)
class RouteDraft:
    """An APISIX route in the making; mappings of RouteAction fill it through the registry.

    Attributes:
        route: envoy.config.route.v3.Route.
        context: what surrounds it.
        uri: proxy-rewrite.uri, a template; empty = not set.
        regex_uri: proxy-rewrite.regex_uri; empty = not set.
        host: proxy-rewrite.host; empty = not set.
        is_raw: regex_uri works on the path and query as the client sent them.
    """

    route: xds.Message
    context: RouteContext
    uri: str = ""
    regex_uri: list[str] = field(default_factory=list)
    host: str = ""
    is_raw: bool = False

    def plugins(self, request: FoldedHeaders, response: FoldedHeaders) -> dict[str, Any]:
        """Give the plugins of the route.

        Args:
            request: folded mutations of the request.
            response: folded mutations of the response.
        """
        rewrite: dict[str, Any] = {}
        if self.uri:
            rewrite["uri"] = self.uri
        if self.regex_uri:
            rewrite["regex_uri"] = self.regex_uri
        if host := self.host or request.host:
            rewrite["host"] = host
        if headers := request.of_request():
            rewrite["headers"] = headers
        if request.condition and headers:
            rewrite["_meta"] = {"filter": request.condition}
        if rewrite and not (self.uri or self.regex_uri):
            # proxy-rewrite re-encodes the path even when it only touches headers (mapping.md section 14.2).
            rewrite["use_real_request_uri_unsafe"] = True
        plugins: dict[str, Any] = {"proxy-rewrite": rewrite} if rewrite else {}
        return plugins | response_plugins(response)


def response_plugins(response: FoldedHeaders) -> dict[str, Any]:
    """Give the plugin that mutates response headers, if any."""
    headers = response.of_response()
    if not headers:
        return {}
    rewrite: dict[str, Any] = {"headers": headers}
    if response.condition:
        rewrite["vars"] = response.condition
    return {"response-rewrite": rewrite}
