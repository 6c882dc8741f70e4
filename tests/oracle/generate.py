"""Random configurations and requests by seed, in four levels of difficulty.

1: prefixes, exact paths, path-separated prefixes, hosts. 2: conditions, weights, rewrites, mutations, redirects, direct
responses. 3: regexes, wildcard domains, ports, several listeners. 4: adversarial paths and headers.
A level has everything of the levels below it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.apisix_model import WireRequest
from tests.oracle.filter_chain import add_filters, addressed

CLUSTERS = ("c0", "c1", "c2", "c3")
SEGMENTS = ("a", "ab", "abc", "b", "v1", "api", "f.g", "A", "x-y", "~u", "a_b")
ODD_SEGMENTS = ("a+b", "(c)", "$d", ":e", "*", "h|i", "{j}", "[m]", "k;l", "a'b", "a!b", "a,b", "a=b", "a&b", "@")
RAW_TAILS = (
    "/%2F", "//", "/..", "/../a", "/.", "/./a", "/%41", "/*", "/:x", "/+", "/$1", "/%2e%2e/a", "/a%20b", "/%25", "/%zz",
    "/%00", "/a%3Fb", "/%5C", "/%0A", "/%e4", "/;p=1", "/a%2fb", "/a//b", "/" + "l" * 3000,
    "/%7Euser", "/#f", "/|", "/^",
)  # fmt: skip
REGEXES = (
    "/.*", "/a.*", "/v[0-9]+(/.*)?", "/a|/ab", "/[^/]+", "^/ab?$", "/(a|b)/([^/]+)", "/api/(v1|b).*", "/a/.+", ".*/b",
    "/(?i:abc)", "/f\\.g", "/\\w+/\\d*", "/a{1,2}b?", "/[a-c]*",
)  # fmt: skip
PLAIN_DOMAINS = ("*", "foo.com", "a.foo.com", "FOO.org", "bar.com")
WILD_DOMAINS = (
    "*.foo.com", "*.com", "*-x.foo.com", "foo.*", "a.*", "b-*", "foo.com:8080", "a.foo.com:81", "*.foo.com:8080",
    "foo.com:*", "*:81", "a.foo.*",
)  # fmt: skip
PLAIN_HOSTS = ("foo.com", "a.foo.com", "foo.org", "bar.com", "other.net", "FOO.com")
WILD_HOSTS = ("b.a.foo.com", "q-x.foo.com", "foo.net", "a.net", "b-1", ".foo.com", "-x.foo.com", "a.foo.org")
QUERIES = ("", "", "q", "q=", "q=1", "q=12&q=1", "r=1&q=1", "qq=1", "q=a.c", "&q=1", "q=1=2", "r", "q=%31", "q=a?b")
VALUES = ("x", "X", "xy", "5", "+7", "5.5", "12", "a b", "")
HEADER_NAMES = ("x-h", "x-other")
MUTATED = ("x-h", "x-new", "x-two", "x-up", "x-gone", "x-other")
LITERALS = ("v", "w", "a b", "a,b", "1$2", "$host", "${x}", "100%%", "q?r", "\\d", "a;b", "{}", "x:y", "z/")
FORMATS = (
    "%REQ(x-h)%", "%REQ(:method)%", "p-%REQ(x-other)%-s", "%PROTOCOL%", "%REQ(:path)%", "%REQ(:authority)%",
    "%ROUTE_NAME%", "%DOWNSTREAM_LOCAL_PORT%",
)  # fmt: skip
ACTIONS = ("APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS")
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


@dataclass(frozen=True)
class Scene:
    """One generated case.

    Attributes:
        listeners: as JSON data, each with its routes inside.
        requests: what is asked of them.
    """

    level: int
    seed: int
    listeners: list[dict[str, Any]]
    requests: list[WireRequest] = field(default_factory=list)


def generate(level: int, seed: int, ports: list[int], request_count: int = 40) -> Scene:
    """Generate a case.

    Args:
        level: 1..4.
        seed: the same seed gives the same case, the ports aside.
        ports: at least two for listeners.
        request_count: how many requests.
    """
    return _Generator(level, seed).scene(ports, request_count)


class _Generator:
    def __init__(self, level: int, seed: int) -> None:
        self._random = random.Random(f"{level}/{seed}")
        self._level = level
        self._seed = seed
        self._paths: list[str] = ["/"]
        self._odd = SEGMENTS if level < 3 else SEGMENTS + ODD_SEGMENTS

    def scene(self, ports: list[int], request_count: int) -> Scene:
        count = 2 if self._level >= 3 and self._chance(0.3) else 1
        listeners = [self._listener(index, ports[index]) for index in range(count)]
        kinds = [kind for listener in listeners for kind in add_filters(listener, self._level, self._seed)]
        requests = [self._request(self._pick(ports[:count])) for _ in range(request_count)]
        requests = addressed(requests, kinds, self._level, self._seed)
        return Scene(self._level, self._seed, listeners, requests)

    def _pick(self, values: Any) -> Any:
        return self._random.choice(values)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _listener(self, index: int, port: int) -> dict[str, Any]:
        name = f"l{self._level}-{self._seed}-{index}"
        normalises = self._level < 4 or self._chance(0.7)
        hcm: dict[str, Any] = {
            "@type": HCM,
            "stat_prefix": name,
            "generate_request_id": False,
            "normalize_path": normalises,
            "merge_slashes": normalises,
            "route_config": self._route_config(f"r{index}"),
            "http_filters": [
                {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True}}
            ],
        }
        if self._level >= 3 and self._chance(0.2):
            hcm[self._pick(["strip_any_host_port", "strip_matching_host_port", "strip_trailing_host_dot"])] = True
        if hcm.get("strip_any_host_port") or hcm.get("strip_matching_host_port"):
            hcm["route_config"].pop("ignore_port_in_host_matching", None)
        return {
            "name": name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [
                {
                    "name": "main",
                    "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}],
                }
            ],
        }

    def _route_config(self, name: str) -> dict[str, Any]:
        domains = list(PLAIN_DOMAINS if self._level < 3 else PLAIN_DOMAINS + WILD_DOMAINS)
        self._random.shuffle(domains)
        domains = domains[: self._random.randint(1, min(len(domains), 8))]
        count = self._random.randint(1, min(len(domains), 4))
        virtual_hosts = [self._virtual_host(f"v{n}", domains[n::count]) for n in range(count)]
        config = {"name": name, "virtual_hosts": virtual_hosts, **self._mutations(0.15)}
        if self._level >= 2 and self._chance(0.5):
            marker = {"header": {"key": "x-route", "value": "%ROUTE_NAME%"}, "append_action": ACTIONS[2]}
            config.setdefault("response_headers_to_add", []).append(marker)
        if self._level >= 2 and self._chance(0.3):
            config["most_specific_header_mutations_wins"] = True
        if self._level >= 3 and self._chance(0.4):
            config["ignore_port_in_host_matching"] = True
        return config

    def _virtual_host(self, name: str, domains: list[str]) -> dict[str, Any]:
        routes = [self._route(f"{name}-r{n}") for n in range(self._random.randint(1, 7))]
        built = {"name": name, "domains": domains, "routes": routes, **self._mutations(0.15)}
        if self._level >= 2 and self._chance(0.05):
            built["require_tls"] = "ALL"
        return built

    def _path(self, *, is_closed: bool = False) -> str:
        pieces = [self._pick(self._odd) for _ in range(self._random.randint(0 if not is_closed else 1, 3))]
        path = "/" + "/".join(pieces) + ("/" if pieces and not is_closed and self._chance(0.25) else "")
        self._paths.append(path)
        return path

    def _route(self, name: str) -> dict[str, Any]:
        match = self._match()
        route: dict[str, Any] = {"name": name, "match": match}
        draw = self._random.random() if self._level >= 2 else 0
        if draw < 0.7:
            route["route"] = self._action(match)
        elif draw < 0.85:
            route["redirect"] = self._redirect(match)
        else:
            body = self._pick(["hello", "", "1$2 ${uri} $host", "100%", "{}", "\\$x"])
            status = self._pick([200, 201, 204, 302, 403, 404, 418, 503])
            route["direct_response"] = {
                "status": status,
                **({"body": {"inline_string": body}} if body and status != 204 else {}),
            }
        return {**route, **self._mutations(0.4)}

    def _match(self) -> dict[str, Any]:
        kind = self._random.random()
        match: dict[str, Any]
        if self._level >= 3 and kind < 0.15:
            match = {"safe_regex": {"regex": self._pick(REGEXES)}}
        elif kind < 0.6:
            match = {"prefix": self._path()}
        elif kind < 0.85:
            match = {"path": self._path()}
        else:
            match = {"path_separated_prefix": self._path(is_closed=True)}
        if self._level < 2:
            return match
        if "safe_regex" not in match and self._chance(0.1):
            match["case_sensitive"] = False
        if self._chance(0.35):
            match["headers"] = [self._header_matcher() for _ in range(self._pick([1, 1, 2]))]
        if self._chance(0.15):
            match["query_parameters"] = [self._query_matcher()]
        if self._chance(0.06):
            match["runtime_fraction"] = {"default_value": {"numerator": self._pick([0, 50, 100])}}
        if self._chance(0.04):
            match["grpc"] = {}
        return match

    def _query_matcher(self) -> dict[str, Any]:
        if self._chance(0.3):
            return {"name": "q", **({"present_match": self._chance(0.6)} if self._chance(0.7) else {})}
        return {"name": "q", "string_match": self._string_match()}

    def _string_match(self) -> dict[str, Any]:
        if self._chance(0.2):
            return {"safe_regex": {"regex": self._pick(["x.*", "x?", "[0-9]+", "a.c", "1", ".*", "(x|y)+"])}}
        kind = self._pick(["exact", "prefix", "suffix", "contains"])
        values = VALUES if kind == "exact" else [value for value in VALUES if value]
        return {kind: self._pick([*values, "1", "a.c"]), **({"ignore_case": True} if self._chance(0.3) else {})}

    def _header_matcher(self) -> dict[str, Any]:
        if self._chance(0.25):
            return {"name": ":method", "string_match": {"exact": self._pick(["GET", "POST", "PROPFIND"])}}
        specifier = self._pick(
            [
                {},
                {"present_match": self._chance(0.7)},
                {"string_match": self._string_match()},
                {"string_match": self._string_match()},
                {"range_match": {"start": self._random.randint(-2, 8), "end": self._random.randint(9, 13)}},
            ]
        )
        return {
            "name": self._pick(HEADER_NAMES),
            **specifier,
            **({"invert_match": True} if self._chance(0.25) else {}),
            **({"treat_missing_header_as_empty": True} if self._chance(0.15) else {}),
        }

    def _action(self, match: dict[str, Any]) -> dict[str, Any]:
        action: dict[str, Any] = {}
        if self._level < 2 or not self._chance(0.25):
            action["cluster"] = self._pick(CLUSTERS)
        else:
            action["weighted_clusters"] = {"clusters": self._weighted()}
        if self._level < 2:
            return action
        if self._chance(0.3):
            action.update(self._rewrite(match))
        if self._chance(0.2):
            action["host_rewrite_literal"] = self._pick(["rewritten.com", "a_b.c", "h.com:81"])
        return action

    def _weighted(self) -> list[dict[str, Any]]:
        names = self._random.sample(CLUSTERS, self._random.randint(1, 3))
        entries = [{"name": name, "weight": self._pick([0, 1, 2, 3])} for name in names]
        entries[0]["weight"] = entries[0]["weight"] or 1
        if self._chance(0.3):
            entries = [{**entry, **self._mutations(0.7)} for entry in entries]
        return entries

    def _rewrite(self, match: dict[str, Any]) -> dict[str, Any]:
        if "safe_regex" in match or self._chance(0.25):
            pattern, substitution = self._pick(
                [
                    ("^/([^/]+)/(.*)$", "/\\2/\\1"),
                    ("^/a", "/z"),
                    ("^/(.*)$", "/s/\\1"),
                    ("b", "B"),
                    ("^.*$", "/one"),
                    ("/$", "/e$0"),
                ]
            )
            return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": substitution}}
        return {"prefix_rewrite": self._pick(["/", "/new", "/new/", "/n$w", "/n.w/x"])}

    def _redirect(self, match: dict[str, Any]) -> dict[str, Any]:
        redirect: dict[str, Any] = {}
        if self._chance(0.4):
            redirect.update(
                self._pick([{"https_redirect": True}, {"scheme_redirect": "https"}, {"scheme_redirect": "HTTP"}])
            )
        if self._chance(0.4):
            redirect["host_redirect"] = self._pick(["to.com", "to.com:99", "TO.com"])
        if self._chance(0.2):
            redirect["port_redirect"] = self._pick([80, 443, 8443])
        if self._chance(0.7):
            redirect.update(self._redirected_path(match))
        if self._chance(0.3):
            redirect["strip_query"] = True
        if self._chance(0.5):
            redirect["response_code"] = self._pick(["FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT", "PERMANENT_REDIRECT"])
        return redirect

    def _redirected_path(self, match: dict[str, Any]) -> dict[str, Any]:
        if self._chance(0.4):
            return {"path_redirect": self._pick(["/p", "/p?x=1", "p", "/$host"])}
        return self._rewrite(match)

    def _mutations(self, probability: float) -> dict[str, Any]:
        if self._level < 2:
            return {}
        built: dict[str, Any] = {}
        for side in ("request", "response"):
            if self._chance(probability):
                built[f"{side}_headers_to_add"] = [self._mutation(side) for _ in range(self._pick([1, 1, 2, 3]))]
            if self._chance(probability / 2):
                built[f"{side}_headers_to_remove"] = [self._pick(MUTATED)]
        return built

    def _mutation(self, side: str) -> dict[str, Any]:
        formats = FORMATS if side == "request" else (*FORMATS, "%RESP(x-up)%", "%RESPONSE_CODE%")
        value = self._pick(LITERALS) if self._chance(0.7) else self._pick(formats)
        option: dict[str, Any] = {"header": {"key": self._pick(MUTATED), "value": value}}
        if self._chance(0.7):
            option["append_action"] = self._pick(ACTIONS)
        if self._chance(0.05):
            option["header"]["value"] = ""
            option["keep_empty_value"] = self._chance(0.5)
        return option

    def _request(self, port: int) -> WireRequest:
        host = self._pick(PLAIN_HOSTS if self._level < 3 else PLAIN_HOSTS + WILD_HOSTS)
        if self._level >= 3:
            host += self._pick(["", "", "", ":8080", ":81", ":80", ":443", ":9999", f":{port}", "."])
        base = self._pick(self._paths)
        path = base + self._pick(["", "", "", "x", "/", "/a", "/a/b", "/b"])
        if self._level >= 3 and self._chance(0.3):
            path = "/" + "/".join(self._pick(["a", "b", "ab", "v1", "v2", "api", "ABC", "abc"]) for _ in range(2))
        if self._level >= 4 and self._chance(0.5):
            path = (base if self._chance(0.7) else "") + self._pick(RAW_TAILS) + self._pick(["", "", "/a"])
        if self._level >= 2 and self._chance(0.1):
            path = path.swapcase()
        path = path.replace("//", "/") if self._level < 4 else path
        query = self._pick(QUERIES) if self._level >= 2 else ""
        target = path + (f"?{query}" if query else "")
        return WireRequest(
            self._pick(["GET", "GET", "POST", "PROPFIND"]) if self._level >= 2 else "GET",
            target,
            host,
            tuple(self._headers()),
            port,
        )

    def _headers(self) -> list[tuple[str, str]]:
        if self._level < 2:
            return []
        found = [(name, self._pick(VALUES)) for name in HEADER_NAMES if self._chance(0.5)]
        if self._chance(0.2):
            found.append(("x-gone", "g"))
        if self._chance(0.1):
            found.append(("content-type", self._pick(["application/grpc", "application/grpc+proto", "text/plain"])))
        if self._level >= 4 and self._chance(0.3):
            found.append(
                self._pick([("x_h", "x"), ("x-h", "second"), ("x-two", "$host"), ("x.dot", "1"), ("x-h", "ä")])
            )
        return found
