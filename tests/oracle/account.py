"""What accounts for a difference: a diagnostic that covers it, or a limit of exactness that mapping.md documents."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas import xds
from schemas.records import Diagnostic, Severity
from tests.oracle.apisix_model import REFUSAL
from tests.oracle.connection_manager import reply_status
from tests.oracle.nginx_uri import BadRequestError, escaped, normalised
from tests.oracle.observation import ASPECTS, Difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracle.apisix_model import WireRequest
    from tests.oracle.generate import Scene


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


def virtual_hosts_of(scene: Scene, port: int) -> list[dict[str, Any]]:
    """Give the virtual hosts of a port."""
    virtual_hosts: list[dict[str, Any]] = route_config_of(scene, port)["virtual_hosts"]
    return virtual_hosts


HEADERS = frozenset({"request_headers", "response_headers"})
REFUSED = frozenset({"status", "body", "content_type", "response_headers"})
"""In what an answer that a plugin gives in its own words may differ."""
TOKEN_HEADERS = ("authorization", "x-token")
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
    "HCM-LOCALREPLY": REFUSED,
    "HCM-PATH": frozenset(ASPECTS),
    "HF-ORDER": frozenset(ASPECTS),
    "HF-RESTRICT": frozenset(ASPECTS),
    "HF-UNTRANSLATED": HEADERS | {"is_delayed"},
    "AUTH-JWKS": frozenset(ASPECTS),
    "AUTH-JWT-AUD": frozenset(ASPECTS),
    "AUTH-JWT-CLAIM": HEADERS,
    "HF-DUP": frozenset(ASPECTS),
    "HF-META": frozenset(ASPECTS),
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
    if one.code == "HF-ORDER" and one.path.endswith(".delay"):
        return aspect == "is_delayed"
    is_collision = one.code == "RT-HEADER" and one.severity == Severity.WARN
    if one.code == "AUTH-JWT-CLAIM" and header != one.value:
        return False
    if one.code == "HF-UNTRANSLATED" and header not in TOKEN_HEADERS:
        return False
    if is_collision or aspect not in COVERED.get(one.code, frozenset()):
        return False
    mutated = re.search(r"(request|response)_headers_to_add\[([^\]]*)\]", one.path)
    if mutated is None or not header:
        return True
    return aspect == f"{mutated[1]}_headers" and mutated[2].lower() == header


def _is_at(one: Diagnostic, difference: Difference, config_name: str) -> bool:
    if one.type_url == xds.LISTENER:
        if one.code == "HCM-LOCALREPLY":
            return one.name == _listener_name(difference) and _keeps_its_words(difference)
        is_path = one.code == "HCM-PATH" and not is_plain(difference.request)
        is_here = ".http_filters[" in one.path and one.name == _listener_name(difference)
        return is_path or (is_here and (one.code not in _OF_THE_REQUEST or _is_of_filter(one, difference)))
    if one.name != config_name:
        return False
    route = re.search(r"\.routes\[([^\]]*)\]", one.path)
    if route is not None:
        return route[1] in difference.routes
    virtual_host = re.match(r"virtual_hosts\[([^\]]*)\]", one.path)
    return virtual_host is None or any(name.startswith(f"{virtual_host[1]}-r") for name in difference.routes)


def _listener_name(difference: Difference) -> str:
    """Give the name of the listener that took the request."""
    for listener in difference.scene.listeners:
        if listener["address"]["socket_address"]["port_value"] == difference.request.port:
            return str(listener["name"])
    raise AssertionError(f"port {difference.request.port}")


_REFUSING = (401, 403)
_OF_THE_REQUEST = frozenset({"AUTH-JWKS", "AUTH-JWT-AUD", "AUTH-JWT-CLAIM", "HF-DUP", "HF-META"})
"""What such a diagnostic of a listener's filter says must show in the request itself."""


def _is_of_filter(one: Diagnostic, difference: Difference) -> bool:
    """Tell whether a filter's diagnostic is about the request: it was blocked for it, or a header is not written."""
    is_blocked = difference.apisix.body == f"blocked: {one.code}" or (one.code == "HF-META" and _denies(difference))
    return is_blocked or one.code == "AUTH-JWT-CLAIM"


def _keeps_its_words(difference: Difference) -> bool:
    """Tell whether a plugin refused in its own words what Envoy refused too, with a status that may be mapped."""
    hcm = hcm_of(difference.scene, difference.request.port)
    is_refused = difference.envoy.status in {reply_status(hcm, status) for status in _REFUSING}
    return difference.apisix.body == REFUSAL and is_refused and not difference.envoy.cluster


UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404


def _names_a_key(request: WireRequest) -> bool:
    """Tell whether a token of the request has a `kid`."""
    values = [value.rpartition(" ")[2] for name, value in request.headers if name in TOKEN_HEADERS]
    heads = [value.partition(".")[0] for value in values]
    return any(b'"kid"' in urlsafe_b64decode(head + "=" * (-len(head) % 4)) for head in heads if head.startswith("eyJ"))


def _is_guard_of_tokens(body: str) -> bool:
    """Tell whether a guard, not a plugin, refused a token; the words may stand in the form of local replies."""
    return "Jwt verification fails" in body or "have key to match kid or alg from Jwt" in body


def _denies(difference: Difference) -> bool:
    return (difference.apisix.status, difference.apisix.body) == (403, "RBAC: access denied")


def is_plain(request: WireRequest) -> bool:
    """Tell whether a path looks the same to everyone: no escapes, dot segments, double slashes or odd characters."""
    path = request.target.partition("?")[0]
    return re.fullmatch(r"(?!.*(?://|/\.\.?(?:/|\Z)))/[A-Za-z0-9/._~!$&'()*+,;=:@-]*", path) is not None


_REALM_CHARS = 200
"""Of a target that is cut for sure, once scheme and host stand in front of it."""


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


def _has_odd_credential(request: WireRequest) -> bool:
    """Tell whether Envoy reads a credential where plugins of APISIX read none."""
    headers = dict(request.headers)
    is_key_odd = re.fullmatch("(?:Bearer .*)?", headers.get("x-key", "key")) is not None
    return is_key_odd or re.match(".+Bearer ", headers.get("authorization", "")) is not None


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
    sides = [getattr(difference.envoy, aspect), getattr(difference.apisix, aspect)]
    if not all(header in side for side in sides):
        return False
    values = [side[header] for side in sides]
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
        "4.7",
        "what a plugin refuses has its own status, words and headers, mutated as answers of the cluster are",
        lambda d, a, _: (
            d.apisix.body == REFUSAL and d.envoy.status in _REFUSING and not d.envoy.cluster and a in REFUSED
        ),
    ),
    Limit(
        "4.7",
        "the realm of a missing token is the URL as it came, in Envoy with the host and path as it has changed them",
        lambda d, _, h: h == "www-authenticate" and (_strips_host(d) or not is_plain(d.request)),
    ),
    Limit(
        "4.7",
        "Envoy cuts the URL in the realm of a missing token at 256 characters",
        lambda d, _, h: h == "www-authenticate" and len(d.request.target) > _REALM_CHARS,
    ),
    Limit(
        "4.7",
        "a token that does not begin its header, a key behind `Bearer`, a key in the query beside an empty header",
        lambda d, *_: d.apisix.body == REFUSAL and _has_odd_credential(d.request),
    ),
    Limit(
        "4.7",
        "what a guard refuses has one reason, Envoy's tell more",
        lambda d, a, _: a == "body" and _is_guard_of_tokens(d.apisix.body) and d.envoy.status == d.apisix.status,
    ),
    Limit(
        "4.7",
        "a guard refuses a token for its key before anything looks at its audience",
        lambda d, a, _: a in {"body", "status"} and _is_guard_of_tokens(d.apisix.body) and d.envoy.status == FORBIDDEN,
    ),
    Limit(
        "4.7",
        "where there is no route, a token that names another key of its issuer is answered with 404",
        lambda d, *_: d.envoy.status == UNAUTHORIZED and d.apisix.status == NOT_FOUND and _names_a_key(d.request),
    ),
    Limit(
        "5.9",
        "an empty answer behind a plugin of the access phase has a content type",
        lambda d, a, _: a == "content_type" and not (d.envoy.content_type or d.envoy.body or d.apisix.body),
    ),
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
        "8",
        "nginx joins the lines of a repeated header before it is matched, Envoy 1.40 matches each of them",
        lambda d, *_: len({name for name, _ in d.request.headers}) < len(d.request.headers),
    ),
    Limit(
        "14.25",
        "nginx takes `x_h` and `x-h` for one header",
        lambda d, *_: any("_" in name for name, _ in d.request.headers),
    ),
    Limit(
        "4.7",
        "whether a csrf filter denies what no route takes depends on hosts that nobody knows",
        lambda d, *_: not d.envoy.cluster and d.apisix.body == "Invalid origin",
    ),
    Limit(
        "4.7",
        "Envoy does not measure a body that has come while a fault filter delayed the request",
        lambda d, *_: d.apisix.status == 413 and "fault.v3.HTTPFault" in str(_hcm(d)["http_filters"]),
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
