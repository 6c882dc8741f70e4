"""Where a filter would see headers at another time than in Envoy, it denies more, not less."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import Outcome, forwarded, header, http_filter, route_outcome


def run(*filters: dict[str, Any], **levels: Any) -> Outcome:
    return route_outcome(forwarded(), filters=list(filters), **levels)


MUTATION = http_filter(
    ".header_mutation.v3.HeaderMutation", {"mutations": {"request_mutations": [{"append": header("x-a", "v")}]}}
)


def denying(name: str, *, inverted: bool = False) -> dict[str, Any]:
    """Give an RBAC filter that denies where the header is `v`, or is something else."""
    matcher = {"name": name, "string_match": {"exact": "v"}, "invert_match": inverted}
    policy = {"permissions": [{"any": True}], "principals": [{"header": matcher}, {"header": {"name": "y"}}]}
    return http_filter(".rbac.v3.RBAC", {"rules": {"action": "DENY", "policies": {"p": policy}}})


def test_a_restriction_by_a_header_that_was_mutated_denies_all_it_may_deny():
    outcome = run(MUTATION, denying("x-a"))
    assert "HF-ORDER" in outcome.codes
    assert outcome.answer["http_status"] == 403
    assert outcome.only.is_blocking
    kept = run(MUTATION, denying("x-b"))
    assert len(kept.parts) == 2
    assert "HF-ORDER" not in kept.codes


def test_the_operator_may_accept_the_order():
    outcome = run(MUTATION, denying("x-a"), policy={"HF-ORDER": "allow"})
    guard, _ = outcome.parts
    assert guard.conditions == (("http_y", "~~", ".*"),)


def test_a_restriction_before_the_mutation_is_exact():
    outcome = run(denying("x-a"), MUTATION)
    assert len(outcome.parts) == 2
    assert "HF-ORDER" not in outcome.codes


def test_an_answer_that_restricts_nobody_is_left_out_instead():
    abort = {"abort": {"http_status": 500, "percentage": {"numerator": 100}}, "headers": [{"name": "x-a"}]}
    outcome = run(MUTATION, http_filter(".fault.v3.HTTPFault", abort))
    assert outcome.codes == ["HF-ORDER"]
    assert outcome.only.fields["upstream_id"]


HOST = "http://authz.example"
ALL = {"default_value": {"numerator": 100}}


def asking(**headers: str) -> dict[str, Any]:
    """Give an ext_authz filter; `told` and `given` are the headers that the service sees and sets."""
    lists = {key: {"patterns": [{"exact": name}]} for key, name in headers.items()}
    service: dict[str, Any] = {"server_uri": {"uri": HOST, "cluster": "authz", "timeout": "1s"}}
    if "given" in lists:
        service["authorization_response"] = {"allowed_upstream_headers": lists["given"]}
    config = {"http_service": service, **({"allowed_headers": lists["told"]} if "told" in lists else {})}
    return http_filter(".ext_authz.v3.ExtAuthz", config, name="ask")


def test_a_header_that_a_service_sets_counts_as_mutated_by_its_filter():
    outcome = run(asking(given="x-a"), denying("x-a"))
    (found,) = (one for one in outcome.diagnostics if one.code == "HF-ORDER")
    assert (found.value, found.path.endswith("http_filters[guard]")) == ("x_a", True)
    assert (outcome.only.is_blocking, "forward-auth" in outcome.plugins) == (True, True)
    assert "HF-ORDER" not in run(asking(given="x-b"), denying("x-a")).codes
    assert "HF-ORDER" not in run(denying("x-a"), asking(given="x-a")).codes


def test_any_guard_behind_the_service_counts():
    csrf = http_filter(".csrf.v3.CsrfPolicy", {"filter_enabled": ALL})
    exact = {"virtual_host": {"domains": ["shop.example"]}}
    assert "HF-ORDER" in run(asking(given="origin"), csrf, **exact).codes
    assert "HF-ORDER" not in run(asking(given="x-a"), csrf, **exact).codes


REDIRECT = {"redirect": {"path_redirect": "/n"}}
PAGE = {"direct_response": {"status": 200}}


@pytest.mark.parametrize("action", [REDIRECT, PAGE])
def test_an_answer_must_not_be_given_by_headers_that_nothing_mutates(action: dict[str, Any]):
    """Only requests to upstreams pass proxy-rewrite."""
    outcome = route_outcome(action, filters=[MUTATION, asking(told="x-a")])
    assert "HF-ORDER" in outcome.codes
    assert outcome.only.fields["plugins"]["mocking"]["response_example"] == "blocked: HF-ORDER"
    for filters in ([MUTATION, asking(told="x-b")], [asking(told="x-a"), MUTATION]):
        assert "HF-ORDER" not in route_outcome(action, filters=filters).codes
    assert "HF-ORDER" not in run(MUTATION, asking(told="x-a")).codes


def test_a_service_that_sets_what_was_mutated_before_hides_nothing_from_an_answer():
    assert "HF-ORDER" not in route_outcome(REDIRECT, filters=[MUTATION, asking(given="x-a")]).codes


@pytest.mark.parametrize("name", ["host", ":authority", "Host"])
def test_host_and_authority_are_one(name: str):
    mutation = http_filter(
        ".header_mutation.v3.HeaderMutation", {"mutations": {"request_mutations": [{"append": header(name, "v")}]}}
    )
    assert "HF-ORDER" in run(mutation, denying(":authority")).codes
