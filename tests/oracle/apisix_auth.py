"""A model of the plugins of APISIX that authenticate.

Written from apisix 3.18 (plugins/{jwt-auth,jwt-auth/parser,key-auth,openid-connect,consumer-restriction}.lua,
consumer.lua), lua-resty-openidc (`bearer_jwt_verify`, `openidc_load_jwt_and_verify_crypto`) and the lua-resty-jwt that
APISIX uses (`get_claim_spec_from_legacy_options`): with valid issuers given it checks neither `exp` nor `nbf`.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema_rs

from tests.oracle.token import from_text, verifies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.oracle.apisix_model import Exchange

_CLEARED = ("x-access-token", "x-userinfo", "x-id-token", "x-refresh-token", "x-raw-id-token")
_OPENID = frozenset({
    "_meta", "accept_none_alg", "accept_unsupported_alg", "bearer_only", "claim_schema", "claim_validator", "client_id",
    "discovery", "iat_slack", "jwt_verification_cache_ignore", "logout_path", "public_key", "set_access_token_header",
    "set_id_token_header", "set_userinfo_header", "token_signing_alg_values_expected",
})  # fmt: skip


class _Token(NamedTuple):
    header: dict[str, Any]
    claims: dict[str, Any]
    message: bytes
    signature: bytes


def _load(text: Any) -> _Token | None:
    """`resty.jwt:load_jwt`; encrypted tokens have five parts and are not verified by anything here."""
    parts = text.split(".") if isinstance(text, str) else []
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(from_text(part)) for part in parts[:2])
        signature = from_text(parts[2])
    except ValueError:
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return _Token(header, claims, f"{parts[0]}.{parts[1]}".encode(), signature)


def jwt_auth(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """jwt-auth; `claims_to_verify` is not used."""
    assert set(conf) <= {"_meta", "cookie", "header", "hide_credentials", "key_claim_name", "query"}, set(conf)
    token = _load(_fetch(exchange, conf))
    key = token.claims.get(conf["key_claim_name"]) if token else None
    name = exchange.consumer_of("jwt-auth", key) if isinstance(key, str) else None
    if token is None or name is None:
        exchange.refuse(401)
        return
    known = exchange.consumers[name]["plugins"]["jwt-auth"]
    is_signed = token.header.get("alg") == known["algorithm"] and verifies(
        known["public_key"], known["algorithm"], token.message, token.signature
    )
    if not is_signed or not _is_timely(token.claims, known["lifetime_grace_period"]):
        exchange.refuse(401)
        return
    exchange.attach(name)


def _is_timely(claims: Mapping[str, Any], leeway_s: int) -> bool:
    now = int(time.time())
    for name, is_good in (("nbf", lambda at: at < now + leeway_s), ("exp", lambda at: at > now - leeway_s)):
        value = claims.get(name)
        if name in claims and (isinstance(value, bool) or not isinstance(value, (int, float)) or not is_good(value)):
            return False
    return True


def _fetch(exchange: Exchange, conf: Mapping[str, Any]) -> Any:
    value = exchange.first_header(conf["header"])
    if value is not None:
        if conf.get("hide_credentials"):
            exchange.remove_header(conf["header"])
        return value[7:] if value[:7] in ("Bearer ", "bearer ") else value
    assert not conf.get("hide_credentials") or exchange.variable(f"arg_{conf['query']}") is None, (
        "args are not modelled"
    )
    return exchange.variable(f"arg_{conf['query']}") or exchange.variable(f"cookie_{conf['cookie']}")


def openid_connect(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """openid-connect where a bearer token is verified with a public key and valid issuers are given."""
    assert set(conf) <= _OPENID, set(conf)
    assert not conf["accept_none_alg"]
    assert all(conf[name] for name in ("bearer_only", "jwt_verification_cache_ignore"))
    assert not any(conf[f"set_{what}_header"] for what in ("access_token", "id_token", "userinfo"))
    assert not conf["logout_path"].startswith("/"), "it would ask the issuer there"
    exchange.headers = [pair for pair in exchange.headers if pair[0] not in _CLEARED]
    value = (exchange.first_header("authorization") or "").strip()
    scheme, space, text = value.partition(" ")
    if not space:
        exchange.refuse(400 if value else 401)
        return
    token = _load(text) if scheme.lower() == "bearer" else None
    if token is not None and isinstance(token.claims.get("exp"), str):
        exchange.refuse(500)  # arithmetic on a text
    elif (
        token is None or not _is_verified(token, conf) or not jsonschema_rs.is_valid(conf["claim_schema"], token.claims)
    ):
        exchange.refuse(401)


def _is_verified(token: _Token, conf: Mapping[str, Any]) -> bool:
    algorithm = token.header.get("alg")
    if algorithm != conf["token_signing_alg_values_expected"] or algorithm not in ("RS256", "RS512"):
        return False
    if token.claims.get("iss") not in conf["claim_validator"]["issuer"]["valid_issuers"]:
        return False
    if not token.signature or not verifies(conf["public_key"], algorithm, token.message, token.signature):
        return False
    return "exp" not in token.claims or float(token.claims["exp"]) + conf["iat_slack"] >= time.time()


def key_auth(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """key-auth."""
    assert set(conf) <= {"_meta", "header", "hide_credentials", "query"}, set(conf)
    key = exchange.first_header(conf["header"])
    is_in_header = key is not None
    if not is_in_header:
        key = exchange.variable(f"arg_{conf['query']}")
    name = exchange.consumer_of("key-auth", key) if isinstance(key, str) else None
    if name is None:
        exchange.refuse(401)
        return
    if conf.get("hide_credentials"):
        assert is_in_header, "args are not modelled"
        exchange.remove_header(conf["header"])
    exchange.attach(name)


def consumer_restriction(exchange: Exchange, conf: Mapping[str, Any]) -> None:
    """consumer-restriction by consumer_name."""
    assert set(conf) <= {"_meta", "rejected_code", "rejected_msg", "whitelist"}, set(conf)
    name = exchange.variable("consumer_name")
    if name is None:
        exchange.refuse(401)
    elif name not in conf["whitelist"]:
        exchange.refuse(conf["rejected_code"])
