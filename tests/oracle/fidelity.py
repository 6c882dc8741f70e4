"""Compare the real Envoy with the model of APISIX on what was translated; every difference must be accounted for.

A difference is accounted for by a diagnostic of the translation whose path covers it, or by a row of LIMITS, which are
the limits of exactness that mapping.md documents. Whatever is left is a defect.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from schemas import xds
from schemas.records import Diagnostic, Severity
from tests.golden.case import units_of
from tests.oracle.apisix_model import Answer, Node, WireRequest
from tests.oracle.envoy import Call, find_route
from tests.oracle.envoy_process import ECHO_HEADERS, Client, EnvoyError, envoy, free_ports, upstreams
from tests.oracle.generate import CLUSTERS, Scene, generate
from tests.oracle.nginx_uri import BadRequestError, escaped, normalised
from translators import translate
from translators.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.oracle.wire import Exchange

_OF_THE_PROXY = re.compile(
    r"host|content-length|content-type|connection|transfer-encoding|user-agent|date|server|location"
    r"|x-forwarded-.*|x-request-id|x-envoy-.*|x-real-ip|x-echo|grpc-.*"
)
"""Headers that the proxies themselves write, or that are compared as something else."""
_ATTEMPTS = 3
"""A port that was free may be taken when Envoy wants it."""
_DRAWS = [f"{draw:04x}" for draw in range(0x0800, 0x10000, 0x1000)]


@dataclass(frozen=True)
class Seen:
    """What one side did with a request, in comparable form."""

    status: int
    cluster: str = ""
    method: str = ""
    target: str = ""
    host: str = ""
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    location: str = ""
    content_type: str = ""
    body: str = ""


ASPECTS = tuple(Seen.__dataclass_fields__)


@dataclass(frozen=True)
class Difference:
    """A request whose outcome differs.

    Attributes:
        aspects: fields of Seen in which the sides differ.
        envoy: what Envoy did.
        apisix: the most similar of what APISIX may do.
        routes: names of the Envoy routes that the sides may have taken; empty = none.
    """

    scene: Scene
    request: WireRequest
    aspects: frozenset[str]
    envoy: Seen
    apisix: Seen
    routes: frozenset[str]

    def __str__(self) -> str:
        rows = [f"  {a}: envoy {getattr(self.envoy, a)!r}, apisix {getattr(self.apisix, a)!r}" for a in self.aspects]
        head = f"level {self.scene.level} seed {self.scene.seed}: {self.request} routes {sorted(self.routes)}"
        return "\n".join([head, *sorted(rows)])


def _headers(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Join repeated headers, which mean the same as one list (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if not _OF_THE_PROXY.fullmatch(name):
            found[name] = f"{found[name]},{value}" if name in found else value
    return {name: re.sub(r"\s*,\s*", ",", value) for name, value in found.items()}


def _text_type(value: str) -> str:
    """Nginx appends its charset to text types (mapping.md section 14.15)."""
    return value.removesuffix("; charset=utf-8")


def seen_of_envoy(exchange: Exchange) -> Seen:
    """Read what Envoy and the upstream behind it answered."""
    known = dict(exchange.headers)
    common: dict[str, Any] = {
        "status": exchange.status,
        "response_headers": _headers(exchange.headers),
        "location": known.get("location", ""),
        "content_type": _text_type(known.get("content-type", "")),
    }
    echo = known.get("x-echo") or (exchange.body.decode() if exchange.body.startswith(b'{"cluster"') else "")
    if not echo:
        return Seen(**common, body=exchange.body.decode("latin-1"))
    upstream = json.loads(echo)
    pairs = [(name, value) for name, value in upstream["headers"]]
    return Seen(
        **common,
        cluster=upstream["cluster"],
        method=upstream["method"],
        target=upstream["target"],
        host=dict(pairs)["host"],
        request_headers=_headers(pairs),
    )


def seen_of_model(answer: Answer, request: WireRequest, clusters: dict[int, str]) -> Seen:
    """Bring the model's answer into the same form."""
    known = dict(answer.headers)
    return Seen(
        status=answer.status,
        cluster=clusters[answer.upstream_port] if answer.upstream_port else "",
        method=request.method if answer.upstream_port else "",
        target=answer.target,
        host=answer.host,
        request_headers=_headers(answer.request_headers),
        response_headers=_headers(answer.headers),
        location=known.get("location", ""),
        content_type=_text_type(known.get("content-type", "")),
        body="" if answer.status in (204, 304) else answer.body,
    )


@dataclass
class Translation:
    """A scene's translation, loaded into the model.

    Attributes:
        node: the model.
        diagnostics: of all units.
        is_drawing: something depends on the request id.
    """

    node: Node
    diagnostics: list[Diagnostic]
    is_drawing: bool

    def answers(self, request: WireRequest) -> list[Answer]:
        """Give everything that APISIX may do, by what it draws."""
        ids = [f"{a}{b}".ljust(32, "0") for a in _DRAWS for b in _DRAWS] if self.is_drawing else ["0" * 32]
        wires = [WireRequest(**{**request.__dict__, "request_id": one}) for one in ids]
        unique: list[Answer] = []
        for wire in wires:
            answer = self.node.answer(wire, list(ECHO_HEADERS))
            if answer not in unique:
                unique.append(answer)
        return unique


def translated(scene: Scene, clusters: list[dict[str, Any]]) -> Translation:
    """Cut and translate a scene as the services do."""
    document = {"static_resources": {"listeners": scene.listeners, "clusters": clusters}}
    bundles = [translate(unit, Policy()) for unit in units_of(document)]
    objects = {found.key: orjson.loads(found.value) for bundle in bundles for found in bundle.objects}
    text = orjson.dumps(objects)
    return Translation(Node(objects), [d for b in bundles for d in b.diagnostics], b'"request_id"' in text)


def compare(
    scene: Scene, translation: Translation, request: WireRequest, envoy_seen: Seen, ports: dict[int, str]
) -> list[Difference]:
    """Give the differences of a request from everything that APISIX may do with it; none when one of these is equal."""
    found = []
    for answer in translation.answers(request):
        seen = seen_of_model(answer, request, ports)
        aspects = frozenset(a for a in ASPECTS if getattr(seen, a) != getattr(envoy_seen, a))
        if not aspects:
            return []
        routes = frozenset(name for name in (_oracle_route(scene, request), _title(answer.route)) if name)
        found.append(Difference(scene, request, aspects, envoy_seen, seen, routes))
    return found


def _title(route_name: str) -> str:
    """Read the Envoy route's name from an APISIX route's: `config/virtual host/route#hash`."""
    pieces = route_name.partition("#")[0].split("/")
    return pieces[2] if len(pieces) == 3 else ""


def _oracle_route(scene: Scene, request: WireRequest) -> str:
    config = route_config_of(scene, request.port)
    message = xds.from_json(config, xds.message_class(xds.ROUTE_CONFIGURATION)())
    call = Call(request.host, request.target, request.method, dict(request.headers))
    found = find_route(message, call)
    return "" if found is None else str(found.name)


def hcm_of(scene: Scene, port: int) -> dict[str, Any]:
    """Give the HttpConnectionManager of a port."""
    for listener in scene.listeners:
        if listener["address"]["socket_address"]["port_value"] == port:
            hcm: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
            return hcm
    raise AssertionError(f"port {port}")


def route_config_of(scene: Scene, port: int) -> dict[str, Any]:
    """Give the RouteConfiguration of a port."""
    config: dict[str, Any] = hcm_of(scene, port)["route_config"]
    return config


HEADERS = frozenset({"request_headers", "response_headers"})
COVERED: dict[str, frozenset[str]] = {
    "HDR-VALUE": HEADERS | {"host"},
    "HDR-FORMAT": HEADERS | {"body"},
    "HDR-ORDER": HEADERS,
    "RA-HOST": frozenset({"host"}),
    "RA-REDIRECT": frozenset(ASPECTS),
    "RA-CLUSTER-UNKNOWN": frozenset({"status", "cluster"}),
    "RT-REGEX": frozenset(ASPECTS),
    "RT-DECODED": frozenset(ASPECTS),
    "RT-HEADER": frozenset(ASPECTS),
    "HCM-PATH": frozenset(ASPECTS),
}
"""Which aspects a diagnostic accounts for."""


def accounts(difference: Difference, diagnostics: list[Diagnostic]) -> list[str]:
    """Say what accounts for a difference: codes and sections; empty when a part of it is a defect."""
    config = route_config_of(difference.scene, difference.request.port)
    here = [one for one in diagnostics if one.severity != Severity.INFO and _is_at(one, difference, config["name"])]
    found = set()
    for aspect, header in _points(difference):
        code = next((one.code for one in here if _covers(one, aspect, header)), "")
        section = next((f"section {one.section}" for one in LIMITS if one.explains(difference, aspect, header)), "")
        if not code and not section:
            return []
        found.add(code or section)
    return sorted(found)


def _points(difference: Difference) -> list[tuple[str, str]]:
    """Give what differs: aspects, headers by name."""
    points = []
    for aspect in difference.aspects:
        left, right = getattr(difference.envoy, aspect), getattr(difference.apisix, aspect)
        if aspect in HEADERS:
            points += [(aspect, name) for name in {*left, *right} if left.get(name) != right.get(name)]
        else:
            points.append((aspect, ""))
    return points


def _covers(one: Diagnostic, aspect: str, header: str) -> bool:
    if aspect not in COVERED.get(one.code, frozenset()):
        return False
    mutated = re.search(r"(request|response)_headers_to_add\[([^\]]*)\]", one.path)
    if mutated is None or not header:
        return True
    return aspect == f"{mutated[1]}_headers" and mutated[2].lower() == header


def _is_at(one: Diagnostic, difference: Difference, config_name: str) -> bool:
    if one.type_url == xds.LISTENER:
        return one.code == "HCM-PATH" and not is_plain(difference.request)
    if one.name != config_name:
        return False
    route = re.search(r"\.routes\[([^\]]*)\]", one.path)
    if route is not None:
        return route[1] in difference.routes
    virtual_host = re.match(r"virtual_hosts\[([^\]]*)\]", one.path)
    return virtual_host is None or any(name.startswith(f"{virtual_host[1]}-r") for name in difference.routes)


def is_plain(request: WireRequest) -> bool:
    """Tell whether a path looks the same to everyone: no escapes, dot segments, double slashes or odd characters."""
    path = request.target.partition("?")[0]
    return re.fullmatch(r"(?!.*(?://|/\.\.?(?:/|\Z)))/[A-Za-z0-9/._~!$&'()*+,;=:@-]*", path) is not None


@dataclass(frozen=True)
class Limit:
    """A documented limit of exactness.

    Attributes:
        section: of mapping.md.
        about: what the limit is.
        explains: tells whether it accounts for a difference in an aspect, and header.
    """

    section: str
    about: str
    explains: Callable[[Difference, str, str], bool]


def _hcm(difference: Difference) -> dict[str, Any]:
    return hcm_of(difference.scene, difference.request.port)


def _path(request: WireRequest) -> str:
    return request.target.partition("?")[0]


def _is_grpc(request: WireRequest) -> bool:
    return re.fullmatch(r"application/grpc(?:\+.*)?", dict(request.headers).get("content-type", "")) is not None


def _strips_host(difference: Difference) -> bool:
    hcm = _hcm(difference)
    return any(hcm.get(f"strip_{what}") for what in ("any_host_port", "matching_host_port", "trailing_host_dot"))


def _has_dotted_host(difference: Difference) -> bool:
    host = re.sub(r":\d+\Z", "", difference.request.host)
    config = route_config_of(difference.scene, difference.request.port)
    ignores = config.get("ignore_port_in_host_matching") or _hcm(difference).get("strip_any_host_port")
    return bool(ignores) and host.endswith(".")


def _is_same(difference: Difference, aspect: str, within: tuple[str, ...], *changes: Callable[[str], str]) -> bool:
    """Tell whether an aspect is one of these, and the sides are equal in it once both are changed."""
    if aspect not in within:
        return False
    left, right = getattr(difference.envoy, aspect), getattr(difference.apisix, aspect)
    for change in changes:
        left, right = change(left), change(right)
    return bool(left == right)


def _quotes(difference: Difference, aspect: str, header: str, *spellings: str) -> bool:
    """Tell whether a header differs in nothing but how it spells a part of the request."""
    if aspect not in HEADERS:
        return False
    values = [getattr(side, aspect).get(header, "") for side in (difference.envoy, difference.apisix)]
    for spelling in spellings:
        values = [value.replace(re.sub(r"\s*,\s*", ",", spelling), "\0") for value in values]
    return bool(values[0] == values[1])


def _lower_host(url: str) -> str:
    """Write the host of a URL in lower case, without trailing dot."""
    return re.sub(r"\A[^:]+://[^/]*", lambda found: re.sub(r"\.(?=:|\Z)", "", found[0].lower()), url)


def _without_port(url: str) -> str:
    """Take port and trailing dot off a host, or off the host of a URL."""
    return re.sub(r"\A((?:[A-Za-z]+://)?[^/:]*?)\.?(?::\d+)?(?=/|\Z)", r"\1", url)


def _normal_path(url: str) -> str:
    """Bring the path of a target or URL into the form that all spellings of it share."""
    base, path, query = re.fullmatch(r"((?:[A-Za-z]+://[^/]*)?)([^?]*)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr] # matches everything
    try:
        return f"{base}{escaped(normalised(path))}{query}"
    except BadRequestError:
        return url


LIMITS = (
    Limit(
        "5.8",
        "where a redirect takes off or replaces the port, the host in Location is lower-case, without trailing dot",
        lambda d, a, _: _is_same(d, a, ("location",), _lower_host, _normal_path),
    ),
    Limit(
        "14.13",
        "a redirect that strips the query and rewrites a prefix rewrites the path as it was received",
        lambda d, a, _: a == "location" and not is_plain(d.request) and "?" not in d.envoy.location + d.apisix.location,
    ),
    Limit(
        "4.6",
        "strip_*_host_port and strip_trailing_host_dot change how hosts are compared, not the Host that is forwarded",
        lambda d, a, h: (
            _strips_host(d)
            and (
                _is_same(d, a, ("location", "host"), _without_port, _normal_path)
                or _quotes(d, a, h, d.request.host, _without_port(d.request.host))
            )
        ),
    ),
    Limit(
        "5.3", "a trailing dot of the Host does not matter where ports are ignored", lambda d, *_: _has_dotted_host(d)
    ),
    Limit(
        "14.19",
        "where Envoy normalises paths it forwards them so, APISIX as they came unless it rewrites them",
        lambda d, a, h: (
            _is_same(d, a, ("location", "target"), _normal_path)
            or _quotes(d, a, h, d.request.target, _normal_path(d.request.target))
        ),
    ),
    Limit(
        "14.4",
        "a header that came empty is lost where it gets a value if absent",
        lambda d, a, h: a == "request_headers" and (h, "") in d.request.headers and h not in d.apisix.request_headers,
    ),
    Limit(
        "14.25",
        "nginx takes `x_h` and `x-h` for one header",
        lambda d, *_: any("_" in name for name, _ in d.request.headers),
    ),
    Limit(
        "14.24",
        "Envoy's own answers to gRPC requests are 200 with grpc-status",
        lambda d, *_: _is_grpc(d.request) and not d.apisix.cluster and d.envoy.status == 200,
    ),
    Limit(
        "14.21",
        "nginx answers 400 to broken escapes, NUL and paths above the root",
        lambda d, *_: d.apisix.status == 400 and not is_plain(d.request),
    ),
    Limit(
        "8",
        "an escape that Envoy keeps is what it stands for in APISIX",
        lambda d, *_: (
            re.search(r"%(?!2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])", _path(d.request)) is not None
        ),
    ),
    Limit(
        "4.6",
        "Envoy resolves dot segments before it merges slashes, nginx after; `//` alone stays `//` in Envoy",
        lambda d, *_: re.search(r"//+(?:[^/]*/)*(?:\.|%2[Ee]){2}|\A//[/.]*\Z", _path(d.request)) is not None,
    ),
    Limit(
        "14.21",
        "Envoy answers 400 to a path with `#`, which nginx takes for the end of the path",
        lambda d, *_: not d.envoy.cluster and "#" in d.request.target,
    ),
)


@dataclass
class Report:
    """What a run has found."""

    request_count: int = 0
    equal_count: int = 0
    accounts: dict[str, int] = field(default_factory=dict)
    defects: list[Difference] = field(default_factory=list)

    def add(self, differences: list[Difference], diagnostics: list[Diagnostic]) -> None:
        """Count one request."""
        self.request_count += 1
        if not differences:
            self.equal_count += 1
            return
        explained = [found for one in differences if (found := accounts(one, diagnostics))]
        if not explained:
            self.defects.append(min(differences, key=lambda one: len(one.aspects)))
        for account in min(explained, key=len, default=[]):
            self.accounts[account] = self.accounts.get(account, 0) + 1


async def run(cases: list[tuple[int, int]], directory: Path, *, request_count: int = 40) -> Report:
    """Run cases, all in one Envoy.

    Args:
        cases: level and seed of each.
        directory: for Envoy's files.
        request_count: per case.
    """
    report = Report()
    async with upstreams(CLUSTERS) as running, contextlib.AsyncExitStack() as stack:
        clusters = running.clusters()
        for attempt in range(_ATTEMPTS):
            ports = free_ports(2 * len(cases))
            scenes = [generate(*case, ports[2 * n : 2 * n + 2], request_count) for n, case in enumerate(cases)]
            listeners = [listener for scene in scenes for listener in scene.listeners]
            try:
                await stack.enter_async_context(envoy({"listeners": listeners, "clusters": clusters}, directory))
                break
            except EnvoyError as error:
                if "Address already in use" not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
        for scene in scenes:
            await _run_scene(scene, clusters, {port: name for name, port in running.ports.items()}, report)
    return report


async def _run_scene(scene: Scene, clusters: list[dict[str, Any]], names: dict[int, str], report: Report) -> None:
    translation = translated(scene, clusters)
    clients: dict[int, Client] = {}
    for request in scene.requests:
        client = clients.setdefault(request.port, Client(request.port))
        exchange = await client.ask(request.method, request.target, [("host", request.host), *request.headers])
        found = compare(scene, translation, request, seen_of_envoy(exchange), names)
        report.add(found, translation.diagnostics)
    for client in clients.values():
        client.close()
