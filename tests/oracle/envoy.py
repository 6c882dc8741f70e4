"""A model of how Envoy chooses a virtual host and a route, written from config_impl.cc and header_utility.cc.

It reads the protos as they are and is written as plainly as possible: it is what the translation is compared with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas import xds


@dataclass(frozen=True)
class Call:
    """A request as Envoy sees it: raw path with its query, authority as sent; `draw` is in [0, 1)."""

    authority: str
    path: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    scheme: str = "http"
    draw: float = 0.0

    def header(self, name: str) -> str | None:
        pseudo = {
            ":authority": self.authority,
            ":path": self.path,
            ":method": self.method,
            ":scheme": self.scheme,
        }
        return pseudo[name] if name in pseudo else self.headers.get(name.lower())


def find_virtual_host(config: xds.Message, call: Call) -> xds.Message | None:
    """RouteMatcher::findVirtualHost: exact, suffix wildcards, prefix wildcards, `*`; the longest wins."""
    host = call.authority.lower()
    if config.ignore_port_in_host_matching:
        host = re.sub(r"(?<=[^:\]]):\d+\Z|(?<=\]):\d+\Z", "", host)
    ranked: list[tuple[int, int, xds.Message]] = []
    for virtual_host in config.virtual_hosts:
        for domain in (d.lower() for d in virtual_host.domains):
            if domain == "*":
                ranked.append((0, 0, virtual_host))
            elif domain.startswith("*"):
                if len(host) > len(domain) - 1 and host.endswith(domain[1:]):
                    ranked.append((2, len(domain), virtual_host))
            elif domain.endswith("*"):
                if len(host) > len(domain) - 1 and host.startswith(domain[:-1]):
                    ranked.append((1, len(domain), virtual_host))
            elif domain == host:
                ranked.append((3, 0, virtual_host))
    return max(ranked, key=lambda rank: rank[:2])[2] if ranked else None


def find_route(config: xds.Message, call: Call) -> xds.Message | None:
    """Give the first route that matches; None when Envoy answers 404."""
    virtual_host = find_virtual_host(config, call)
    if virtual_host is None:
        return None
    return next((route for route in virtual_host.routes if route_matches(route.match, call)), None)


def route_matches(match: xds.Message, call: Call) -> bool:
    """RouteEntryImplBase::matchRoute and the path matchers."""
    if not path_matches(match, call.path.partition("?")[0]):
        return False
    if match.HasField("runtime_fraction"):
        fraction = match.runtime_fraction.default_value
        if call.draw >= fraction.numerator / (100, 10_000, 1_000_000)[fraction.denominator]:
            return False
    if match.HasField("grpc") and not re.fullmatch(r"application/grpc(\+.*)?", call.header("content-type") or ""):
        return False
    return all(header_matches(header, call.header(header.name)) for header in match.headers) and all(
        query_matches(parameter, call.path.partition("?")[2]) for parameter in match.query_parameters
    )


def path_matches(match: xds.Message, path: str) -> bool:
    """The path specifiers."""
    kind = match.WhichOneof("path_specifier")
    if kind == "safe_regex":
        return re.compile(match.safe_regex.regex).fullmatch(path) is not None
    text = getattr(match, kind)
    if match.HasField("case_sensitive") and not match.case_sensitive.value:
        text, path = text.lower(), path.lower()
    if kind == "prefix":
        return path.startswith(text)
    if kind == "path":
        return path == text
    assert kind == "path_separated_prefix"
    return path == text or path.startswith(f"{text}/")


def header_matches(header: xds.Message, value: str | None) -> bool:
    """HeaderUtility::matchHeaders."""
    kind = header.WhichOneof("header_match_specifier")
    if kind in (None, "present_match"):
        exists = value is not None or header.treat_missing_header_as_empty
        return (exists == (header.present_match if kind else True)) != header.invert_match
    if value is None and not header.treat_missing_header_as_empty:
        return False
    return _value_matches(header, kind, value or "") != header.invert_match


def _value_matches(header: xds.Message, kind: str, value: str) -> bool:
    if kind == "range_match":
        if not re.fullmatch(r"[+-]?[0-9]+", value):
            return False
        return header.range_match.start <= int(value) < header.range_match.end
    if kind == "string_match":
        return string_matches(header.string_match, value)
    if kind == "safe_regex_match":
        return re.compile(header.safe_regex_match.regex).fullmatch(value) is not None
    text = getattr(header, kind)
    return {
        "exact_match": not text or value == text,
        "prefix_match": value.startswith(text),
        "suffix_match": value.endswith(text),
        "contains_match": text in value,
    }[kind]


def string_matches(matcher: xds.Message, value: str) -> bool:
    """StringMatcherImpl::match."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return re.compile(matcher.safe_regex.regex).fullmatch(value) is not None
    text = getattr(matcher, kind)
    if matcher.ignore_case:
        text, value = text.lower(), value.lower()
    return {
        "exact": value == text,
        "prefix": value.startswith(text),
        "suffix": value.endswith(text),
        "contains": text in value,
    }[kind]


def query_matches(parameter: xds.Message, query: str) -> bool:
    """QueryParameterMatcher::matches: the first occurrence, not decoded."""
    first: str | None = None
    for piece in query.split("&"):
        name, _, value = piece.partition("=")
        if piece and name == parameter.name:
            first = value
            break
    kind = parameter.WhichOneof("query_parameter_match_specifier")
    if kind == "present_match":
        return (first is not None) == parameter.present_match
    if first is None:
        return False
    return kind is None or string_matches(parameter.string_match, first)
