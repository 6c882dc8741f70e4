"""A model of one APISIX node on a translated set of objects: the router, and the plugins that translations use.

Written from apisix 3.18 (init.lua, plugin.lua, plugins/{fault-injection,proxy-rewrite,traffic-split,response-rewrite},
core/utils.lua) and mapping.md sections 3, 8 and 14. Plugins that it does not know are an error, never left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from tests.oracle.apisix_auth import consumer_restriction, jwt_auth, key_auth, openid_connect
from tests.oracle.nginx_uri import BadRequestError, escaped, normalised
from tests.oracle.nginx_variable import argument, cookie, joined
from tests.oracle.plugin import authorization, limit
from tests.oracle.router import Request, Router, holds, pcre

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.oracle.plugin.authorization import Authorize

Headers = list[tuple[str, str]]
_REWRITE, _ACCESS, _RESPONSE = range(3)
"""Phases; the last is of what sees the answer."""
REFUSAL = "the plugin's own words"
_TEMPLATE = re.compile(r"(?<!\\)\$(?:\{\s*([^}]+?)\s*\}|([\w.]+))")
_CAPTURE_REFERENCE = re.compile(r"(?<!\\)\$\{?(\d+)\}?")
_REPLACEMENT = re.compile(r"\$(?:\$|\{(\d+)\}|(\d+))")


@dataclass(frozen=True)
class WireRequest:
    """A request as it comes over the wire; header names in lower case, Host and Content-Length apart."""

    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...] = ()
    port: int = 8080
    request_id: str = "0" * 32
    body_size: int = 0


@dataclass
class Answer:
    """What the client and the upstream see.

    Attributes:
        delay_s: how long plugins waited, in seconds.
        route: name of the APISIX route.
        upstream_port: of the node; 0 when no upstream was asked.
        target, host, request_headers: as the upstream sees them.
        mirror: scheme and address that a copy of what the upstream sees goes to; empty = none.
        mirrored_share: of such requests.
    """

    status: int
    delay_s: float = 0
    headers: Headers = field(default_factory=list)
    body: str = ""
    route: str = ""
    upstream_port: int = 0
    target: str = ""
    host: str = ""
    request_headers: Headers = field(default_factory=list)
    mirror: str = ""
    mirrored_share: float = 0


class Node:
    """Answers requests."""

    def __init__(self, objects: Mapping[str, Mapping[str, Any]], authorize: Authorize | None = None) -> None:
        """Load objects.

        Args:
            objects: known by their etcd keys.
            authorize: the authorization service; None where it does not answer.
        """
        self.authorize = authorize
        self.used: dict[str, int] = {}
        """Tokens by the key of their bucket."""
        self._routes = _collection(objects, "routes")
        self._plugin_configs = _collection(objects, "plugin_configs")
        self._upstreams = _collection(objects, "upstreams")
        self._rules = _collection(objects, "global_rules")
        self._services = _collection(objects, "services")
        self.consumers = _collection(objects, "consumers")
        self._router = Router(self._routes)

    def answer(self, wire: WireRequest, origin: Headers) -> Answer:
        """Answer a request; `origin` are the response headers of every upstream."""
        try:
            exchange = Exchange(wire, self)
        except BadRequestError:
            return Answer(400)
        route_id = self._router.find(exchange.routed())
        for rule in self._rules.values():
            exchange.run_before(rule["plugins"])
        if route_id is None:
            return Answer(404, body='{"error_msg":"404 Route Not Found"}')
        route = self._routes[route_id]
        plugins = self._plugins(route_id, route)
        exchange.answer.route = route["name"]
        exchange.upstream_id = route.get("upstream_id", "")
        exchange.run_before(plugins)
        if not exchange.is_answered:
            exchange.ask(self._upstreams[exchange.upstream_id], origin)
        for name, conf in sorted(plugins.items(), key=_order):
            if PLUGINS[name].phase == _RESPONSE:
                exchange.run(name, conf)
        return exchange.answer

    def _plugins(self, route_id: str, route: Mapping[str, Any]) -> dict[str, Any]:
        """Merge plugins, the route's own first; each knows the object it comes from (_meta.parent)."""
        sources = (
            [(f"/services/{route['service_id']}", self._services[route["service_id"]])] if "service_id" in route else []
        )
        if "plugin_config_id" in route:
            config_id = route["plugin_config_id"]
            sources.append((f"/plugin_configs/{config_id}", self._plugin_configs[config_id]))
        sources.append((f"/routes/{route_id}", route))
        return {
            name: {**conf, "_meta": {**conf.get("_meta", {}), "parent": key}}
            for key, value in sources
            for name, conf in value.get("plugins", {}).items()
        }


def _collection(objects: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Any]:
    prefix = f"/{kind}/"
    return {key.removeprefix(prefix): dict(value) for key, value in objects.items() if key.startswith(prefix)}


def _order(item: tuple[str, Any]) -> tuple[int, int]:
    name, conf = item
    plugin = PLUGINS[name]
    return plugin.phase, -conf.get("_meta", {}).get("priority", plugin.priority)


class Exchange:
    """One request on its way: `ctx` of APISIX."""

    def __init__(self, wire: WireRequest, node: Node) -> None:
        """Start with a request that a node received."""
        self._wire = wire
        self.node = node
        self.consumers = node.consumers
        self.headers: Headers = list(wire.headers)
        if wire.body_size:
            self.headers.append(("content-length", str(wire.body_size)))
        self.answer = Answer(200)
        self.is_answered = False
        self.upstream_id = ""
        self._captures: re.Match[str] | None = None
        path, mark, args = wire.target.partition("?")
        host = wire.host.lower()
        host = re.sub(r":[^\]]*\Z", "", host).removesuffix(".")
        self._uri = normalised(path)
        self._variables: dict[str, str | None] = {
            "server_port": str(wire.port),
            "server_addr": "127.0.0.1",
            "remote_addr": "127.0.0.1",
            "realip_remote_addr": "127.0.0.1",
            "scheme": "http",
            "http_host": wire.host,
            "host": host,
            "uri": self._uri,
            "request_method": wire.method,
            "real_request_uri": wire.target,
            "request_uri": wire.target,
            "is_args": "?" if args else "",
            "args": args if mark else None,
            "request_id": wire.request_id,
            "server_protocol": "HTTP/1.1",
            "upstream_host": wire.host,
            "upstream_uri": "",
        }

    def routed(self) -> Request:
        """Give the request as expressions see it."""
        return Request(str(self._variables["host"]), self._uri, self._wire.method, _Variables(self))

    def variable(self, name: str) -> str | None:
        """Give a variable; header variables are cached at their first read."""
        if name.startswith("sent_http_"):
            return joined(self.answer.headers, name.removeprefix("sent_http_"))
        if name == "status":
            return str(self.answer.status)
        if name.startswith("arg_"):
            pieces = (piece.partition("=") for piece in (self._variables["args"] or "").split("&"))
            return next((unquote(value) if sign else "true" for key, sign, value in pieces if key == name[4:]), None)
        if name not in self._variables:
            value = self._read(name)
            if value is None:
                return None
            self._variables[name] = value
        return self._variables[name]

    def _read(self, name: str) -> str | None:
        kind, _, rest = name.partition("_")
        if kind == "arg":
            return argument(self._wire.target.partition("?")[2], rest)
        if kind == "cookie":
            return cookie(self.headers, rest)
        assert kind in ("http", "") or name == "consumer_name", f"variable {name}"
        return joined(self.headers, rest) if kind == "http" else None

    def resolve(self, template: str, escape: Callable[[str], str] = str) -> str:
        """`core.utils.resolve_var`."""

        def value_of(found: re.Match[str]) -> str:
            name, *default = re.split(r"\s*\?\?\s*", found[1] or found[2])
            value = self.variable(name)
            if value is None:
                return escape(default[0]) if default else ""
            return escape(value)

        return _TEMPLATE.sub(value_of, template)

    def first_header(self, name: str) -> str | None:
        """`core.request.header`; unlike a variable's, its name is exact."""
        return next((value for key, value in self.headers if key == name), None)

    def remove_header(self, name: str) -> None:
        """`core.request.set_header` to nil; it forgets the variable of this very name, with `-` as it stands."""
        self.headers = [pair for pair in self.headers if pair[0] != name]
        self._variables.pop(f"http_{name}", None)

    def consumer_of(self, plugin: str, key: str) -> str | None:
        """Give the consumer with a key; of several the last one wins."""
        found = [name for name, one in self.consumers.items() if one["plugins"].get(plugin, {}).get("key") == key]
        assert len(found) < 2, "which of them wins depends on the node"
        return found[0] if found else None

    def attach(self, consumer: str) -> None:
        """`attach_consumer`."""
        self._variables["consumer_name"] = consumer
        added = ("x-consumer-username", "x-credential-identifier", "x-consumer-custom-id")
        self.headers = [pair for pair in self.headers if pair[0] not in added]
        self.headers.append((added[0], consumer))
        custom_id = self.consumers[consumer].get("labels", {}).get("custom_id")
        self.headers += [(added[2], custom_id)] if custom_id else []

    def refuse(self, status: int) -> None:
        """Answer with a plugin's own body, which nothing is compared with."""
        self.answer.status, self.answer.body, self.is_answered = status, REFUSAL, True

    def run(self, name: str, conf: Mapping[str, Any]) -> None:
        """Run a plugin in its phase."""
        condition = conf.get("_meta", {}).get("filter")
        if condition and not holds(condition, self.routed()):
            return
        PLUGINS[name].run(self, conf)

    def run_before(self, plugins: Mapping[str, Mapping[str, Any]]) -> None:
        """Run the plugins of a route or global rule that come before the upstream; global rules change no response."""
        for name, conf in sorted(plugins.items(), key=_order):
            if PLUGINS[name].phase != _RESPONSE and not self.is_answered:
                self.run(name, conf)

    def watch(self, conf: Mapping[str, Any]) -> None:
        """Plugins that only watch: prometheus, loggers, tracers."""

    def identify(self, conf: Mapping[str, Any]) -> None:
        """request-id."""
        assert conf["header_name"] == "X-Request-Id"
        if all(name != "x-request-id" for name, _ in self.headers):
            self.headers.append(("x-request-id", self._wire.request_id))

    def detect_address(self, conf: Mapping[str, Any]) -> None:
        """real-ip with the last address of X-Forwarded-For."""
        assert set(conf) == {"source"}
        forwarded = joined(self.headers, "x_forwarded_for")
        if forwarded:
            self._variables["remote_addr"] = forwarded.rpartition(",")[2].strip()

    def redirect(self, conf: Mapping[str, Any]) -> None:
        """The plugin redirect, to the path as nginx reads it."""
        assert (conf["uri"], conf["encode_uri"], conf["append_query_string"]) == ("$uri", True, True)
        path, mark, rest = self._uri.partition("?")
        location = escaped(path) + mark + rest
        if self._variables["is_args"]:
            location += ("&" if mark else "?") + str(self._variables["args"] or "")
        self.answer.status = conf["ret_code"]
        self.answer.headers = [("location", location)]
        self.is_answered = True

    def inject_fault(self, conf: Mapping[str, Any]) -> None:
        """fault-injection; a delay is noted and not waited for."""
        assert set(conf) <= {"abort", "delay", "_meta"}
        if "delay" in conf:
            self._delay(conf["delay"])
        if "abort" in conf:
            self._abort(conf["abort"])

    def _delay(self, delay: Mapping[str, Any]) -> None:
        assert set(delay) <= {"duration", "vars"}
        if "vars" not in delay or any(holds(expression, self.routed()) for expression in delay["vars"]):
            self.answer.delay_s += delay["duration"]

    def _abort(self, abort: Mapping[str, Any]) -> None:
        assert set(abort) <= {"http_status", "body", "headers", "vars"}
        if "vars" in abort and not any(holds(expression, self.routed()) for expression in abort["vars"]):
            return
        self.answer.status = abort["http_status"]
        self.answer.headers = [(name.lower(), self.resolve(v)) for name, v in abort.get("headers", {}).items()]
        self.answer.body = self.resolve(abort["body"])
        self.is_answered = True

    def control_client(self, conf: Mapping[str, Any]) -> None:
        """client-control."""
        size = self._wire.body_size
        if size > conf["max_body_size"] > 0:
            self.answer.status, self.is_answered = 413, True

    def translate_grpc_web(self, _conf: Mapping[str, Any]) -> None:
        """grpc-web; its condition keeps it from what it would refuse."""
        raise AssertionError("no request here is gRPC-Web")

    def mock(self, conf: Mapping[str, Any]) -> None:
        """Answer in the access phase (mocking)."""
        assert conf["with_mock_header"] is False
        headers = {"content-type": conf["content_type"], **conf.get("response_headers", {})}
        self.answer.status = conf["response_status"]
        self.answer.headers = [(name.lower(), self.resolve(value)) for name, value in headers.items()]
        self.answer.body = self.resolve(conf["response_example"])
        self.is_answered = True

    def rewrite(self, conf: Mapping[str, Any]) -> None:
        """proxy-rewrite."""
        assert set(conf) <= {"_meta", "uri", "regex_uri", "host", "headers", "use_real_request_uri_unsafe"}, set(conf)
        if "host" in conf:
            self._variables["upstream_host"] = conf["host"]
        self._rewrite_uri(conf)
        headers = conf.get("headers", {})
        for name, values in headers.get("add", {}).items():
            for value in values if isinstance(values, list) else [values]:
                self.headers.append((name.lower(), self._header_value(value)))
        for name, values in headers.get("set", {}).items():
            resolved = [self._header_value(v) for v in (values if isinstance(values, list) else [values])]
            self.headers = [pair for pair in self.headers if pair[0] != name.lower()]
            self.headers += [(name.lower(), value) for value in resolved if value or len(resolved) > 1]
        for name in headers.get("remove", []):
            self.headers = [pair for pair in self.headers if pair[0] != name.lower()]

    def _header_value(self, template: str) -> str:
        captures = self._captures
        with_captures = _CAPTURE_REFERENCE.sub(
            lambda found: "" if captures is None else _group(captures, int(found[1])), template
        )
        return self.resolve(with_captures)

    def _rewrite_uri(self, conf: Mapping[str, Any]) -> None:
        is_raw = conf.get("use_real_request_uri_unsafe", False)
        uri, is_separator_escaped = (self._wire.target if is_raw else self._uri), False
        if "uri" in conf:
            is_separator_escaped = True
            query = uri.partition("?")[2] if is_raw else ""
            uri = self.resolve(conf["uri"], lambda text: text.replace("?", "%3F", 1))
            uri += ("&" if "?" in uri else "?") + query if query else ""
        elif "regex_uri" in conf:
            is_separator_escaped = "?" not in uri
            uri = self._substituted(uri, conf["regex_uri"])
        if not is_raw:
            path, mark, rest = uri.partition("?") if is_separator_escaped else (uri, "", "")
            uri = escaped(path) + mark + rest
            args = self._variables["args"]
            uri += ("&" if mark else "?") + args if args else ""
        self._variables["upstream_uri"] = uri

    def _substituted(self, uri: str, pairs: list[str]) -> str:
        for pattern, replacement in zip(pairs[::2], pairs[1::2], strict=True):
            found = pcre(pattern).search(uri)
            if found is not None:
                self._captures = found
                new = _REPLACEMENT.sub(lambda ref, m=found: _replaced(ref, m), replacement)
                return uri[: found.start()] + new + uri[found.end() :]
        return uri

    def resolve_found(self, template: str) -> str | None:
        """Resolve a template in which at least one variable has a value, or a default; None when none has."""
        names = [re.split(r"\s*\?\?\s*", found[1] or found[2]) for found in _TEMPLATE.finditer(template)]
        if not any(len(one) > 1 or self.variable(one[0]) is not None for one in names):
            return None
        return self.resolve(template)

    def split(self, conf: Mapping[str, Any]) -> None:
        """traffic-split."""
        for rule in conf["rules"]:
            matches = rule.get("match")
            if not matches or any(holds(match["vars"], self.routed()) for match in matches):
                (only,) = rule["weighted_upstreams"]
                self.upstream_id = only["upstream_id"]
                return

    def mirror(self, conf: Mapping[str, Any]) -> None:
        """proxy-mirror, which runs before proxy-rewrite unless it is told otherwise, and then copies a decoded path."""
        assert set(conf) <= {"host", "sample_ratio", "_meta"}
        assert self._variables["upstream_uri"], "the copy would have the path as nginx has decoded it"
        self.answer.mirror = conf["host"]
        self.answer.mirrored_share = conf.get("sample_ratio", 1)

    def ask(self, upstream: Mapping[str, Any], origin: Headers) -> None:
        """Forward to the upstream, whose nodes are one echo server."""
        if not upstream["nodes"]:
            self.answer.status = 503
            return
        if upstream.get("pass_host") == "rewrite":
            self._variables["upstream_host"] = upstream["upstream_host"]
        elif upstream.get("pass_host") == "node":
            self._variables["upstream_host"] = upstream["nodes"][0]["host"]
        if not self._variables["upstream_uri"]:
            self._variables["upstream_uri"] = self._wire.target
        self.answer.headers = list(origin)
        self.answer.upstream_port = upstream["nodes"][0]["port"]
        self.answer.target = str(self._variables["upstream_uri"])
        self.answer.host = str(self._variables["upstream_host"])
        self.answer.request_headers = list(self.headers)

    def rewrite_response(self, conf: Mapping[str, Any]) -> None:
        """response-rewrite."""
        assert set(conf) <= {"headers", "vars", "_meta"}, set(conf)
        if "vars" in conf and not holds(conf["vars"], self.routed()):
            return
        headers = conf["headers"]
        for line in headers.get("add", []):
            parsed = re.match(r"([^:\s]+)\s*:\s*([^:]+)\Z", line)
            assert parsed is not None, line
            self.answer.headers.append((parsed[1].lower(), self.resolve(parsed[2])))
        for name, template in headers.get("set", {}).items():
            value = self.resolve(template)
            self.answer.headers = [pair for pair in self.answer.headers if pair[0] != name.lower()]
            self.answer.headers += [(name.lower(), value)] if value else []
        for name in headers.get("remove", []):
            self.answer.headers = [pair for pair in self.answer.headers if pair[0] != name.lower()]


class Plugin(NamedTuple):
    """When a plugin runs and what it does."""

    priority: int
    phase: int
    run: Callable[[Exchange, Mapping[str, Any]], None]


PLUGINS = {
    "client-control": Plugin(22000, _REWRITE, Exchange.control_client),
    "fault-injection": Plugin(11000, _REWRITE, Exchange.inject_fault),
    "proxy-rewrite": Plugin(1008, _REWRITE, Exchange.rewrite),
    "grpc-web": Plugin(505, _ACCESS, Exchange.translate_grpc_web),
    "proxy-mirror": Plugin(1010, _REWRITE, Exchange.mirror),
    "redirect": Plugin(900, _REWRITE, Exchange.redirect),
    "mocking": Plugin(10900, _ACCESS, Exchange.mock),
    "traffic-split": Plugin(966, _ACCESS, Exchange.split),
    "prometheus": Plugin(500, _RESPONSE, Exchange.watch),
    "file-logger": Plugin(399, _RESPONSE, Exchange.watch),
    "request-id": Plugin(12015, _REWRITE, Exchange.identify),
    "real-ip": Plugin(23000, _REWRITE, Exchange.detect_address),
    "response-rewrite": Plugin(899, _RESPONSE, Exchange.rewrite_response),
    "forward-auth": Plugin(2002, _ACCESS, authorization.ask),
    "limit-conn": Plugin(1003, _ACCESS, limit.limit_conn),
    "limit-count": Plugin(1002, _ACCESS, limit.limit_count),
    "workflow": Plugin(1006, _ACCESS, limit.workflow),
    "limit-req": Plugin(1001, _ACCESS, limit.limit_req),
    "consumer-restriction": Plugin(2400, _ACCESS, consumer_restriction),
    "jwt-auth": Plugin(2510, _REWRITE, jwt_auth),
    "key-auth": Plugin(2500, _REWRITE, key_auth),
    "openid-connect": Plugin(2599, _REWRITE, openid_connect),
}
"""Every plugin that translations use has its row here: what the model does not know it must not pass over."""


class _Variables(dict[str, Any]):
    """Variables that are read when they are asked for, because reading caches them."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def get(self, name: str, default: Any = None) -> Any:
        value = self._exchange.variable(name)
        return default if value is None else value


def _group(found: re.Match[str], index: int) -> str:
    return (found[index] or "") if index <= (found.re.groups) else ""


def _replaced(reference: re.Match[str], found: re.Match[str]) -> str:
    if reference[0] == "$$":
        return "$"
    return _group(found, int(reference[1] or reference[2]))
