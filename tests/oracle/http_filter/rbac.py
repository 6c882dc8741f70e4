"""RBAC in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_PATHS = ("/a", "/ab", "/v1", "/api", "/b", "/A")
_WORDS = ("x", "X", "5", "")


def _leaf(draw: Random) -> dict[str, Any]:
    return draw.choice(
        (
            {"any": True},
            {"header": {"name": "x-h", "string_match": {draw.choice(("exact", "prefix")): draw.choice(_WORDS[:3])}}},
            {"header": {"name": ":method", "string_match": {"exact": draw.choice(("GET", "POST"))}}},
            {"header": {"name": "x-other", "present_match": True, "invert_match": draw.random() < 0.5}},
            {"url_path": {"path": {draw.choice(("exact", "prefix", "suffix")): draw.choice(_PATHS)}}},
        )
    )


def _tree(draw: Random, logic: tuple[str, str, str], members: str, depth: int = 2) -> dict[str, Any]:
    kind = draw.random()
    if depth == 0 or kind < 0.5:
        return _leaf(draw)
    if kind < 0.65:
        return {logic[2]: _tree(draw, logic, members, depth - 1)}
    inner = [_tree(draw, logic, members, depth - 1) for _ in range(draw.randint(1, 3))]
    return {draw.choice(logic[:2]): {members: inner}}


def _claim(draw: Random) -> dict[str, Any]:
    """Ask what a jwt_authn in front has verified."""
    path = [{"key": "payload"}, {"key": draw.choice(("iss", "iss", "sub"))}]
    value = draw.choice(({"safe_regex": {"regex": ".+"}}, {"exact": "rsa"}, {"prefix": "e"}))
    matcher = {"filter": "envoy.filters.http.jwt_authn", "path": path, "value": {"string_match": value}}
    claim = {"metadata": {**matcher, **({"invert": True} if draw.random() < 0.2 else {})}}
    return {"not_id": claim} if draw.random() < 0.2 else claim


def _policy(draw: Random) -> dict[str, Any]:
    principal = _tree(draw, ("and_ids", "or_ids", "not_id"), "ids")
    if draw.random() < 0.2:
        address = draw.choice(("127.0.0.0", "10.0.0.0"))
        principal = {draw.choice(("remote_ip", "direct_remote_ip")): {"address_prefix": address, "prefix_len": 8}}
    if draw.random() < 0.2:
        principal = _claim(draw)
    return {
        "permissions": [_tree(draw, ("and_rules", "or_rules", "not_rule"), "rules")],
        "principals": [principal],
    }


def _rbac(draw: Random) -> dict[str, Any]:
    policies = {f"p{index}": _policy(draw) for index in range(draw.randint(0, 2))}
    rules = {"action": draw.choice(("ALLOW", "DENY", "DENY")), "policies": policies}
    return {draw.choice(("rules", "rules", "rules", "shadow_rules")): rules}


def _config(draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}rbac.v3.RBAC", **_rbac(draw)}


def _override(draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}rbac.v3.RBACPerRoute", **({"rbac": _rbac(draw)} if draw.random() < 0.7 else {})}


KIND = Kind("rbac", _config, _override)
