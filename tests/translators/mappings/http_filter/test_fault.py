"""Faults are injected into the requests that Envoy injects them into, in its order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.router import Request, holds
from tests.translators.route_parts import Outcome, forwarded, header, http_filter, packed, route_outcome
from translators.expr import share

ALL = {"numerator": 100}
HALF = {"numerator": 50}
ABORT = {"abort": {"http_status": 418, "percentage": ALL}}
HALF_ABORT = {"abort": {"http_status": 418, "percentage": HALF}}
DELAY = {"delay": {"fixed_delay": "1.5s", "percentage": ALL}}
ONLY_X = {"headers": [{"name": "x-h", "string_match": {"exact": "x"}}]}


def injected(config: dict[str, Any], override: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    extra = {"typed_per_filter_config": {"guard": override}} if override else {}
    route = levels.pop("route", forwarded(extra))
    return route_outcome(route, filters=[http_filter(".fault.v3.HTTPFault", config)], **levels)


@pytest.mark.parametrize(
    ("config", "override"),
    [
        ({}, None),
        ({"abort": {"http_status": 418}}, None),
        ({"delay": {"fixed_delay": "1s"}}, None),
        ({**ABORT, "max_active_faults": 0}, None),
        ({**ABORT, "upstream_cluster": "other"}, None),
        (ABORT, packed(".fault.v3.HTTPFault")),
    ],
)
def test_what_injects_nothing_leaves_the_route_alone(config, override):
    outcome = injected(config, override)
    assert outcome.plugins == {}
    assert outcome.codes == []


def test_an_abort_of_all_requests_is_all_that_is_left():
    outcome = injected({}, packed(".fault.v3.HTTPFault", ABORT))
    assert outcome.answer == {
        "http_status": 418,
        "body": "fault filter abort",
        "headers": {"Content-Type": "text/plain"},
    }
    assert not outcome.only.is_blocking, "an abort denies nothing: it must not widen a match"


def test_a_share_is_drawn_by_digits_of_its_own():
    guard, route = injected(HALF_ABORT).parts
    assert guard.conditions == (("request_id", "~~", r"\A.{8}(?:[0-7]...)"),)
    assert route.fields["upstream_id"]


def test_a_delay_is_on_the_route_and_on_every_guard_behind_it():
    guard, route = injected({**HALF_ABORT, **DELAY, **ONLY_X}).parts
    delay = {"duration": 1.5, "vars": [[("http_x_h", "==", "x")]]}
    assert route.fields["plugins"]["fault-injection"] == {"delay": delay, "_meta": {"priority": 20000}}
    assert guard.fields["plugins"]["fault-injection"]["delay"] == delay
    assert guard.fields["plugins"]["fault-injection"]["abort"]["http_status"] == 418


def test_draws_of_one_request_are_independent():
    outcome = injected({**HALF_ABORT, "delay": {"fixed_delay": "1s", "percentage": HALF}})
    (delay,) = outcome.parts[1].fields["plugins"]["fault-injection"]["delay"]["vars"]
    assert delay == [("request_id", "~~", r"\A.{12}(?:[0-7]...)")]


def test_what_comes_before_a_delay_is_not_delayed():
    rules = {"rules": {"action": "DENY", "policies": {"p": {"permissions": [{"header": {"name": "x"}}]}}}}
    rules["rules"]["policies"]["p"]["principals"] = [{"any": True}]
    filters = [{**http_filter(".rbac.v3.RBAC", rules), "name": "first"}, http_filter(".fault.v3.HTTPFault", DELAY)]
    guard, route = route_outcome(forwarded(), filters=filters).parts
    assert "delay" not in guard.fields["plugins"]["fault-injection"]
    assert "delay" in route.fields["plugins"]["fault-injection"]


def test_a_second_delay_is_said():
    filters = [http_filter(".fault.v3.HTTPFault", DELAY), {**http_filter(".fault.v3.HTTPFault", DELAY), "name": "b"}]
    outcome = route_outcome(forwarded(), filters=filters)
    assert outcome.codes == ["HF-UNTRANSLATED"]
    assert outcome.plugins["fault-injection"]["delay"] == {"duration": 1.5}


def test_a_redirect_is_aborted_and_delayed_too():
    redirect = {"redirect": {"host_redirect": "b.com"}}
    outcome = injected({**HALF_ABORT, **DELAY}, route=redirect)
    assert len(outcome.parts) == 2
    assert all(part.fields["plugins"]["fault-injection"]["delay"]["duration"] == 1.5 for part in outcome.parts)
    assert (
        injected({**ABORT, "upstream_cluster": "backend"}, route=redirect)
        .parts[0]
        .fields["plugins"]["fault-injection"]["abort"]["http_status"]
        == 301
    )


def test_a_grpc_status_is_told_to_those_who_speak_grpc():
    first, second = injected({"abort": {"grpc_status": 14, "percentage": ALL}}).parts
    grpc = Request("h", "/", variables={"http_content_type": "application/grpc"})
    assert all(holds(condition, grpc) for condition in first.conditions)
    assert first.fields["plugins"]["fault-injection"]["abort"]["headers"]["grpc-status"] == "14"
    assert second.conditions == ()
    assert second.fields["plugins"]["fault-injection"]["abort"]["http_status"] == 200


def test_only_requests_of_the_named_nodes_are_aborted():
    guard, _ = injected({**ABORT, "downstream_nodes": ["n1", "n2"]}).parts
    assert guard.conditions == (("http_x_envoy_downstream_service_node", "in", ("n1", "n2")),)


def test_a_fault_of_a_weighted_cluster_hits_its_share():
    clusters = [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]
    route = {"route": {"weighted_clusters": {"clusters": clusters}}}
    guard, _ = injected({**ABORT, "upstream_cluster": "b"}, route=route, clusters=("a", "b")).parts
    (condition,) = guard.conditions
    assert condition == share(1, 2, 2, skipped_digits=4)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"response_rate_limit": {"fixed_limit": {"limit_kbps": 1}, "percentage": ALL}}, "response_rate_limit"),
        ({**ABORT, "max_active_faults": 3}, "max_active_faults"),
        ({"abort": {"header_abort": {}, "percentage": ALL}}, "abort.header_abort"),
        ({"delay": {"header_delay": {}, "percentage": ALL}}, "delay.header_delay"),
        ({**ABORT, "headers": [{"name": "a b"}]}, "headers[0]"),
        ({**ABORT, "headers": [{"name": "a", "string_match": {"safe_regex": {"regex": "\\C"}}}]}, "headers[0]"),
    ],
)
def test_what_cannot_be_injected_is_said(config, field):
    outcome = injected(config)
    assert outcome.codes == ["HF-UNTRANSLATED"]
    assert outcome.diagnostics[0].path.endswith(field)


def test_an_unreadable_override_is_said():
    outcome = injected(ABORT, packed(".rbac.v3.RBACPerRoute"))
    assert outcome.codes == ["HF-UNTRANSLATED"]
    assert outcome.only.fields["upstream_id"]


def test_a_delay_by_a_mutated_header_is_said():
    mutation = {"mutations": {"request_mutations": [{"remove": "x-h"}]}}
    filters = [
        {**http_filter(".header_mutation.v3.HeaderMutation", mutation), "name": "first"},
        http_filter(".fault.v3.HTTPFault", {**DELAY, **ONLY_X}),
    ]
    assert route_outcome(forwarded(), filters=filters).codes == ["HF-ORDER"]


def test_the_status_is_not_known_while_the_answer_is_mutated():
    extra = {"response_headers_to_add": [header("x-status", "%RESPONSE_CODE%", "OVERWRITE_IF_EXISTS_OR_ADD")]}
    guard, route = injected(HALF_ABORT, route=forwarded(extra)).parts
    assert guard.fields["plugins"]["response-rewrite"]["headers"]["set"] == {"x-status": "0"}
    assert route.fields["plugins"]["response-rewrite"]["headers"]["set"] == {"x-status": "${status}"}


def test_a_delay_behind_a_plugin_that_refuses_later_says_so():
    keys = {
        "credentials": [{"key": "k", "client": "one"}],
        "key_sources": [{"header": "x-key"}],
        "forwarding": {"header": "x-client"},
    }
    key_auth, fault = http_filter(".api_key_auth.v3.ApiKeyAuth", keys), http_filter(".fault.v3.HTTPFault", DELAY)
    told = {
        name: route_outcome(forwarded(), filters=filters).codes
        for name, filters in {
            "behind": [key_auth, fault],
            "in front": [fault, key_auth],
        }.items()
    }
    assert [name for name, codes in told.items() if "HF-ORDER" in codes] == ["behind"]
