"""RBAC in generated cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE, Kind

if TYPE_CHECKING:
    from random import Random

_PATHS = ("/a", "/ab", "/v1", "/api", "/b", "/A")
_HEADER_INPUT = "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
_INPUTS = "type.googleapis.com/envoy.extensions.matching.common_inputs"
_MATCHERS = "type.googleapis.com/envoy.extensions.matching.input_matchers"
_ACTION = "type.googleapis.com/envoy.config.rbac.v3.Action"
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


def _predicate(draw: Random, depth: int = 2) -> dict[str, Any]:
    kind = draw.random()
    if depth and kind < 0.2:
        return {"not_matcher": _predicate(draw, depth - 1)}
    if depth and kind < 0.4:
        inner = [_predicate(draw, depth - 1) for _ in range(2)]
        return {draw.choice(("or_matcher", "and_matcher")): {"predicate": inner}}
    if kind < 0.6:
        network = {"address_prefix": draw.choice(("127.0.0.0", "10.0.0.0")), "prefix_len": 8}
        matcher = {"@type": f"{_MATCHERS}.ip.v3.Ip", "cidr_ranges": [network], "stat_prefix": "ip"}
        own = {"name": "ip", "typed_config": matcher}
        return {"single_predicate": {"input": _input("network.v3.DirectSourceIPInput"), "custom_match": own}}
    value = {draw.choice(("exact", "prefix", "suffix")): draw.choice(_WORDS[:3])}
    return {"single_predicate": {"input": _header_input(draw), "value_match": value}}


def _input(name: str) -> dict[str, Any]:
    return {"name": "input", "typed_config": {"@type": f"{_INPUTS}.{name}"}}


def _header_input(draw: Random) -> dict[str, Any]:
    config = {"@type": _HEADER_INPUT, "header_name": draw.choice(("x-h", "x-h", "x-other"))}
    return {"name": "header", "typed_config": config}


def _on_match(draw: Random, depth: int) -> dict[str, Any]:
    if depth and draw.random() < 0.3:
        return {"matcher": _matcher(draw, depth - 1)}
    action = draw.choice(("ALLOW", "ALLOW", "DENY", "LOG"))
    return {"action": {"name": "action", "typed_config": {"@type": _ACTION, "name": "rule", "action": action}}}


def _matcher(draw: Random, depth: int = 2) -> dict[str, Any]:
    rest = {"on_no_match": _on_match(draw, 0)} if draw.random() < 0.6 else {}
    if draw.random() < 0.6:
        ways = [{"predicate": _predicate(draw), "on_match": _on_match(draw, depth)} for _ in range(draw.randint(1, 3))]
        return {"matcher_list": {"matchers": ways}, **rest}
    keys = draw.sample(("x", "xx", "X", "5"), draw.randint(1, 3))
    entries = {"map": {key: _on_match(draw, depth) for key in keys}}
    kind = draw.choice(("exact_match_map", "prefix_match_map"))
    return {"matcher_tree": {"input": _header_input(draw), kind: entries}, **rest}


def _rbac(draw: Random) -> dict[str, Any]:
    if draw.random() < 0.3:
        return {draw.choice(("matcher", "matcher", "matcher", "shadow_matcher")): _matcher(draw)}
    policies = {f"p{index}": _policy(draw) for index in range(draw.randint(0, 2))}
    rules = {"action": draw.choice(("ALLOW", "DENY", "DENY")), "policies": policies}
    return {draw.choice(("rules", "rules", "rules", "shadow_rules")): rules}


def _config(draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}rbac.v3.RBAC", **_rbac(draw)}


def _override(draw: Random) -> dict[str, Any]:
    return {"@type": f"{PACKAGE}rbac.v3.RBACPerRoute", **({"rbac": _rbac(draw)} if draw.random() < 0.7 else {})}


KIND = Kind("rbac", _config, _override)
