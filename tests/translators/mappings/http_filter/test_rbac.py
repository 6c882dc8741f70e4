"""RBAC denies exactly what Envoy denies, and what nobody can tell is denied too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.router import Request, holds
from tests.oracle.token import FAR_AWAY, ec_signer, rsa_signer
from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome
from tests.translators.served import Served, served

RULES = {"rules": {"policies": {"all": {"permissions": [{"any": True}], "principals": [{"header": {"name": "x"}}]}}}}
EVERYONE = {"policies": {"all": {"permissions": [{"any": True}], "principals": [{"any": True}]}}}
PER_ROUTE = ".rbac.v3.RBACPerRoute"
METADATA = {"metadata": {"filter": "f", "path": [{"key": "k"}], "value": {"present_match": True}}}
SPIFFE = {"authenticated": {"principal_name": {"exact": "spiffe://a/b"}}}


def guarded(config: dict[str, Any], override: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    return route_outcome(forwarded(extra), filters=[http_filter(".rbac.v3.RBAC", config)], **levels)


def is_denied(outcome: Outcome, request: Request) -> bool:
    """The first part whose conditions hold is taken."""
    part = next(part for part in outcome.parts if all(holds(condition, request) for condition in part.conditions))
    if "upstream_id" in part.fields:
        return False
    abort = part.fields["plugins"]["fault-injection"]["abort"]
    assert (abort["http_status"], abort["body"]) == (403, "RBAC: access denied")
    return True


@pytest.mark.parametrize(
    ("config", "override", "part_count"),
    [
        ({}, None, 1),
        ({"shadow_rules": RULES["rules"]}, None, 1),
        (RULES, None, 2),
        ({"rules": EVERYONE}, None, 1),
        ({"rules": {"action": "DENY"}}, None, 1),
        ({"rules": {"action": "LOG", **RULES["rules"]}}, None, 1),
        (RULES, packed(PER_ROUTE), 1),
        ({}, packed(PER_ROUTE, {"rbac": RULES}), 2),
        ({}, packed(".rbac.v3.RBAC", RULES), 2),
    ],
)
def test_a_guard_stands_only_where_something_can_be_denied(config, override, part_count):
    outcome = guarded(config, override)
    assert len(outcome.parts) == part_count
    assert not outcome.codes


@pytest.mark.parametrize("config", [{"rules": {}}, {"rules": {"action": "DENY", **EVERYONE}}, {"matcher": {}}])
def test_rules_that_let_nobody_in_close_the_route(config):
    outcome = guarded(config)
    assert outcome.answer["http_status"] == 403
    assert outcome.only.is_blocking


def test_what_cannot_be_read_is_denied():
    unknown = packed("example.Unknown") | {"@type": "type.googleapis.com/xds.type.v3.TypedStruct"}
    outcome = guarded({}, unknown)
    assert outcome.answer["body"] == "blocked: HF-RESTRICT"
    assert outcome.codes == ["HF-RESTRICT"]


@pytest.mark.parametrize(
    ("principal", "code"), [(METADATA, "HF-META"), (SPIFFE, "TLS-SAN"), ({"header": {"name": "a b"}}, "RT-HEADER")]
)
@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_a_condition_that_cannot_be_expressed_counts_against_the_request(principal, code, action):
    policies = {"one": {"permissions": [{"any": True}], "principals": [principal]}}
    config = {"rules": {"action": action, "policies": policies}}
    assert is_denied(outcome := guarded(config), Request("h", "/"))
    assert outcome.codes == [code]
    opened = guarded(config, policy={code: "allow"})
    assert not is_denied(opened, Request("h", "/"))


@pytest.mark.parametrize(
    ("kind", "hcm", "codes"),
    [
        ("remote_ip", {}, ["HCM-XFF"]),
        ("remote_ip", {"use_remote_address": True}, []),
        ("direct_remote_ip", {}, []),
        ("source_ip", {}, []),
    ],
)
def test_an_address_that_envoy_would_take_from_a_header_is_told(kind, hcm, codes):
    principal = {kind: {"address_prefix": "10.0.0.0", "prefix_len": 8}}
    policies = {"one": {"permissions": [{"any": True}], "principals": [principal]}}
    assert guarded({"rules": {"action": "DENY", "policies": policies}}, hcm=hcm).codes == codes


def test_two_filters_deny_in_their_order():
    filters = [http_filter(".rbac.v3.RBAC", RULES), {**http_filter(".rbac.v3.RBAC", RULES), "name": "second"}]
    outcome = route_outcome({"redirect": {"path_redirect": "/"}}, filters=filters)
    assert [part.suffix for part in outcome.parts] == ["guard", "second", ""]


LEAVES = st.one_of(
    st.just({"any": True}),
    st.sampled_from(["GET", "POST"]).map(lambda method: {"header": {"name": ":method", "exact_match": method}}),
    st.sampled_from(["/", "/a", "/a/b"]).map(lambda path: {"url_path": {"path": {"prefix": path}}}),
    st.sampled_from(["/a", "/a/b"]).map(lambda path: {"url_path": {"path": {"exact": path}}}),
    st.just(METADATA),
)
PERMISSIONS = st.recursive(
    LEAVES | st.sampled_from([80, 8080]).map(lambda port: {"destination_port": port}),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda rules: {"and_rules": {"rules": rules}}),
        st.lists(inner, min_size=1, max_size=3).map(lambda rules: {"or_rules": {"rules": rules}}),
        inner.map(lambda rule: {"not_rule": rule}),
    ),
    max_leaves=6,
)
PRINCIPALS = st.recursive(
    LEAVES
    | st.sampled_from(["10.0.0.0", "10.1.0.0"]).map(
        lambda prefix: {"remote_ip": {"address_prefix": prefix, "prefix_len": 16}}
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda ids: {"and_ids": {"ids": ids}}),
        st.lists(inner, min_size=1, max_size=3).map(lambda ids: {"or_ids": {"ids": ids}}),
        inner.map(lambda one: {"not_id": one}),
    ),
    max_leaves=6,
)
POLICIES = st.lists(
    st.fixed_dictionaries(
        {
            "permissions": st.lists(PERMISSIONS, min_size=1, max_size=2),
            "principals": st.lists(PRINCIPALS, min_size=1, max_size=2),
        }
    ),
    max_size=3,
)
REQUESTS = st.builds(
    lambda path, method, address, port: Request(
        "h", path, method, {"remote_addr": address, "server_port": port, "request_method": method}
    ),
    st.sampled_from(["/", "/a", "/a/b", "/b"]),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["10.0.0.1", "10.1.2.3", "192.168.0.1"]),
    st.sampled_from(["80", "8080"]),
)


LEAF_TESTS = {
    "any": lambda _value, _request: True,
    "header": lambda value, request: request.method == value["exact_match"],
    "url_path": lambda value, request: (
        request.uri == value["path"].get("exact") or request.uri.startswith(value["path"].get("prefix", "never"))
    ),
    "destination_port": lambda value, request: request.variables["server_port"] == str(value),
    "remote_ip": lambda value, request: request.variables["remote_addr"].startswith(value["address_prefix"][:5]),
}


def meets(rule: dict[str, Any], request: Request, *, unknown: bool) -> bool:
    """Evaluate a Permission or Principal as Envoy does; what depends on metadata is `unknown`."""
    ((kind, value),) = rule.items()
    if kind == "metadata":
        return unknown
    if kind in LEAF_TESTS:
        return bool(LEAF_TESTS[kind](value, request))
    if kind.startswith("not"):
        return not meets(value, request, unknown=not unknown)
    (members,) = value.values()
    combine = all if kind.startswith("and") else any
    return combine(meets(one, request, unknown=unknown) for one in members)


@given(POLICIES, st.sampled_from(["ALLOW", "DENY"]), REQUESTS)
def test_exactly_what_envoy_denies_is_denied(policies, action, request):
    named = {f"p{index}": policy for index, policy in enumerate(policies)}
    is_met = any(
        all(
            any(meets(rule, request, unknown=action == "DENY") for rule in policy[part])
            for part in ("permissions", "principals")
        )
        for policy in policies
    )
    outcome = guarded({"rules": {"action": action, "policies": named}})
    assert is_denied(outcome, request) is (is_met == (action == "DENY"))


def claim(name: str, value: dict[str, Any], **fields: Any) -> dict[str, Any]:
    path = [{"key": "payload"}, {"key": name}]
    return {"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": path, "value": value, **fields}}


ANY_TEXT = {"string_match": {"safe_regex": {"regex": ".+"}}}
SIGNER = rsa_signer()
GOOD = {"iss": "rsa", "exp": FAR_AWAY}


def verified(principal: dict[str, Any], action: str, *, more: dict[str, Any] | None = None, **fields: Any) -> Served:
    """Serve RBAC behind a filter that verifies the tokens there are."""
    keys = {"inline_string": SIGNER.key_set()}
    provider = {"issuer": "rsa", "local_jwks": keys, "payload_in_metadata": "payload", "forward": True, **fields}
    alternatives = {"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]}
    rules = [{"match": {"prefix": "/"}, "requires": {"requires_any": alternatives}}]
    policies = {"one": {"permissions": [{"any": True}], "principals": [principal]}}
    rbac = {**http_filter(".rbac.v3.RBAC", {"rules": {"action": action, "policies": policies}}), "name": "rbac"}
    config = {"providers": {"p": provider}, "rules": rules, **(more or {})}
    return served(".jwt_authn.v3.JwtAuthentication", config, more=[rbac])


def statuses(found: Served) -> list[int]:
    """Ask without a token, with a good one, with a bad one, with one that has a subject."""
    tokens = (SIGNER.token(GOOD), rsa_signer(1).token(GOOD), SIGNER.token({**GOOD, "sub": "somebody"}))
    return [found.status(), *(found.status(headers={"authorization": f"Bearer {token}"}) for token in tokens)]


@pytest.mark.parametrize(
    ("principal", "allowed", "denied"),
    [
        (claim("iss", ANY_TEXT), [403, 200, 401, 200], [200, 403, 401, 403]),
        (claim("iss", {"present_match": True}), [403, 200, 401, 200], [200, 403, 401, 403]),
        (claim("iss", {"string_match": {"exact": "rsa"}}), [403, 200, 401, 200], [200, 403, 401, 403]),
        (
            claim("iss", {"string_match": {"prefix": "R", "ignore_case": True}}),
            [403, 200, 401, 200],
            [200, 403, 401, 403],
        ),
        (claim("iss", {"string_match": {"suffix": "x"}}), [403, 403, 401, 403], [200, 200, 401, 200]),
        (claim("iss", {"string_match": {"exact": "x"}}, invert=True), [200, 200, 401, 200], [403, 403, 401, 403]),
        ({"not_id": claim("iss", ANY_TEXT)}, [200, 403, 401, 403], [403, 200, 401, 200]),
        (claim("sub", ANY_TEXT), [403, 401, 401, 200], [200, 401, 401, 403]),
        (
            {"and_ids": {"ids": [claim("iss", ANY_TEXT), claim("sub", ANY_TEXT)]}},
            [403, 401, 401, 200],
            [200, 401, 401, 403],
        ),
    ],
)
def test_that_a_token_was_verified_is_known(principal, allowed, denied):
    assert statuses(verified(principal, "ALLOW")) == allowed
    assert statuses(verified(principal, "DENY")) == denied
    assert not verified(principal, "ALLOW").codes


UNKNOWN_CLAIMS = [
    claim("group", {"string_match": {"exact": "readers"}}),
    claim("sub", {"string_match": {"exact": "somebody"}}),
    claim("iss", {"string_match": {"safe_regex": {"regex": "r.*"}}}),
    claim("iss", {"present_match": False}),
    claim("iss", {"null_match": {}}),
    {"metadata": {**claim("iss", ANY_TEXT)["metadata"], "filter": "other"}},
    {"metadata": {**claim("iss", ANY_TEXT)["metadata"], "path": [{"key": "other"}, {"key": "iss"}]}},
]


@pytest.mark.parametrize("principal", UNKNOWN_CLAIMS)
@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_other_claims_are_not_known(principal, action):
    found = verified(principal, action)
    assert set(statuses(found)) <= {401, 403}
    assert found.codes == ["HF-META"]


@pytest.mark.parametrize(("value", "codes"), [("rsa", ["HF-META"]), ("x", []), ("", ["HF-META"])])
def test_of_several_issuers_what_holds_for_all_is_known(value: str, codes: list[str]):
    other = {"issuer": "ec", "local_jwks": {"inline_string": ec_signer().key_set()}, "forward": True}
    mine = {"issuer": "rsa", "local_jwks": {"inline_string": SIGNER.key_set()}, "forward": True}
    providers = {name: {**one, "payload_in_metadata": "payload"} for name, one in (("p", mine), ("q", other))}
    alternatives = {"requirements": [{"provider_name": "p"}, {"provider_name": "q"}]}
    rules = [{"match": {"prefix": "/"}, "requires": {"requires_any": alternatives}}]
    principal = claim("iss", {"string_match": {"exact": value} if value else {"safe_regex": {"regex": "r.*"}}})
    assert verified(principal, "DENY", more={"providers": providers, "rules": rules}).codes == codes


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_a_subject_counts_against_the_request_where_nobody_can_look_at_it(action):
    found = verified(claim("sub", ANY_TEXT), action, from_headers=[{"name": "x-token"}])
    assert found.codes == ["HF-META"]
    assert found.status() == 403


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_where_tokens_can_be_verified_elsewhere_too_nothing_is_known(action):
    """What nobody is refused for may be verified and stand in the metadata all the same."""
    rules = [
        {"match": {"path": "/a"}, "requires": {"provider_name": "p"}},
        {"match": {"prefix": "/"}, "requires": {"allow_missing_or_failed": {}}},
    ]
    found = verified(claim("iss", ANY_TEXT), action, more={"rules": rules})
    assert found.status("/b", {"authorization": f"Bearer {SIGNER.token(GOOD)}"}) == 403
    assert "HF-META" in found.codes
