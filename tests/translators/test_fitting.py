from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Severity
from translators.etcd_object import build_object
from translators.findings import Findings
from translators.fitting import closed, fitted
from translators.policy import Action, Policy
from translators.requirement import REQUIREMENTS
from translators.where import Where

AT = Where("type", "rc", "virtual_hosts[a].routes[0]")
ROUTE: dict[str, Any] = {"uris": ["/a"], "vars": [["http_a", "==", "b"]], "upstream_id": "u", "labels": {"a": "b"}}
PLAIN = {"proxy-rewrite": {"headers": {"set": {"x": "v"}}}}


def policy(versions: str, **overrides: Action) -> Policy:
    return Policy(apisix_versions=versions, overrides={code.replace("_", "-"): a for code, a in overrides.items()})


def fit(directory: str, value: dict[str, Any], chosen: Policy) -> tuple[dict[str, Any] | None, list[str]]:
    """Fit an object; give what is left and the values of the findings."""
    findings = Findings(chosen)
    found = fitted(build_object(directory, "x", value), AT, findings)
    diagnostics = findings.diagnostics()
    assert {(d.code, d.path) for d in diagnostics} <= {("OUT-VERSION", AT.path)}
    return None if found is None else orjson.loads(found.value), [d.value for d in diagnostics]


def with_plugin(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {**ROUTE, "plugins": {name: config, "fault-injection": {"delay": {"duration": 1}}}}


def test_the_version_that_everything_is_made_for_changes_nothing():
    value = with_plugin("limit-count", {"rules": []})
    assert fit("routes", value, Policy()) == (value, [])


@pytest.mark.parametrize(
    ("first", "name", "config"),
    [
        ("3.14", "openid-connect", {"client_secret": "s", "claim_schema": {}}),
        ("3.12", "openid-connect", {"client_secret": "s", "claim_validator": {}}),
        ("3.17", "openid-connect", {"public_key": "p"}),
        ("3.12", "jwt-auth", {"key_claim_name": "iss"}),
        ("3.16", "limit-count", {"rules": [{}]}),
        ("3.18", "limit-count", {"window_type": "sliding"}),
        ("3.16", "limit-conn", {"rules": [{}]}),
        ("3.14", "forward-auth", {"extra_headers": {"a": "b"}}),
    ],
)
def test_what_restricts_and_is_lacking_denies(first: str, name: str, config: dict[str, Any]):
    """From the version on that has it, it is emitted; before, the route takes the same requests and answers 503."""
    value = with_plugin(name, config)
    before = f"3.{int(first.split('.')[1]) - 1}"
    assert fit("routes", value, policy(f"{first}-3.18")) == (value, [])
    denying, said = fit("routes", value, policy(f"{before}-3.18"))
    assert denying is not None
    assert {name: denying[name] for name in ("uris", "vars", "labels")} == {
        name: ROUTE[name] for name in ("uris", "vars", "labels")
    }
    assert denying["plugins"]["fault-injection"]["abort"]["http_status"] == 503
    assert (set(denying["plugins"]), "upstream_id" in denying) == ({"fault-injection"}, False)
    assert said == [f"plugins.{name} needs APISIX {first}"]
    assert fit("plugin_configs", {"plugins": {name: config}}, policy(before))[0] is None, "routes without it answer 503"


def test_the_policy_may_want_it_open():
    value = with_plugin("limit-count", {"rules": []})
    open_route, said = fit("routes", value, policy("3.9", OUT_VERSION=Action.WARN))
    assert open_route == {**ROUTE, "plugins": {"fault-injection": {"delay": {"duration": 1}}}}
    assert said == ["plugins.limit-count needs APISIX 3.16"]
    assert fit("routes", value, policy("3.9", OUT_VERSION=Action.ALLOW)) == (open_route, [])


def test_a_restriction_is_an_error_and_a_decoration_a_warning():
    findings = Findings(policy("3.9"))
    fitted(build_object("routes", "x", with_plugin("limit-count", {"rules": []})), AT, findings)
    assert [d.severity for d in findings.diagnostics()] == [Severity.ERROR]
    findings = Findings(policy("3.9"))
    fitted(build_object("upstreams", "x", {"checks": {"active": {"http_method": "HEAD"}}}), AT, findings)
    assert [d.severity for d in findings.diagnostics()] == [Severity.WARN]


def test_probes_that_would_be_others_are_not_made():
    upstream = {"nodes": [], "checks": {"active": {"http_method": "POST", "http_req_body": "x"}}}
    assert fit("upstreams", upstream, policy("3.17")) == ({"nodes": []}, ["checks needs APISIX 3.18"])
    plain = {"nodes": [], "checks": {"active": {"http_path": "/"}}}
    assert fit("upstreams", plain, policy("3.9")) == (plain, [])


@pytest.mark.parametrize(
    ("directory", "value", "first", "is_emitted"),
    [
        ("stream_routes", {"plugins": {"traffic-split": {}}, "server_port": 1}, "3.14", False),
        ("ssls", {"sni": "*", "key": "k" * 128}, "3.15", False),
        ("ssls", {"snis": ["a"], "key": "k" * 100}, "3.17", False),
        ("ssls", {"snis": ["a"], "key": "k" * 128, "keys": ["k" * 100]}, "3.17", False),
        ("consumers", {"plugins": {"jwt-auth": {"algorithm": "ES256"}}}, "3.11", False),
        ("consumers", {"plugins": {"jwt-auth": {"algorithm": "EdDSA"}}}, "3.16", False),
        ("consumers", {"plugins": {"key-auth": {"key": "k"}}}, "3.9", True),
        ("ssls", {"snis": ["*.a"], "key": "k" * 128}, "3.9", True),
    ],
)
def test_what_nodes_would_decide_otherwise_is_left_out(
    directory: str, value: dict[str, Any], first: str, *, is_emitted: bool
):
    assert fit(directory, value, policy(first)) == (value, [])
    if not is_emitted:
        found, said = fit(directory, value, policy(f"3.{int(first.split('.')[1]) - 1}"))
        assert (found, len(said)) == (None, 1)


def test_names_that_nodes_refuse_go_without_a_word():
    stream = {"server_port": 1, "name": "n"}
    assert fit("stream_routes", stream, policy("3.12")) == ({"server_port": 1}, [])
    assert fit("stream_routes", stream, policy("3.13")) == (stream, [])
    assert fit("routes", {**ROUTE, "name": "n" * 101}, policy("3.14")) == (ROUTE, [])
    assert fit("routes", {**ROUTE, "name": "n" * 100}, policy("3.14")) == ({**ROUTE, "name": "n" * 100}, [])


@pytest.mark.parametrize("kind", ["add", "set"])
def test_request_headers_with_several_values(kind: str):
    value = with_plugin("proxy-rewrite", {"headers": {kind: {"x": ["a", "b"], "y": "c"}}})
    found, said = fit("routes", value, policy("3.17"))
    assert found is not None
    assert found["plugins"]["proxy-rewrite"]["headers"] == {kind: {"y": "c"}} | (
        {"remove": ["x"]} if kind == "set" else {}
    )
    assert said == [f"plugins.proxy-rewrite.headers.{kind}.x needs APISIX 3.18"]


def test_a_client_cannot_send_what_the_proxy_would_have_overwritten():
    """But where the client's own value is wanted if there is one, it gets through."""
    headers = {"set": {"x-user": "a${_ ?? $}b", "x-id": "${http_x_id ?? none}"}, "remove": ["z"]}
    found, _ = fit("routes", with_plugin("proxy-rewrite", {"headers": headers}), policy("3.15"))
    assert found is not None
    assert found["plugins"]["proxy-rewrite"] == {"headers": {"remove": ["x-user", "z"]}}


def test_response_headers_with_a_default_are_left_out_one_by_one():
    headers = {"add": ["a: ${_ ?? $}", "b: c", "d: ${x ?? y}"], "set": {"e": "${sent_http_e ?? f}"}}
    value = with_plugin("response-rewrite", {"headers": headers})
    assert fit("routes", value, policy("3.16")) == (value, [])
    found, said = fit("routes", value, policy("3.15"))
    assert found is not None
    assert found["plugins"]["response-rewrite"] == {"headers": {"add": ["b: c"]}}
    assert len(said) == 1, "one line for a place in the source"


def test_a_plugin_without_anything_to_do_goes():
    value = with_plugin("response-rewrite", {"_meta": {"priority": 1}, "headers": {"set": {"e": "${a ?? b}"}}})
    found, _ = fit("routes", value, policy("3.9"))
    assert found is not None
    assert "response-rewrite" not in found["plugins"]


@pytest.mark.parametrize(
    ("answer", "is_denied"),
    [
        ({"http_status": 200, "body": "5 ${_ ?? $}"}, True),
        ({"http_status": 302, "body": "", "headers": {"Location": "/${_ ?? $}"}}, True),
        ({"http_status": 200, "body": "", "headers": {"x-price": "${_ ?? $}5"}}, False),
        ({"http_status": 200, "body": "${upstream_uri} a?b??c"}, False),
    ],
)
def test_an_answer_whose_text_would_be_wrong_is_503(answer: dict[str, Any], *, is_denied: bool):
    value = {"uris": ["/"], "plugins": {"fault-injection": {"abort": answer}}}
    found, _ = fit("routes", value, policy("3.15"))
    assert found is not None
    assert (found["plugins"]["fault-injection"]["abort"]["http_status"] == 503) == is_denied


def test_only_routes_are_closed_by_an_answer():
    assert closed(build_object("ssls", "x", {"sni": "a"})) is None
    route = closed(build_object("routes", "x", {**ROUTE, "plugins": PLAIN, "plugin_config_id": "p"}), "OUT-SCHEMA")
    assert route is not None
    value = orjson.loads(route.value)
    assert value["plugins"]["fault-injection"]["abort"]["body"] == "blocked: OUT-SCHEMA"
    assert set(value) == {"uris", "vars", "labels", "plugins"}


SAMPLES = st.sampled_from(
    [
        ("routes", with_plugin(*plugin))
        for plugin in (
            ("limit-count", {"rules": []}),
            ("proxy-rewrite", {"headers": {"set": {"x": ["a"], "y": "${b ?? c}"}, "add": {"z": ["${b ?? c}"]}}}),
            ("response-rewrite", {"headers": {"add": ["a: ${_ ?? $}", "b: c"]}}),
            ("request-id", {"algorithm": "uuidv7"}),
        )
    ]
    + [("stream_routes", {"server_port": 1, "name": "n"}), ("upstreams", {"checks": {"active": {"http_method": "A"}}})]
)
VERSIONS = st.integers(9, 18)


@given(SAMPLES, VERSIONS, VERSIONS)
def test_fitting_to_the_oldest_node_is_enough_for_all_newer_ones(
    sample: tuple[str, dict[str, Any]], one: int, other: int
):
    """What is fitted to a version needs no change for a newer one, and fitting it again changes nothing."""
    directory, value = sample
    oldest, newer = sorted((one, other))
    found, _ = fit(directory, value, policy(f"3.{oldest}-3.18"))
    assert found is not None
    assert fit(directory, found, policy(f"3.{oldest}")) == (found, [])
    assert fit(directory, found, policy(f"3.{newer}")) == (found, [])


def test_each_row_names_its_source_and_says_what_is_lost():
    for row in REQUIREMENTS:
        assert row.source
        assert bool(row.effect) == (row.loss.value != "cosmetic")
