"""An authorization service is asked where it can be, in front of every answer; else the route is blocked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import Outcome, forwarded, http_filter, packed, route_outcome
from translators.policy import OPAService

TYPE, PER_ROUTE = ".ext_authz.v3.ExtAuthz", ".ext_authz.v3.ExtAuthzPerRoute"
NONE, QUARTER = ({"default_value": {"numerator": number}} for number in (0, 25))
DENY = {"default_value": True, "runtime_key": "k"}
LISTED = {"allowed_client_headers": {"patterns": [{"exact": "x-why"}]}}
TLS = packed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext")
ENCRYPTED = {"name": "authz", "transport_socket": {"name": "tls", "typed_config": TLS}}
BODY = {"with_request_body": {"max_request_bytes": 9}}
WITHOUT_BODY = {"check_settings": {"disable_request_body_buffering": True}}


def service(uri: str = "http://authz:9000", response: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    answer = {"authorization_response": {**LISTED, **(response or {})}}
    return {"server_uri": {"uri": uri, "cluster": "authz", "timeout": "1s"}, **answer, **fields}


def asked(config: dict[str, Any], override: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": packed(PER_ROUTE, override)}} if override is not None else {}
    return route_outcome(levels.pop("route", None) or forwarded(extra), filters=[http_filter(TYPE, config)], **levels)


def forward_auth(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = outcome.plugins["forward-auth"]
    return found


@pytest.mark.parametrize(
    ("uri", "fields", "levels", "wanted"),
    [
        ("http://authz:9000", {}, {}, "http://authz:9000/"),
        ("HTTPS://authz/ignored?x", {"path_prefix": "/check"}, {}, "https://authz/check"),
        ("http://authz", {}, {"clusters": ["backend", ENCRYPTED]}, "https://authz/"),
        ("http://authz", {}, {"clusters": ["backend", "authz"]}, "http://authz/"),
        ("dummy", {}, {"decisions": {"authorization_services": {"authz": "http://10.0.0.1:1"}}}, "http://10.0.0.1:1/"),
        ("dummy", {"path_prefix": "/x"}, {"decisions": {"authorization_services": {"authz": "http://a/v"}}}, "http://a/v"),
    ],
)  # fmt: skip
def test_the_address_of_the_service(uri: str, fields: dict[str, Any], levels: dict[str, Any], wanted: str):
    outcome = asked({"http_service": service(uri, **fields)}, **levels)
    assert forward_auth(outcome)["uri"] == wanted
    assert outcome.codes == ([] if "decisions" in levels else ["HF-UNTRANSLATED"])


def test_what_the_service_is_told():
    request = {"headers_to_add": [{"key": "x-m", "value": "%REQ(:METHOD)%$"}, {"key": "x-n", "value": "%NO%"}]}
    config = {
        "http_service": service(authorization_request=request),
        "allowed_headers": {"patterns": [{"exact": "x-a"}, {"exact": "X-B"}, {"exact": "X-C", "ignore_case": True}]},
        "disallowed_headers": {"patterns": [{"prefix": "auth"}]},
    }
    outcome = asked(config)
    conf = forward_auth(outcome)
    assert conf["request_headers"] == ["x-a", "x-c"]
    assert conf["extra_headers"] == {"x-m": "${request_method}${_ ?? $}"}
    assert "HDR-FORMAT" in outcome.codes


@pytest.mark.parametrize(
    ("pattern", "is_told"),
    [
        ({"exact": "x-a"}, False),
        ({"exact": "X-A"}, True),
        ({"exact": "X-A", "ignore_case": True}, False),
        ({"suffix": "-a"}, False),
        ({"contains": "q"}, True),
        ({"safe_regex": {"regex": "x-.*"}}, False),
        ({"safe_regex": {"regex": "y"}}, True),
        ({"safe_regex": {"regex": "("}}, False),
    ],
)
def test_headers_that_are_kept_from_the_service(pattern: dict[str, Any], *, is_told: bool):
    allowed = {"patterns": [{"exact": "x-a"}]}
    config = {"http_service": service(), "allowed_headers": allowed, "disallowed_headers": {"patterns": [pattern]}}
    assert ("x-a" in forward_auth(asked(config))["request_headers"]) is is_told


def test_headers_that_cannot_be_listed_block_the_route():
    config = {"http_service": service(), "allowed_headers": {"patterns": [{"prefix": "x-"}]}}
    assert asked(config).answer["body"] == "blocked: HF-RESTRICT"
    assert forward_auth(asked(config, policy={"HF-RESTRICT": "warn"}))["request_headers"] == ["authorization"]


def test_what_the_answer_may_change():
    lists = {
        "allowed_upstream_headers": {"patterns": [{"exact": "x-user"}]},
        "allowed_client_headers": {"patterns": [{"exact": "x-why"}, {"prefix": "x-"}]},
        "allowed_client_headers_on_success": {"patterns": [{"exact": "x-ok"}]},
        "dynamic_metadata_from_headers": {"patterns": [{"exact": "x-ok"}]},
    }
    outcome = asked({"http_service": service(response=lists)})
    conf = forward_auth(outcome)
    assert (conf["upstream_headers"], conf["client_headers"]) == (["x-user"], ["location", "www-authenticate", "x-why"])
    assert sorted(set(outcome.codes)) == ["HDR-VALUE", "HF-META", "HF-UNTRANSLATED"]


def test_without_a_list_only_common_headers_of_a_refusal_reach_the_client():
    outcome = asked({"http_service": {"server_uri": {"uri": "http://a", "cluster": "a"}}})
    assert "set-cookie" in forward_auth(outcome)["client_headers"]
    assert forward_auth(outcome)["timeout"] == 200
    assert "HDR-VALUE" in outcome.codes


@pytest.mark.parametrize(
    ("config", "override", "wanted"),
    [
        ({}, None, {}),
        (BODY, None, {"request_method": "POST", "max_req_body_size": 9}),
        (
            {"with_request_body": {"max_request_bytes": 9, "allow_partial_message": True}},
            None,
            {"request_method": "POST"},
        ),
        (BODY, WITHOUT_BODY, {}),
        (
            {},
            {"check_settings": {"with_request_body": {"max_request_bytes": 5}}},
            {"request_method": "POST", "max_req_body_size": 5},
        ),
    ],
)  # fmt: skip
def test_the_body(config: dict[str, Any], override: dict[str, Any] | None, wanted: dict[str, Any]):
    conf = forward_auth(asked({"http_service": service(), **config}, override))
    assert {key: value for key, value in conf.items() if key in ("request_method", "max_req_body_size")} == wanted


def test_what_happens_without_the_service():
    conf = forward_auth(asked({"http_service": service()}))
    assert (conf["allow_degradation"], conf["status_on_error"]) == (False, 403)
    config = {"http_service": service(), "failure_mode_allow": True, "status_on_error": {"code": 503}}
    conf = forward_auth(asked(config))
    assert (conf["allow_degradation"], conf["status_on_error"]) == (True, 503)


def test_a_share_is_asked_and_the_rest_passes_or_is_denied():
    drawn = ("request_id", "~~", r"\A.{8}(?:[0-3]...)")
    passing = asked({"http_service": service(), "filter_enabled": QUARTER})
    assert forward_auth(passing)["_meta"]["filter"] == [drawn]
    denying = asked({"http_service": service(), "filter_enabled": QUARTER, "deny_at_disable": DENY})
    guard, route = denying.parts
    assert guard.conditions == ((drawn[0], "!", *drawn[1:]),)
    assert guard.fields["plugins"]["fault-injection"]["abort"]["http_status"] == 403
    assert route.fields["plugins"]["forward-auth"]["_meta"]["filter"] == [drawn]


def test_nobody_is_asked():
    for config, override in (({"filter_enabled": NONE}, None), ({}, {"disabled": True})):
        outcome = asked({"http_service": service(), **config}, override)
        assert (outcome.plugins, outcome.codes) == ({}, [])
    denied = asked({"http_service": service(), "filter_enabled": NONE, "deny_at_disable": DENY})
    assert denied.answer["http_status"] == 403


def test_another_service_for_a_route():
    override = {"check_settings": {"http_service": service("http://other")}}
    assert forward_auth(asked({"grpc_service": {}}, override))["uri"] == "http://other/"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}}},
        {"http_service": service("dummy")},
        {"http_service": service("tcp://a")},
    ],
)
def test_a_service_that_cannot_be_asked_blocks_the_route(config: dict[str, Any]):
    outcome = asked(config)
    assert (outcome.answer["body"], outcome.codes) == ("blocked: HF-RESTRICT", ["HF-RESTRICT"])
    assert asked(config, policy={"HF-RESTRICT": "warn"}).only.fields["upstream_id"]


def test_an_override_of_another_type_blocks_the_route():
    route = forwarded({"typed_per_filter_config": {"guard": packed(TYPE)}})
    assert asked({"http_service": service()}, route=route).answer["body"] == "blocked: HF-RESTRICT"


def test_an_agent_answers_for_a_service_that_speaks_grpc():
    decisions = {"opa_services": {"authz": OPAService("http://127.0.0.1:8181", "envoy/authz")}}
    outcome = asked({"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}}}, decisions=decisions)
    assert outcome.plugins["opa"]["policy"] == "envoy/authz"
    assert outcome.codes == []


@pytest.mark.parametrize(
    "action",
    [
        {"redirect": {"path_redirect": "/new"}},
        {"redirect": {"prefix_rewrite": "/new"}},
        {"direct_response": {"status": 200}},
    ],
)
def test_answers_wait_for_the_service(action: dict[str, Any]):
    """fault-injection would answer in the rewrite phase, before anybody is asked."""
    outcome = asked({"http_service": service()}, route=action)
    assert {"forward-auth", "mocking"} <= set(outcome.plugins)
    assert "fault-injection" not in outcome.plugins


def test_two_services_block_the_route():
    filters = [http_filter(TYPE, {"http_service": service()}, name=name) for name in ("a", "b")]
    assert "HF-DUP" in route_outcome(forwarded(), filters=filters).codes


@pytest.mark.parametrize(
    ("header", "is_override", "is_blocked"),
    [("x-user", False, True), ("x-user", True, True), ("X-User", False, True), ("x-other", False, False)],
)
def test_rules_behind_a_service_must_not_look_at_what_it_sets(header: str, *, is_override: bool, is_blocked: bool):
    """They are guards, which are chosen before anybody is asked."""
    policy = {"permissions": [{"any": True}], "principals": [{"header": {"name": header, "present_match": True}}]}
    rules = {"rules": {"policies": {"p": policy}}}
    behind = http_filter(".rbac.v3.RBAC", {} if is_override else rules, name="rules")
    extra = (
        {"typed_per_filter_config": {"rules": packed(".rbac.v3.RBACPerRoute", {"rbac": rules})}} if is_override else {}
    )
    upstream = {"allowed_upstream_headers": {"patterns": [{"exact": "x-user"}]}}
    guard = http_filter(TYPE, {"http_service": service(response=upstream)})
    assert ("HF-ORDER" in route_outcome(forwarded(extra), filters=[guard, behind]).codes) is is_blocked
    assert "HF-ORDER" not in route_outcome(forwarded(extra), filters=[behind, guard]).codes


def mutated(name: str) -> dict[str, Any]:
    return {"request_headers_to_add": [{"header": {"key": name, "value": "v"}, "append_action": 2}]}


@pytest.mark.parametrize(
    ("level", "name", "is_blocked"),
    [
        ("route", "X-A", True),
        ("virtual_host", "authorization", True),
        ("route_config", "x_a", True),
        ("route", "x-user", True),
        ("route", "x-other", False),
    ],
)
def test_the_service_must_not_see_what_is_mutated_behind_it(level: str, name: str, *, is_blocked: bool):
    """proxy-rewrite runs in the rewrite phase, before anybody is asked."""
    upstream = {"allowed_upstream_headers": {"patterns": [{"exact": "x-user"}]}}
    config = {"http_service": service(response=upstream), "allowed_headers": {"patterns": [{"exact": "x-a"}]}}
    around = {} if level == "route" else {level: mutated(name)}
    outcome = asked(config, route=forwarded(mutated(name) if level == "route" else {}), **around)
    assert ("HF-ORDER" in outcome.codes) is is_blocked
    assert ("upstream_id" in outcome.only.fields) is not is_blocked


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_mutation_by_a_filter_counts_where_it_stands(*, is_behind: bool):
    mutation = {"mutations": {"request_mutations": [{"remove": "authorization"}]}}
    filters = [http_filter(TYPE, {"http_service": service()})]
    filters.insert(is_behind, http_filter(".header_mutation.v3.HeaderMutation", mutation, name="mutation"))
    outcome = route_outcome(forwarded(), filters=filters)
    assert ("HF-ORDER" in outcome.codes) is is_behind
    allowed = route_outcome(forwarded(), filters=filters, policy={"HF-ORDER": "warn"})
    assert "upstream_id" in allowed.only.fields


def test_what_a_weighted_cluster_mutates_counts():
    entry = {"name": "backend", "weight": 1, "request_headers_to_remove": ["authorization"]}
    outcome = asked({"http_service": service()}, route={"route": {"weighted_clusters": {"clusters": [entry]}}})
    assert "HF-ORDER" in outcome.codes
