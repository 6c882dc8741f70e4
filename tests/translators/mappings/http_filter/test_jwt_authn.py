"""Tokens are verified at least as strictly as Envoy does, and what cannot be verified is refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.oracle.apisix_model import REFUSAL
from tests.oracle.token import FAR_AWAY, LONG_AGO, ec_signer, ed_signer, rsa_signer, unsigned
from tests.translators.route_parts import http_filter, packed
from tests.translators.served import TO_BACKEND, Served, served

JWT = ".jwt_authn.v3.JwtAuthentication"
RSA = rsa_signer()
GOOD = {"iss": "rsa", "exp": FAR_AWAY}
EVERYTHING = {"prefix": "/"}


def provider(**fields: Any) -> dict[str, Any]:
    return {"issuer": "rsa", "local_jwks": {"inline_string": RSA.key_set()}, **fields}


def guarded(requires: dict[str, Any] | None = None, *, levels: dict[str, Any] | None = None, **fields: Any) -> Served:
    """Serve a listener whose provider `p` has these fields; `levels` are those of `served`."""
    rules = [{"match": EVERYTHING, "requires": requires or {"provider_name": "p"}}]
    return served(JWT, {"providers": {"p": provider(**fields)}, "rules": rules}, **(levels or {}))


def bearer(token: str, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **headers}


def test_a_good_token_passes_and_stays_here():
    answer = guarded().ask(headers=bearer(RSA.token(GOOD), x="1"))
    assert (answer.status, answer.request_headers) == (200, [("x", "1")])


def test_a_token_is_forwarded_if_wanted():
    answer = guarded(forward=True).ask(headers=bearer(RSA.token(GOOD)))
    assert answer.request_headers == list(bearer(RSA.token(GOOD)).items())


def test_a_missing_token_is_refused_in_envoys_words():
    answer = guarded().ask("/a?b=1")
    assert (answer.status, answer.body) == (401, "Jwt is missing")
    assert dict(answer.headers)["www-authenticate"] == 'Bearer realm="http://shop/a?b=1"'


def test_failures_tell_nothing_if_wanted():
    rules = [{"match": EVERYTHING, "requires": {"provider_name": "p"}}]
    found = served(JWT, {"providers": {"p": provider()}, "rules": rules, "strip_failure_response": True})
    assert (found.ask().body, found.ask().headers) == ("", [])


CLAIMS = [{"iss": "other"}, {"iss": ["rsa"]}, {}, {"iss": "rsa", "exp": LONG_AGO}, {"iss": "rsa", "nbf": FAR_AWAY}]


@pytest.mark.parametrize(
    "token",
    [
        *[RSA.token(claims) for claims in CLAIMS],
        rsa_signer(1).token(GOOD),
        ec_signer().token(GOOD),
        unsigned(GOOD),
        *[RSA.token(GOOD, alg=alg) for alg in ("HS256", "none", "ES256", "RS512", "RS384", "PS256")],
        rsa_signer(0, "RS512").token(GOOD),
        RSA.token(GOOD)[:-2],
        "garbage",
        "a.b",
    ],
    ids=lambda _: "token",
)
@pytest.mark.parametrize("fields", [{}, {"require_expiration": True}])
def test_a_bad_token_is_refused(token: str, fields: dict[str, Any]):
    assert guarded(**fields).status(headers=bearer(token)) == 401


@pytest.mark.parametrize("fields", [{}, {"audiences": ["shop"]}, {"clock_skew_seconds": 600}])
def test_clocks_may_differ_as_far_as_the_provider_says(fields: dict[str, Any]):
    now, leeway_s = int(time.time()), fields.get("clock_skew_seconds", 60)
    found = guarded(**fields)
    common = {"iss": "rsa", "aud": "shop"}
    for claims, status in (
        ({"exp": now - leeway_s + 20}, 200),
        ({"exp": now - leeway_s - 2}, 401),
        ({"nbf": now + leeway_s - 20}, 200),
        ({"nbf": now + leeway_s + 20}, 401),
    ):
        assert found.status(headers=bearer(RSA.token({**common, **claims}))) == status, claims


@pytest.mark.parametrize(
    ("audience", "status"),
    [
        ("shop", 200),
        ("https://shop/", 200),
        (["x", "http://shop"], 200),
        ("other", 200),
        ("https://https://shop", 401),
        ("shop//", 401),
        ("x", 401),
        (["x"], 401),
        ([], 401),
        ([["shop"]], 401),
        (None, 401),
        ({"shop": "shop"}, 401),
    ],
)
def test_an_audience_is_one_of_those_wanted(audience: Any, status: int):
    found = guarded(audiences=["http://shop", "other/"])
    claims = {**GOOD, **({"aud": audience} if audience is not None else {})}
    assert found.status(headers=bearer(RSA.token(claims))) == status


def test_a_requirement_names_audiences_of_its_own():
    named = {"provider_and_audiences": {"provider_name": "p", "audiences": ["b"]}}
    found = guarded(named, audiences=["a"])
    assert [found.status(headers=bearer(RSA.token({**GOOD, "aud": aud}))) for aud in "ab"] == [401, 200]


def test_expiry_is_required_where_it_is_wanted():
    found = guarded(require_expiration=True)
    assert found.status(headers=bearer(RSA.token({"iss": "rsa"}))) == 401
    assert found.status(headers=bearer(RSA.token(GOOD))) == 200


@pytest.mark.parametrize("signer", [ec_signer(), ec_signer("P-384"), ed_signer(), rsa_signer(1)])
def test_keys_of_all_kinds_verify(signer: Any):
    found = guarded(local_jwks={"inline_string": signer.key_set()})
    assert found.status(headers=bearer(signer.token(GOOD))) == 200
    assert found.status(headers=bearer(RSA.token(GOOD))) == 401


def test_keys_may_come_as_bytes():
    fields = {"local_jwks": {"inline_bytes": "eyJrZXlzIjpbXX0="}}
    assert guarded(**fields).codes == ["AUTH-JWKS"]


@pytest.mark.parametrize(
    ("fields", "headers", "target", "status"),
    [
        ({"from_headers": [{"name": "X-Token"}]}, {"x-token": "T"}, "/", 200),
        ({"from_headers": [{"name": "X-Token"}]}, {"x-token": "Bearer T"}, "/", 401),
        ({"from_headers": [{"name": "X-Token"}]}, {"authorization": "Bearer T"}, "/", 401),
        ({"from_headers": [{"name": "x-token", "value_prefix": "Bearer "}]}, {"x-token": "Bearer T"}, "/", 200),
        ({"from_headers": [{"name": "x-token", "value_prefix": "Bearer "}]}, {"x-token": "T"}, "/", 401),
        ({"from_cookies": ["c"]}, {"cookie": "a=b; c=T"}, "/", 200),
        ({"from_cookies": ["c"]}, {"cookie": "jwt=T"}, "/", 401),
        ({"from_params": ["q"], "forward": True}, {}, "/?a&q=T", 200),
        ({"from_params": ["q"], "forward": True}, {}, "/?jwt=T", 401),
        ({"forward": True}, {}, "/?access_token=T", 200),
        ({"forward": True}, {}, "/?access%5Ftoken=bad", 401),
        ({"forward": True}, {"authorization": "Bearer T"}, "/?access_token=T", 401),
        ({}, {}, "/?access_token=T", 401),
        ({}, {"authorization": "Bearer T"}, "/?access_token=bad", 401),
        ({}, {"authorization": "T"}, "/", 401),
        ({}, {"authorization": "bearer T"}, "/", 401),
        ({"audiences": ["a"], "forward": True}, {"authorization": "Bearer T"}, "/", 200),
        ({"audiences": ["a"], "forward": True}, {}, "/?access_token=T", 401),
    ],
)
def test_tokens_are_taken_from_where_the_provider_says(fields, headers, target, status):
    token = RSA.token({**GOOD, "aud": "a"})
    found = guarded(**fields)
    assert not found.codes
    headers = {name: value.replace("T", token) for name, value in headers.items()}
    assert found.status(target.replace("T", token), headers) == status


PASSES_WITHOUT = {"requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]}}


@pytest.mark.parametrize("requires", [PASSES_WITHOUT, {"allow_missing": {}}])
@pytest.mark.parametrize("fields", [{}, {"audiences": ["a"]}])
def test_a_token_may_be_missing_but_not_bad(requires: dict[str, Any], fields: dict[str, Any]):
    found = guarded(requires, **fields)
    basic = {"authorization": "Basic YTpi"}
    assert found.ask(headers=basic).request_headers == list(basic.items())
    assert found.status() == 200
    assert found.status(headers=bearer(RSA.token({**GOOD, "aud": "a"}))) == 200
    assert found.status(headers=bearer(rsa_signer(1).token({**GOOD, "aud": "a"}))) == 401
    assert found.status("/?access_token=bad") == 401


def test_nobody_is_refused_where_failures_are_allowed():
    found = guarded({"allow_missing_or_failed": {}})
    assert found.status(headers=bearer("bad")) == 200
    assert found.codes == ["HF-UNTRANSLATED"]


def two(requires: dict[str, Any], **fields: Any) -> Served:
    """Serve a listener with providers of RSA and EC keys."""
    other = {"issuer": "ec", "local_jwks": {"inline_string": ec_signer().key_set()}, **fields}
    rules = [{"match": EVERYTHING, "requires": requires}]
    return served(JWT, {"providers": {"p": provider(), "q": other}, "rules": rules})


LENIENT: dict[str, Any] = {"allow_missing_or_failed": {}}
ONE_OF_TWO = {"requires_any": {"requirements": [{"provider_name": "p"}, {"provider_name": "q"}]}}


def test_a_token_of_one_of_several_issuers_passes():
    found = two(ONE_OF_TWO)
    assert found.status(headers=bearer(RSA.token(GOOD))) == 200
    assert found.status(headers=bearer(ec_signer().token({"iss": "ec"}))) == 200
    assert found.status(headers=bearer(ec_signer().token(GOOD))) == 401
    assert len(found.consumers) == 2


def test_a_route_lets_in_nobody_but_those_of_its_issuer():
    """Every consumer of the node is recognised everywhere, so routes list theirs."""
    rules = [
        {"match": {"path": "/rsa"}, "requires": {"provider_name": "p"}},
        {"match": {"path": "/ec"}, "requires": {"provider_name": "q"}},
    ]
    providers = {"p": provider(), "q": {"issuer": "ec", "local_jwks": {"inline_string": ec_signer().key_set()}}}
    routes = [{**TO_BACKEND, "match": {"path": path}} for path in ("/rsa", "/ec")]
    found = served(JWT, {"providers": providers, "rules": rules}, routes=routes)
    tokens = {"/rsa": RSA.token(GOOD), "/ec": ec_signer().token({"iss": "ec"})}
    for path in tokens:
        for owner, token in tokens.items():
            assert found.status(path, bearer(token)) == (200 if owner == path else 401)


@pytest.mark.parametrize(
    ("requires", "fields", "codes"),
    [
        ({"requires_all": {"requirements": [{"provider_name": "p"}, {"provider_name": "q"}]}}, {}, ["HF-RESTRICT"]),
        ({"requires_all": {"requirements": [{"provider_name": "p"}, {"provider_name": "p"}]}}, {}, ["HF-RESTRICT"]),
        ({"requires_all": {"requirements": [LENIENT, {"provider_name": "q"}]}}, {}, ["HF-RESTRICT"]),
        (ONE_OF_TWO, {"forward": True}, ["HF-RESTRICT"]),
        (ONE_OF_TWO, {"issuer": "rsa"}, ["AUTH-JWKS"]),
        (ONE_OF_TWO, {"audiences": ["a"]}, ["AUTH-JWT-AUD"]),
        ({"provider_name": "q"}, {"audiences": ["a"]}, ["AUTH-JWT-AUD"]),
        ({"provider_name": "q"}, {"require_expiration": True}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"subjects": {"exact": "x"}}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"max_lifetime": "9s"}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"issuer": ""}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"local_jwks": {"filename": "/x"}}, ["AUTH-JWKS"]),
        ({"provider_name": "q"}, {"from_headers": [{"name": "a"}, {"name": "b"}]}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"from_headers": [{"name": "a", "value_prefix": "Token "}]}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"from_cookies": ["a", "b"]}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"from_cookies": ["a b"]}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"from_params": ["a"]}, ["HF-RESTRICT"]),
        ({"provider_name": "q"}, {"from_headers": [{"name": "a"}], "from_cookies": ["b"]}, ["HF-RESTRICT"]),
        ({"provider_name": "unknown"}, {}, ["HF-RESTRICT"]),
    ],
)
def test_what_cannot_be_verified_is_refused(requires, fields, codes):
    found = two(requires, **fields)
    assert found.codes == codes
    for token in (RSA.token(GOOD), ec_signer().token({"iss": "ec"})):
        assert found.ask(headers=bearer(token)).body == f"blocked: {codes[0]}"
    assert all(one.severity == "ERROR" and one.remedy for one in found.diagnostics)


@pytest.mark.parametrize(
    ("members", "is_forwarded"), [([LENIENT, {"provider_name": "p"}], True), ([{"provider_name": "p"}, LENIENT], False)]
)
def test_a_token_that_is_still_there_is_verified(members: list[dict[str, Any]], is_forwarded: bool):  # noqa: FBT001  # a parameter of the table
    rules = [{"match": EVERYTHING, "requires": {"requires_all": {"requirements": members}}}]
    found = served(JWT, {"providers": {"p": {**provider(), "forward": is_forwarded}}, "rules": rules})
    assert found.codes == []
    assert found.status(headers=bearer(RSA.token(GOOD))) == 200
    assert found.status() == 401


def test_keys_behind_a_url_are_asked_for_inline():
    remote = {"http_uri": {"uri": "https://idp/keys", "cluster": "backend", "timeout": "1s"}}
    fields: dict[str, Any] = {"issuer": "rsa", "remote_jwks": remote}
    rules = [{"match": EVERYTHING, "requires": {"provider_name": "p"}}]
    found = served(JWT, {"providers": {"p": fields}, "rules": rules})
    assert found.ask(headers=bearer(RSA.token(GOOD))).body == "blocked: AUTH-JWKS"
    (one,) = found.diagnostics
    assert one.path.endswith("http_filters[guard].providers[p].remote_jwks")
    assert one.remedy == "give the keys in local_jwks"


def test_a_policy_may_give_up_verification():
    config = {"providers": {"p": provider(local_jwks={"inline_string": "{}"})}}
    config["rules"] = [{"match": EVERYTHING, "requires": {"provider_name": "p"}}]
    assert served(JWT, config, policy={"AUTH-JWKS": "allow"}).status() == 200


def test_an_issuer_has_one_key_in_a_unit():
    providers = {"p": provider(), "q": provider(local_jwks={"inline_string": ec_signer().key_set()})}
    rules = [{"match": {"path": f"/{name}"}, "requires": {"provider_name": name}} for name in providers]
    routes = [{**TO_BACKEND, "match": {"path": path}} for path in ("/p", "/q")]
    found = served(JWT, {"providers": providers, "rules": rules}, routes=routes)
    assert found.codes == ["AUTH-JWKS"]
    assert found.status("/p", bearer(RSA.token(GOOD))) == 200
    assert found.status("/q", bearer(ec_signer().token(GOOD))) == 403


def test_a_second_filter_of_the_kind_closes_the_route():
    config = {"providers": {"p": provider()}, "rules": [{"match": EVERYTHING, "requires": {"provider_name": "p"}}]}
    found = served(JWT, config, more=[{**http_filter(JWT, config), "name": "second"}])
    assert found.codes == ["HF-DUP"]
    assert found.ask(headers=bearer(RSA.token(GOOD))).body == "blocked: HF-DUP"


def test_preflights_pass_where_they_may():
    rules = [{"match": EVERYTHING, "requires": {"provider_name": "p"}}]
    found = served(JWT, {"providers": {"p": provider()}, "rules": rules, "bypass_cors_preflight": True})
    preflight = {"origin": "https://a", "access-control-request-method": "PUT"}
    assert found.status(headers=preflight, method="OPTIONS") == 200
    assert found.status(headers=preflight) == 401
    assert found.status(headers={"origin": "https://a"}, method="OPTIONS") == 401


def test_headers_that_envoy_writes_are_not_the_clients():
    claims = [{"header_name": "X-Sub", "claim_name": "sub"}]
    found = guarded(claim_to_headers=claims, forward_payload_header="x-payload")
    answer = found.ask(headers=bearer(RSA.token(GOOD), **{"x-sub": "me", "x-payload": "e30", "x": "1"}))
    assert answer.request_headers == [("x", "1")]
    assert [(one.code, one.value) for one in found.diagnostics] == [
        ("AUTH-JWT-CLAIM", "x-payload"),
        ("AUTH-JWT-CLAIM", "x-sub"),
    ]


def test_headers_that_envoy_writes_go_where_nothing_is_required_too():
    claims = [{"header_name": "X-Sub", "claim_name": "sub"}]
    found = served(JWT, {"providers": {"p": provider(claim_to_headers=claims)}})
    assert found.ask(headers={"x-sub": "me", "x": "1"}).request_headers == [("x", "1")]


def test_headers_that_envoy_writes_are_not_the_clients_where_a_route_wants_no_token():
    claims = [{"header_name": "X-Sub", "claim_name": "sub"}]
    off = {"typed_per_filter_config": {"guard": packed(".jwt_authn.v3.PerRouteConfig", {"disabled": True})}}
    found = guarded(claim_to_headers=claims, levels={"routes": [{**TO_BACKEND, **off}]})
    assert found.ask(headers={"x-sub": "me", "x": "1"}).request_headers == [("x", "1")]


def test_a_route_chosen_by_a_claim_is_closed():
    claims = [{"header_name": "x-role", "claim_name": "role"}]
    routes = [{**TO_BACKEND, "match": {"prefix": "/", "headers": [{"name": "x-role", "exact_match": "admin"}]}}]
    found = guarded(claim_to_headers=claims, clear_route_cache=True, levels={"routes": [*routes, TO_BACKEND]})
    assert found.ask(headers=bearer(RSA.token(GOOD), **{"x-role": "admin"})).body == "blocked: AUTH-JWT-CLAIM"
    assert found.status(headers=bearer(RSA.token(GOOD))) == 200


@pytest.mark.parametrize("action", [{"redirect": {"path_redirect": "/b"}}, {"direct_response": {"status": 200}}])
def test_tokens_are_wanted_in_front_of_answers_too(action: dict[str, Any]):
    found = guarded(levels={"routes": [{"match": EVERYTHING, **action}]})
    assert found.status() == 401
    assert found.ask(headers=bearer("bad")).body == REFUSAL
    assert found.status(headers=bearer(RSA.token(GOOD))) in (200, 301)


def test_requests_that_no_route_takes_need_a_token_too():
    found = guarded(levels={"routes": [{**TO_BACKEND, "match": {"path": "/a"}}]})
    assert (found.status("/b"), found.status("/b", bearer(RSA.token(GOOD)))) == (401, 404)


def test_no_secret_is_said():
    """A damaged key set is not quoted."""
    text = json.dumps({"keys": [{"kty": "oct", "k": "my-secret"}]})
    assert "my-secret" not in str(guarded(local_jwks={"inline_string": text}).diagnostics)


def test_what_is_not_known_is_refused():
    other = packed("example.Unknown") | {"@type": "type.googleapis.com/xds.type.v3.TypedStruct"}
    routes = [{**TO_BACKEND, "typed_per_filter_config": {"guard": other}}]
    assert guarded(levels={"routes": routes}).ask(headers=bearer(RSA.token(GOOD))).body == "blocked: HF-RESTRICT"
