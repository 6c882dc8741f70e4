"""Random route configurations and requests that hit them, for differential tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hypothesis import strategies as st

from tests.oracle.envoy import Call
from tests.oracle.router import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

DOMAINS = (
    "*", "foo.com", "a.foo.com", "FOO.org", "foo.com:8080", "a.foo.com:81", "*.foo.com", "*.com", "*-x.foo.com",
    "*.foo.com:8080", "foo.*", "foo.com:*", "*:81", "a.*", "bar.*", "b-*",
)  # fmt: skip
HOSTS = (
    "foo.com", "a.foo.com", "foo.org", "FOO.com", "b.a.foo.com", "q-x.foo.com", "foo.net", "a.net", "bar.com", "b-1",
    "other", ".foo.com", "-x.foo.com",
)  # fmt: skip
PORTS = ("", ":8080", ":81", ":9999")
SEGMENTS = ("a", "ab", "a+b", "(c)", "$d", ":e", "*", "f.g", "v1", "", "A", "h|i", "{j}", "k\\l", "[m]")
HEADER_VALUES = ("", "x", "X", "xy", "5", "+7", "5.5", "0x5", "12")
QUERIES = ("", "q", "q=", "q=1", "q=12&q=1", "r=1&q=1", "qq=1", "q=a.c", "&q=1", "q=1=2", "r")


def paths() -> st.SearchStrategy[str]:
    """Normalised paths without escapes."""
    return st.lists(st.sampled_from(SEGMENTS), min_size=0, max_size=3).map(
        lambda pieces: "/" + "/".join(piece for piece in pieces[:-1] if piece) + ("/" if len(pieces) > 1 else "")
        + (pieces[-1] if pieces else "")
    ).map(lambda path: path.replace("//", "/"))  # fmt: skip


def string_matchers() -> st.SearchStrategy[dict[str, Any]]:
    """StringMatchers of all kinds but custom."""
    text = st.sampled_from(HEADER_VALUES)
    literal = st.builds(
        lambda kind, value, ignore_case: {kind: value, "ignore_case": ignore_case},
        st.sampled_from(["exact", "prefix", "suffix", "contains"]),
        text,
        st.booleans(),
    )
    regex = st.sampled_from(["x.*", "", "x?", "[0-9]+", "a.c", "1", ".*", "[^x]+", "(x|y)+"])
    return literal | regex.map(lambda value: {"safe_regex": {"regex": value}})


def header_matchers() -> st.SearchStrategy[dict[str, Any]]:
    """HeaderMatchers with every specifier, the deprecated ones too."""
    text = st.sampled_from(HEADER_VALUES)
    specifier = st.one_of(
        st.just({}),
        st.booleans().map(lambda value: {"present_match": value}),
        text.map(lambda value: {"exact_match": value}),
        st.sampled_from(["prefix_match", "suffix_match", "contains_match"]).flatmap(
            lambda kind: text.map(lambda value: {kind: value})
        ),
        st.sampled_from(["x.*", "[0-9]+", ""]).map(lambda value: {"safe_regex_match": {"regex": value}}),
        string_matchers().map(lambda value: {"string_match": value}),
        st.tuples(st.integers(-2, 8), st.integers(0, 13)).map(
            lambda pair: {"range_match": {"start": pair[0], "end": pair[0] + pair[1]}}
        ),
    )
    return st.builds(
        lambda name, kind, invert, missing: {
            "name": name,
            **kind,
            "invert_match": invert,
            "treat_missing_header_as_empty": missing,
        },
        st.sampled_from(["x-h", "X-Other", "x_u"]),
        specifier,
        st.booleans(),
        st.booleans(),
    )


def query_matchers() -> st.SearchStrategy[dict[str, Any]]:
    """QueryParameterMatchers."""
    specifier = st.one_of(
        st.just({}),
        st.booleans().map(lambda value: {"present_match": value}),
        string_matchers().map(lambda value: {"string_match": value}),
    )
    return specifier.map(lambda kind: {"name": "q", **kind})


def route_matches() -> st.SearchStrategy[dict[str, Any]]:
    """RouteMatches; most have no condition beside the path, as in real configurations."""
    regexes = st.sampled_from(
        ["/.*", "/a.*", "/v[0-9]+(/.*)?", "/a|/ab", "/a\\+b/.*", "/[^/]+", "^/ab?$", "/\\(c\\).*"]
    )
    path = st.one_of(
        paths().map(lambda text: {"prefix": text}),
        paths().map(lambda text: {"path": text}),
        paths().filter(lambda text: not text.endswith("/")).map(lambda text: {"path_separated_prefix": text}),
        regexes.map(lambda text: {"safe_regex": {"regex": text}}),
        paths().map(lambda text: {"prefix": text, "case_sensitive": False}),
        paths().map(lambda text: {"path": text, "case_sensitive": False}),
    )
    fraction = st.sampled_from([0, 1, 30, 99, 100])
    condition = st.one_of(
        st.just({}),
        st.just({}),
        header_matchers().map(lambda matcher: {"headers": [matcher]}),
        st.lists(header_matchers(), min_size=2, max_size=2).map(lambda matchers: {"headers": matchers}),
        st.sampled_from(["GET", "POST", "PROPFIND"]).map(
            lambda method: {"headers": [{"name": ":method", "string_match": {"exact": method}}]}
        ),
        query_matchers().map(lambda matcher: {"query_parameters": [matcher]}),
        fraction.map(lambda value: {"runtime_fraction": {"default_value": {"numerator": value}}}),
        st.just({"grpc": {}}),
    )
    return st.builds(lambda one, two: {**one, **two}, path, condition)


@st.composite
def route_configs(draw: st.DrawFn) -> dict[str, Any]:
    """RouteConfigurations with unique domains; each route is known by its name."""
    domains = draw(st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=8, unique_by=str.lower))
    count = draw(st.integers(1, len(domains)))
    virtual_hosts = []
    for index in range(count):
        matches = draw(st.lists(route_matches(), min_size=0, max_size=7))
        virtual_hosts.append(
            {
                "name": f"vh{index}",
                "domains": domains[index::count],
                "routes": [
                    {"name": f"vh{index}r{n}", "match": match, "route": {"cluster": "c"}}
                    for n, match in enumerate(matches)
                ],
            }
        )
    return {"virtual_hosts": virtual_hosts, "ignore_port_in_host_matching": draw(st.booleans())}


@st.composite
def calls(draw: st.DrawFn, config: Mapping[str, Any]) -> Call:
    """A request, mostly for paths that the configuration knows."""
    known = [
        match.get("prefix") or match.get("path") or match.get("path_separated_prefix") or "/v1"
        for virtual_host in config["virtual_hosts"]
        for match in (route["match"] for route in virtual_host["routes"])
    ]
    base = draw(st.sampled_from(known) if known and draw(st.booleans()) else paths())
    path = base + draw(st.sampled_from(["", "", "x", "/", "/a", "/a/b"]))
    query = draw(st.sampled_from(QUERIES))
    headers = {name: draw(st.sampled_from(HEADER_VALUES)) for name in ("x-h", "x-other", "x_u") if draw(st.booleans())}
    if draw(st.integers(0, 4)) == 0:
        headers["content-type"] = draw(st.sampled_from(["application/grpc", "application/grpc+proto", "text/plain"]))
    return Call(
        draw(st.sampled_from(HOSTS)) + draw(st.sampled_from(PORTS)),
        path.replace("//", "/") + (f"?{query}" if query else ""),
        draw(st.sampled_from(["GET", "POST", "PROPFIND"])),
        headers,
        draw=(2 * draw(st.integers(0, 99)) + 1) / 200,
    )


def request_of(call: Call, *, port: int = 8080) -> Request:
    """Give the request as nginx sees it."""
    raw_path, _, query = call.path.partition("?")
    host = call.authority.lower()
    host = host[: host.rindex(":")] if ":" in host else host
    variables: dict[str, Any] = {
        "server_port": str(port),
        "scheme": call.scheme,
        "http_host": call.authority,
        "real_request_uri": call.path,
        "request_id": f"{int(call.draw * 16**4):04x}" + "0" * 28,
        "args": query if "?" in call.path else None,
    }
    for name, value in call.headers.items():
        variables["http_" + name.lower().replace("-", "_")] = value
    return Request(host.removesuffix("."), unquote(raw_path), call.method, variables)
