"""Of the rules the first that matches a request decides; a route may decide itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.token import FAR_AWAY, rsa_signer
from tests.translators.route_parts import forwarded, http_filter, packed, route_outcome
from tests.translators.served import TO_BACKEND, served

JWT = ".jwt_authn.v3.JwtAuthentication"
PER_ROUTE = ".jwt_authn.v3.PerRouteConfig"
PROVIDERS = {"p": {"issuer": "rsa", "local_jwks": {"inline_string": rsa_signer().key_set()}}}
REQUIRED = {"requires": {"provider_name": "p"}}
PASSING = {"requires": {"allow_missing_or_failed": {}}}
TOKEN = {"authorization": f"Bearer {rsa_signer().token({'iss': 'rsa', 'exp': FAR_AWAY})}"}


def rule(prefix: str, **requirement: Any) -> dict[str, Any]:
    return {"match": {"prefix": prefix}, **requirement}


def all_of(*members: dict[str, Any]) -> dict[str, Any]:
    return {"requires": {"requires_all": {"requirements": [member["requires"] for member in members]}}}


def any_of(*members: dict[str, Any]) -> dict[str, Any]:
    return {"requires": {"requires_any": {"requirements": [member["requires"] for member in members]}}}


@pytest.mark.parametrize(
    ("config", "match", "is_open"),
    [
        ({}, {"prefix": "/"}, True),
        ({"rules": [rule("/", **REQUIRED)]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/b", **REQUIRED)]}, {"prefix": "/a"}, True),
        ({"rules": [rule("/a/b", **REQUIRED)]}, {"prefix": "/a"}, False),
        ({"rules": [{"match": {"path": "/b"}, **REQUIRED}]}, {"path": "/a"}, True),
        ({"rules": [{"match": {"path": "/a"}, **REQUIRED}]}, {"path": "/a"}, False),
        ({"rules": [{"match": {"path": "/b"}, **REQUIRED}]}, {"prefix": "/a"}, True),
        ({"rules": [rule("/b", **REQUIRED)]}, {"path": "/a"}, True),
        ({"rules": [{"match": {"safe_regex": {"regex": "/a.*"}}, **REQUIRED}]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/a"), rule("/", **REQUIRED)]}, {"prefix": "/a/b"}, True),
        ({"rules": [{"match": {"path": "/a"}}, rule("/", **REQUIRED)]}, {"path": "/a"}, True),
        ({"rules": [{"match": {"path": "/a"}}, rule("/", **REQUIRED)]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/a/b"), rule("/", **REQUIRED)]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/", **PASSING)]}, {"prefix": "/a"}, True),
        ({"rules": [rule("/", requires={"allow_missing": {}})]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/", **any_of(REQUIRED, PASSING))]}, {"prefix": "/a"}, True),
        ({"rules": [rule("/", **all_of(REQUIRED, PASSING))]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/", **all_of(PASSING, PASSING))]}, {"prefix": "/a"}, True),
        ({"rules": [rule("/", **any_of(all_of(REQUIRED), REQUIRED))]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/", requirement_name="r")]}, {"prefix": "/a"}, False),
        ({"rules": [rule("/", requirement_name="r")], "requirement_map": {"r": {}}}, {"prefix": "/a"}, True),
        ({"filter_state_rules": {"name": "x"}}, {"prefix": "/a"}, False),
        ({"filter_state_rules": {"name": "x"}, "rules": [rule("/")]}, {"prefix": "/a"}, True),
    ],
)
def test_a_route_is_open_where_no_rule_can_refuse(config, match, is_open):
    filters = [http_filter(JWT, {"providers": PROVIDERS, **config})]
    outcome = route_outcome(forwarded({"match": match}), filters=filters)
    (*_, last) = outcome.parts
    is_verified = "jwt-auth" in last.fields.get("plugins", {}) or last.is_blocking or last.is_guard
    assert is_verified is not is_open


@pytest.mark.parametrize(
    ("override", "status"),
    [({"disabled": True}, 200), ({"requirement_name": "needed"}, 401), ({"requirement_name": "open"}, 200)],
)
def test_a_route_says_what_it_needs(override: dict[str, Any], status: int):
    config = {
        "providers": PROVIDERS,
        "rules": [rule("/", **REQUIRED)],
        "requirement_map": {"needed": REQUIRED["requires"], "open": PASSING["requires"]},
    }
    found = served(
        JWT, config, routes=[{**TO_BACKEND, "typed_per_filter_config": {"guard": packed(PER_ROUTE, override)}}]
    )
    assert (found.status(), found.status(headers=TOKEN)) == (status, 200)


def test_a_name_without_a_requirement_refuses_everybody():
    override = packed(PER_ROUTE, {"requirement_name": "nothing"})
    routes = [{**TO_BACKEND, "typed_per_filter_config": {"guard": override}}]
    found = served(JWT, {"providers": PROVIDERS}, routes=routes)
    assert found.ask(headers=TOKEN).body == "blocked: HF-RESTRICT"


def test_a_rule_that_cannot_be_matched_counts_against_the_request():
    odd = {"prefix": "/", "headers": [{"name": "a b", "present_match": True}]}
    needs = served(JWT, {"providers": PROVIDERS, "rules": [{"match": odd, **REQUIRED}]})
    opens = served(JWT, {"providers": PROVIDERS, "rules": [{"match": odd}, rule("/", **REQUIRED)]})
    assert needs.ask(headers=TOKEN).body == "blocked: HF-RESTRICT"
    assert (opens.status(), opens.status(headers=TOKEN)) == (401, 200)


def test_rules_match_on_more_than_the_path():
    match = {
        "prefix": "/",
        "headers": [{"name": ":method", "exact_match": "POST"}],
        "query_parameters": [{"name": "q"}],
    }
    found = served(JWT, {"providers": PROVIDERS, "rules": [{"match": match, **REQUIRED}]})
    assert [found.status("/?q=1", method=method) for method in ("GET", "POST")] == [200, 401]
    assert found.status("/", method="POST") == 200


PATHS = ("/", "/a", "/a/b", "/ab", "/b")
MATCHES = st.one_of(
    st.sampled_from(PATHS).map(lambda path: {"prefix": path}),
    st.sampled_from(PATHS).map(lambda path: {"path": path}),
    st.sampled_from(PATHS[1:]).map(lambda path: {"path_separated_prefix": path}),
)
RULES = st.lists(st.tuples(MATCHES, st.booleans()), max_size=4)


def matches(match: dict[str, str], path: str) -> bool:
    ((kind, text),) = match.items()
    if kind == "prefix":
        return path.startswith(text)
    return path == text or (kind == "path_separated_prefix" and path.startswith(f"{text}/"))


@given(RULES, MATCHES, st.sampled_from(PATHS))
def test_the_first_rule_that_matches_decides(rules: list[tuple[Any, bool]], route: dict[str, str], path: str):
    config = {
        "providers": PROVIDERS,
        "rules": [{"match": match, **(REQUIRED if needs else {})} for match, needs in rules],
    }
    found = served(JWT, config, routes=[{**TO_BACKEND, "match": route}, {**TO_BACKEND, "match": {"prefix": "/"}}])
    needs = next((needs for match, needs in rules if matches(match, path)), False)
    assert found.status(path) == (401 if needs else 200)
    assert found.status(path, TOKEN) == 200
