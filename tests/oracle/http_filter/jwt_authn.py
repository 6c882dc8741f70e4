"""jwt_authn in generated cases: good tokens and all sorts of bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind
from tests.oracle.token import FAR_AWAY, LONG_AGO, Signer, ec_signer, ed_signer, rsa_signer, unsigned

if TYPE_CHECKING:
    from random import Random

_ISSUERS: dict[str, Signer] = {"rsa": rsa_signer(), "ec": ec_signer(), "ed": ed_signer()}
_PATHS = ("/a", "/ab", "/v1", "/api", "/b")
_OLD, _LATER = {"exp": LONG_AGO}, {"nbf": FAR_AWAY}
_GOOD = {"exp": FAR_AWAY, "nbf": LONG_AGO, "sub": "somebody"}


def _tokens() -> list[str]:
    rsa, ec = _ISSUERS["rsa"], _ISSUERS["ec"]
    good = [signer.token({"iss": name, **_GOOD}) for name, signer in _ISSUERS.items()]
    audiences = [rsa.token({"iss": "rsa", **_GOOD, "aud": aud}) for aud in ("shop", ["x", "https://shop/"], "no", [])]
    bad = [rsa.token({"iss": "rsa", **claims}) for claims in (_OLD, _LATER, {"exp": "soon"})]
    bad += [rsa_signer(1).token({"iss": "rsa", **_GOOD}), ec.token({"iss": "rsa", **_GOOD})]
    bad += [rsa.token({"iss": "other", **_GOOD}), rsa.token(dict(_GOOD)), unsigned({"iss": "rsa", **_GOOD})]
    bad += [rsa.token({"iss": "rsa", **_GOOD}, alg=alg) for alg in ("HS256", "none", "ES256", "RS512")]
    named = [_ISSUERS[name].token({"iss": name, **_GOOD}, kid=kid) for name in _ISSUERS for kid in ("k", "other", "")]
    return [*good * 5, *named, *audiences, *bad, "garbage", "a.b.c"]


_VALUES = tuple(f"Bearer {token}" for token in _tokens())
_ODD = ("Basic YTpi", "bearer x", _VALUES[0].lower(), f"Basic x, {_VALUES[0]}", _VALUES[0].removeprefix("Bearer "))


def _provider(draw: Random, name: str, common: dict[str, Any]) -> dict[str, Any]:
    key_id = {"kid": "k"} if draw.random() < 0.4 else {}
    keys = {"inline_string": _ISSUERS[name].key_set(**key_id)}
    provider: dict[str, Any] = {"issuer": name, "local_jwks": keys, **common}
    if name == "rsa" and draw.random() < 0.3:
        provider["audiences"] = draw.choice((["shop"], ["http://shop", "other"]))
    if draw.random() < 0.05:
        provider["require_expiration"] = True
    if draw.random() < 0.05:
        provider["from_headers"] = [{"name": "x-token", "value_prefix": draw.choice(("", "Bearer "))}]
    if draw.random() < 0.2:
        provider["claim_to_headers"] = [{"header_name": "x-sub", "claim_name": "sub"}]
    return provider


def _requirement(draw: Random, depth: int = 2) -> dict[str, Any]:
    kind = draw.random()
    if kind < 0.5 or not depth:
        return {"provider_name": draw.choice(tuple(_ISSUERS))}
    if kind < 0.6:
        return {"provider_and_audiences": {"provider_name": "rsa", "audiences": ["shop"]}}
    if kind < 0.7:
        return {draw.choice(("allow_missing", "allow_missing_or_failed")): {}}
    members = [_requirement(draw, depth - 1) for _ in range(2)]
    if draw.random() < 0.4:
        members[1] = {"allow_missing": {}}
    return {("requires_all" if draw.random() < 0.1 else "requires_any"): {"requirements": members}}


def _match(draw: Random) -> dict[str, Any]:
    match: dict[str, Any] = {draw.choice(("prefix", "path", "path_separated_prefix")): draw.choice(_PATHS)}
    if draw.random() < 0.2:
        match["headers"] = [{"name": "x-h", "present_match": draw.random() < 0.5}]
    return match


def _config(draw: Random) -> dict[str, Any]:
    rules = [{"match": _match(draw), "requires": _requirement(draw)} for _ in range(draw.randint(0, 2))]
    if draw.random() < 0.3:
        rules.insert(0, {"match": _match(draw)})
    if draw.random() < 0.6:
        rules.append({"match": {"prefix": "/"}, "requires": _requirement(draw)})
    common = {"payload_in_metadata": "payload", **({"forward": True} if draw.random() < 0.5 else {})}
    config: dict[str, Any] = {
        "@type": f"{PACKAGE}jwt_authn.v3.JwtAuthentication",
        "providers": {name: _provider(draw, name, common) for name in _ISSUERS},
        "requirement_map": {"named": _requirement(draw)},
        "rules": rules,
    }
    for name in ("bypass_cors_preflight", "strip_failure_response"):
        if draw.random() < 0.3:
            config[name] = True
    return config


def _override(draw: Random) -> dict[str, Any]:
    chosen = {"disabled": True} if draw.random() < 0.5 else {"requirement_name": "named"}
    return {"@type": f"{PACKAGE}jwt_authn.v3.PerRouteConfig", **chosen}


KIND = Kind(
    "jwt_authn",
    _config,
    _override,
    headers=(
        ("authorization", (*_VALUES, *_VALUES, *_ODD)),
        ("x-token", (_VALUES[0], _VALUES[0].removeprefix("Bearer "), "x")),
        ("x-sub", ("forged",)),
        ("origin", ("https://a",)),
        ("access-control-request-method", ("GET",)),
    ),
    methods=("GET", "OPTIONS"),
    is_once=True,
)
