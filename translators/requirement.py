"""What needs a newer APISIX than 3.9, one row each; what is in no row, 3.9.0 already has.

Found by looking at the schemas and plugins of the tags 3.9.0 to 3.18.0; `source` names the change that brought it.
Expressions need no row: lua-resty-expr is 1.3.2 in all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from translators.policy import Version

PLUGGED = ("routes", "services", "plugin_configs", "global_rules")
"""Directories whose objects hold HTTP plugins."""
ANY = "*"
TEMPLATE_VERSION: Version = (3, 16)
TEMPLATE_SOURCE = "#12963: default values in resolve_var"
_MAX_OLD_NAME = 100
_MIN_OLD_KEY = 128
_OLD_ALGORITHMS = frozenset({"HS256", "HS512", "RS256", "ES256"})
_DEFAULTED = re.compile(r"\$\{[^}]*\?\?")


class Loss(Enum):
    """What it means to be without the thing."""

    COSMETIC = "cosmetic"
    """Nothing a client or an upstream could notice: it is left out without a word."""
    DECORATION = "decoration"
    """It is left out, and said."""
    DECISION = "decision"
    """Who gets what would be decided otherwise: the object is closed, unless the policy wants it left out."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that older nodes refuse, skip or read otherwise.

    Attributes:
        since: the first version that has it.
        directories: of the objects it occurs in.
        path: where in the object; `*` is any key or item. This is what is left out.
        loss: what it means to be without it.
        effect: what is said of it.
        source: the change of APISIX that brought it.
        what: that of the value at the path which needs the version; empty = all of it.
        when: tells of the value at the path whether it needs the version; None = always.
        among: tells of the whole object whether the row is about it; None = always.
    """

    since: Version
    directories: tuple[str, ...]
    path: tuple[str, ...]
    loss: Loss
    effect: str
    source: str
    what: str = ""
    when: Callable[[Any], bool] | None = None
    among: Callable[[Any], bool] | None = None


def has_default(text: str) -> bool:
    """Tell whether a template gives a default, `${x ?? d}`; older nodes print that as it stands."""
    return _DEFAULTED.search(text) is not None


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: any(name in value for name in names)


def _lacks(name: str) -> Callable[[Any], bool]:
    return lambda value: name not in value


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_catch_all(value: Any) -> bool:
    return value == "*" or (isinstance(value, list) and "*" in value)


def _is_long_name(value: Any) -> bool:
    return len(value) > _MAX_OLD_NAME


def _is_short_key(value: Any) -> bool:
    keys = value if isinstance(value, list) else [value]
    return any(len(key) < _MIN_OLD_KEY for key in keys)


def _is_stream(upstream: Any) -> bool:
    return bool(upstream.get("scheme") == "tls")


def _plugin(name: str, *path: str) -> tuple[str, ...]:
    return ("plugins", name, *path)


_NO_PROBES = "endpoints are not probed: the probe's method or body cannot be given"
_NO_CERTIFICATE = "connections are not served: streams present no client certificate"
_NO_SNI = "clients that name no server, or one without a certificate, cannot connect"
_NO_HEADER = "the header is not written: it has several values"
_NO_TOKENS = "requests are denied: the claims of tokens cannot be checked"
_NO_ISSUER = "tokens of the issuer are refused: the nodes cannot verify them"
_NO_LIMIT = "requests are denied: they cannot be limited by such rules"
_NO_AUTH = "requests are denied: the authorization service cannot be asked in this way"

_OBJECTS = (
    Requirement((3, 13), ("stream_routes", "protos"), ("name",), Loss.COSMETIC, "", "#12224"),
    Requirement((3, 13), ("ssls",), ("desc",), Loss.COSMETIC, "", "#12224"),
    Requirement(
        (3, 15),
        (ANY,),
        ("name",),
        Loss.COSMETIC,
        "",
        "#11822: names of up to 256",
        "more than 100 characters",
        _is_long_name,
    ),
    Requirement((3, 15), ("ssls",), ("sni",), Loss.DECISION, _NO_SNI, "#12668", "the name `*`", _is_catch_all),
    Requirement((3, 15), ("ssls",), ("snis",), Loss.DECISION, _NO_SNI, "#12668", "the name `*`", _is_catch_all),
    Requirement(
        (3, 17),
        ("ssls",),
        ("key",),
        Loss.DECISION,
        "the certificate is not served",
        "#13312",
        "fewer than 128 characters",
        _is_short_key,
    ),
    Requirement(
        (3, 17),
        ("ssls",),
        ("keys",),
        Loss.DECISION,
        "the certificate is not served",
        "#13312",
        "fewer than 128 characters",
        _is_short_key,
    ),
    Requirement(
        (3, 18),
        ("upstreams",),
        ("checks",),
        Loss.DECORATION,
        _NO_PROBES,
        "#13726",
        "http_method, http_req_body",
        lambda checks: any(name in checks.get("active", {}) for name in ("http_method", "http_req_body")),
    ),
    Requirement(
        (3, 18), ("upstreams",), ("tls",), Loss.DECISION, _NO_CERTIFICATE, "#13596", "of a stream", among=_is_stream
    ),
    Requirement(
        (3, 14), ("stream_routes",), _plugin("traffic-split"), Loss.DECISION, "the chain is not served", "#12630"
    ),
)
_HEADERS = tuple(
    Requirement(
        (3, 18),
        PLUGGED,
        _plugin("proxy-rewrite", "headers", kind, ANY),
        Loss.DECORATION,
        _NO_HEADER,
        "#13597",
        "several values",
        _is_list,
    )
    for kind in ("add", "set")
)
_RESTRICTIONS = (
    Requirement(
        (3, 12),
        PLUGGED,
        _plugin("openid-connect"),
        Loss.DECISION,
        _NO_TOKENS,
        "#11987, #12002",
        "claim_validator",
        _has("claim_validator"),
    ),
    Requirement(
        (3, 14),
        PLUGGED,
        _plugin("openid-connect"),
        Loss.DECISION,
        _NO_TOKENS,
        "#11824",
        "claim_schema",
        _has("claim_schema"),
    ),
    Requirement(
        (3, 17),
        PLUGGED,
        _plugin("openid-connect"),
        Loss.DECISION,
        _NO_TOKENS,
        "#13472",
        "being without client_secret",
        _lacks("client_secret"),
    ),
    Requirement(
        (3, 12),
        PLUGGED,
        _plugin("jwt-auth"),
        Loss.DECISION,
        _NO_TOKENS,
        "#11772, #11917",
        "key_claim_name, store_in_ctx, anonymous_consumer",
        _has("key_claim_name", "store_in_ctx", "anonymous_consumer"),
    ),
    Requirement(
        (3, 16),
        PLUGGED,
        _plugin("jwt-auth"),
        Loss.DECISION,
        _NO_TOKENS,
        "#12944",
        "claims_to_verify",
        _has("claims_to_verify"),
    ),
    Requirement((3, 16), PLUGGED, _plugin("limit-count"), Loss.DECISION, _NO_LIMIT, "#12977", "rules", _has("rules")),
    Requirement(
        (3, 18), PLUGGED, _plugin("limit-count"), Loss.DECISION, _NO_LIMIT, "#13443", "window_type", _has("window_type")
    ),
    Requirement((3, 16), PLUGGED, _plugin("limit-conn"), Loss.DECISION, _NO_LIMIT, "#13000", "rules", _has("rules")),
    Requirement(
        (3, 14),
        PLUGGED,
        _plugin("forward-auth"),
        Loss.DECISION,
        _NO_AUTH,
        "#12405",
        "extra_headers",
        _has("extra_headers"),
    ),
    Requirement(
        (3, 17),
        PLUGGED,
        _plugin("forward-auth", "max_req_body_size"),
        Loss.DECORATION,
        "the body sent to the authorization service is not bounded",
        "#13466",
    ),
    Requirement(
        (3, 11),
        ("consumers",),
        _plugin("jwt-auth"),
        Loss.DECISION,
        _NO_ISSUER,
        "#11597",
        "being without private_key",
        _lacks("private_key"),
    ),
    Requirement(
        (3, 16),
        ("consumers",),
        _plugin("jwt-auth"),
        Loss.DECISION,
        _NO_ISSUER,
        "#12944",
        "algorithms but HS256, HS512, RS256, ES256",
        lambda consumer: consumer.get("algorithm", "HS256") not in _OLD_ALGORITHMS,
    ),
)
_IDENTIFIERS = (
    Requirement(
        (3, 14),
        PLUGGED,
        _plugin("request-id", "algorithm"),
        Loss.DECORATION,
        "request ids are UUIDs",
        "#12573",
        "ksuid",
        lambda algorithm: algorithm == "ksuid",
    ),
    Requirement(
        (3, 17),
        PLUGGED,
        _plugin("request-id", "algorithm"),
        Loss.DECORATION,
        "request ids are UUIDs",
        "#13152",
        "uuidv7",
        lambda algorithm: algorithm == "uuidv7",
    ),
)

REQUIREMENTS: tuple[Requirement, ...] = (*_OBJECTS, *_HEADERS, *_RESTRICTIONS, *_IDENTIFIERS)
NEWEST_REQUIREMENT: Version = max(TEMPLATE_VERSION, *(row.since for row in REQUIREMENTS))
