"""How Envoy and APISIX redirect, executed: the two sides of the model-based test of redirects.

Envoy: Http::Utility::newUri and the path rewrite before it. APISIX: proxy-rewrite computes `upstream_uri`, then
fault-injection expands the Location (mapping.md sections 14.12 and 14.13).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.translators.rewriting import _TEMPLATE

if TYPE_CHECKING:
    from translators.route_context import Part

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the route takes; its path is normalised and without escapes."""

    scheme: str
    host: str
    path: str
    query: str

    @property
    def uri(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    def variable(self, name: str) -> str:
        without_port = re.sub(r":\d+\Z", "", self.host)
        values = {
            "scheme": self.scheme,
            "http_host": self.host,
            "host": without_port,
            "real_request_uri": self.uri,
            "is_args": "?" if self.query else "",
            "args": self.query,
        }
        return values[name]


def location_by_envoy(match: dict[str, Any], action: dict[str, Any], request: Request) -> str:
    """Give the Location that Envoy sends."""
    uri = _rewritten(match, action, request)
    scheme = action.get("scheme_redirect") or ("https" if action.get("https_redirect") else request.scheme)
    port = f":{action['port_redirect']}" if action.get("port_redirect") else ""
    host = action.get("host_redirect") or _host(request, scheme, port)
    path = action.get("path_redirect", "")
    if path:
        uri = path if "?" in path or not request.query else f"{path}?{request.query}"
    if action.get("strip_query") and "?" not in path:
        uri = uri.partition("?")[0]
    return f"{scheme}://{host}{port}{uri}"


def _host(request: Request, scheme: str, port: str) -> str:
    found = re.search(r":\d+\Z", request.host)
    if found is None:
        return request.host
    is_default = scheme != request.scheme and found.group() == _DEFAULT_PORTS[request.scheme]
    return request.host[: found.start()] if port or is_default else request.host


def _rewritten(match: dict[str, Any], action: dict[str, Any], request: Request) -> str:
    path = request.path
    if "prefix_rewrite" in action:
        matched = match.get("prefix") or match.get("path_separated_prefix") or path
        path = action["prefix_rewrite"] + path[len(matched) :]
    elif "regex_rewrite" in action:
        rewrite = action["regex_rewrite"]
        path = re.sub(rewrite["pattern"]["regex"], rewrite["substitution"], path, count=1)
    return f"{path}?{request.query}" if request.query else path


def location_by_apisix(parts: list[Part], request: Request) -> str:
    """Give the Location that the first part with true conditions sends."""
    part = next(p for p in parts if all(_holds(condition, request) for condition in p.conditions))
    plugins = part.fields["plugins"]
    rewritten = _proxy_rewrite(plugins.get("proxy-rewrite"), request)
    if "proxy-rewrite" in plugins:
        assert plugins["fault-injection"]["_meta"]["priority"] < 1008, "the path is rewritten first"
    template = plugins["fault-injection"]["abort"]["headers"]["Location"]

    def expand(found: re.Match[str]) -> str:
        name, *default = re.split(r"\s*\?\?\s*", found[2] or found[3])
        if name == "_":
            return default[0]
        return rewritten if name == "upstream_uri" else request.variable(name)

    return _TEMPLATE.sub(expand, template)


def _holds(condition: Any, request: Request) -> bool:
    variable, operator, value = condition
    if operator == "==":
        return request.variable(variable) == value
    assert operator == "~~"
    return re.search(value.replace(r"\z", r"\Z"), request.variable(variable)) is not None


def _proxy_rewrite(plugin: dict[str, Any] | None, request: Request) -> str:
    """Give `upstream_uri`; paths here need no encoding."""
    if plugin is None:
        return ""
    is_raw = plugin.get("use_real_request_uri_unsafe", False)
    uri = request.uri if is_raw else request.path
    if "uri" in plugin:
        uri = plugin["uri"].replace("${_ ?? $}", "$")
    else:
        pairs = plugin["regex_uri"]
        for pattern, replacement in zip(pairs[::2], pairs[1::2], strict=True):
            found = re.search(pattern.replace(r"\z", r"\Z"), uri)
            if found is not None:
                uri = uri[: found.start()] + _substituted(replacement, found) + uri[found.end() :]
                break
    return uri if is_raw or not request.query else f"{uri}?{request.query}"


def _substituted(replacement: str, found: re.Match[str]) -> str:
    return re.sub(r"\$\$|\$\{(\d+)\}", lambda m: "$" if m.group() == "$$" else found[int(m[1])], replacement)
