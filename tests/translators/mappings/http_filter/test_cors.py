"""Preflights are answered and responses decorated exactly where Envoy does so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.router import Request, holds
from tests.translators.route_parts import Outcome, forwarded, header, http_filter, packed, route_outcome

CORS = http_filter(".cors.v3.Cors")
A = "http://a.com"
POLICY = {
    "allow_origin_string_match": [{"exact": A}],
    "allow_methods": "GET",
    "allow_headers": "x-h",
    "expose_headers": "x-e",
    "max_age": "7",
    "allow_credentials": True,
}
HALF = {"default_value": {"numerator": 50}}
NONE = {"default_value": {"numerator": 0}}


def policy(**fields: Any) -> dict[str, Any]:
    return packed(".cors.v3.CorsPolicy", fields)


def decorated(route: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **levels: Any) -> Outcome:
    """Translate a route with a policy, and perhaps one of its virtual host."""
    extra = {"typed_per_filter_config": {"guard": route}} if route is not None else {}
    if host is not None:
        levels["virtual_host"] = {"typed_per_filter_config": {"guard": host}}
    levels.setdefault("filters", [CORS])
    return route_outcome(levels.pop("to", forwarded)({**extra, **levels.pop("extra", {})}), **levels)


def preflight(origin: str, method: str = "OPTIONS", **others: str) -> Request:
    variables = {"http_origin": origin, "http_access_control_request_method": "PUT", **others}
    return Request("h", "/", method, {**variables, "request_id": "0" * 32})


def answer_to(outcome: Outcome, request: Request) -> dict[str, str] | None:
    """Give the headers of the answer; None when the request goes to the cluster."""
    part = next(part for part in outcome.parts if all(holds(condition, request) for condition in part.conditions))
    if "upstream_id" in part.fields:
        return None
    assert (part.is_guard, part.is_local_reply) == (True, False)
    headers: dict[str, str] = part.fields["plugins"]["fault-injection"]["abort"].get("headers", {})
    return headers


def test_a_filter_without_a_policy_does_nothing():
    outcome = decorated()
    assert (outcome.plugins, outcome.codes) == ({}, [])


def test_a_preflight_is_answered_with_all_headers():
    assert answer_to(decorated(policy(**POLICY)), preflight(A)) == {
        "access-control-allow-origin": "${http_origin}",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET",
        "access-control-allow-headers": "x-h",
        "access-control-expose-headers": "x-e",
        "access-control-max-age": "7",
    }


@pytest.mark.parametrize(
    "request_",
    [
        preflight("http://b.com"),
        preflight(""),
        preflight(A, "GET"),
        preflight(A, http_access_control_request_method=""),
    ],
)
def test_anything_else_goes_to_the_cluster(request_):
    assert answer_to(decorated(policy(**POLICY)), request_) is None


def test_the_response_is_decorated_where_the_origin_is_allowed():
    _, route = decorated(policy(**POLICY)).parts
    assert route.fields["plugins"] == {
        "response-rewrite": {
            "headers": {
                "set": {
                    "access-control-allow-credentials": "true",
                    "access-control-allow-origin": "${http_origin}",
                    "access-control-expose-headers": "x-e",
                }
            },
            "vars": [("http_origin", "==", A), ("http_origin", "~~", "(?s).")],
        }
    }


@pytest.mark.parametrize(
    "extra",
    [
        {"response_headers_to_add": [header("x-a", "v")]},
        {"request_headers_to_add": [header("origin", "http://c.com")]},
        {"request_headers_to_remove": ["origin"]},
    ],
)
def test_with_mutations_of_its_own_the_route_stands_twice(extra):
    outcome = decorated(policy(**POLICY), extra=extra)
    _, subject, other = outcome.parts
    assert subject.suffix != other.suffix
    assert holds(subject.conditions, preflight(A))
    assert not holds(subject.conditions, preflight("http://b.com"))
    headers = subject.fields["plugins"]["response-rewrite"]["headers"]
    assert headers["set"]["access-control-allow-origin"] == "${http_origin}"
    assert "access-control-allow-origin" not in str(other.fields.get("plugins"))
    assert outcome.codes == []


@pytest.mark.parametrize("is_alone", [True, False])
def test_answers_of_later_filters_are_decorated_and_those_of_earlier_ones_are_not(is_alone):
    abort = {"abort": {"http_status": 500, "percentage": {"numerator": 50}}}
    filters = [
        {**http_filter(".fault.v3.HTTPFault", abort), "name": "early"},
        CORS,
        {**http_filter(".fault.v3.HTTPFault", abort), "name": "late"},
    ]
    extra = {} if is_alone else {"response_headers_to_add": [header("x-a", "v")]}
    parts = decorated(policy(**POLICY), filters=filters, extra=extra).parts
    guards = [part for part in parts if part.is_guard]
    decorated_ones = [
        part.suffix for part in guards if "access-control" in str(part.fields["plugins"].get("response-rewrite"))
    ]
    assert decorated_ones == (["late"] if is_alone else ["late@conditional"])
    assert [part.suffix for part in guards] == (
        ["early", "guard", "late"] if is_alone else ["early", "guard", "late@conditional", "late"]
    )


def test_a_closed_route_closes_for_both():
    filters = [
        CORS,
        {
            **http_filter(".fault.v3.HTTPFault", {"abort": {"http_status": 500, "percentage": {"numerator": 100}}}),
            "name": "late",
        },
    ]
    parts = decorated(policy(**POLICY), filters=filters, extra={"response_headers_to_add": [header("x-a", "v")]}).parts
    assert [part.suffix for part in parts] == ["guard", "@conditional", ""]
    assert not any("upstream_id" in part.fields for part in parts)


def test_what_a_route_leaves_open_its_virtual_host_says():
    outcome = decorated(policy(allow_methods="PUT"), policy(**POLICY, filter_enabled=NONE))
    found = answer_to(outcome, preflight(A))
    assert found is not None
    assert found["access-control-allow-methods"] == "PUT"
    assert found["access-control-max-age"] == "7"


def test_the_deprecated_policies_count_alone():
    old = {**POLICY, "max_age": "1"}
    assert (
        answer_to(decorated(to=lambda extra: forwarded(extra, cors=old)), preflight(A))["access-control-max-age"] == "1"
    )  # type: ignore[index] # fails if None
    outcome = route_outcome(forwarded(), filters=[CORS], virtual_host={"cors": old})
    assert answer_to(outcome, preflight(A)) is not None
    outcome = route_outcome(
        forwarded({"typed_per_filter_config": {"guard": policy()}}), filters=[CORS], virtual_host={"cors": old}
    )
    assert answer_to(outcome, preflight(A)) is None


@pytest.mark.parametrize("has_credentials", [True, False])
def test_asterisks_mean_what_was_asked_for(has_credentials):
    asterisks = {"allow_methods": "*", "allow_headers": "*", "allow_credentials": has_credentials}
    outcome = decorated(policy(**{**POLICY, **asterisks}))
    found = answer_to(outcome, preflight(A))
    assert found is not None
    assert found["access-control-allow-methods"] == "${http_access_control_request_method}"
    assert found["access-control-allow-headers"] == "${http_access_control_request_headers}"


def test_private_networks_are_allowed_to_those_who_ask():
    outcome = decorated(policy(**POLICY, allow_private_network_access=True))
    name = "access-control-allow-private-network"
    asking = preflight(A, http_access_control_request_private_network="true")
    assert name in (answer_to(outcome, asking) or {})
    assert name not in (answer_to(outcome, preflight(A)) or {})


def test_preflights_of_others_may_be_kept_from_the_cluster():
    outcome = decorated(policy(**POLICY, forward_not_matching_preflights=False))
    found = answer_to(outcome, preflight("http://b.com"))
    assert found is not None
    assert "access-control-allow-origin" not in found
    assert found["access-control-allow-methods"] == "GET"
    bare = policy(allow_origin_string_match=[{"exact": A}], forward_not_matching_preflights=False)
    assert answer_to(decorated(bare), preflight("http://b.com")) == {}


@pytest.mark.parametrize(
    ("matcher", "origin", "is_allowed"),
    [
        ({"exact": "*"}, "http://z", True),
        ({"safe_regex": {"regex": ".*"}}, "http://z", True),
        ({"prefix": "http://a"}, A, True),
        ({"prefix": "http://a"}, "http://b", False),
        ({"suffix": "A.COM", "ignore_case": True}, A, True),
        ({"contains": "*"}, "http://z", True),
        ({"safe_regex": {"regex": "http://[a-z]+"}}, "http://b.com", False),
        ({"safe_regex": {"regex": "http://[a-z]+"}}, "http://b", True),
        ({"safe_regex": {"regex": "^http://[a-z]+$"}}, "http://b", True),
        ({"safe_regex": {"regex": "^.*$"}}, "x", True),
        ({"safe_regex": {"regex": "http://\\x{62}"}}, "http://b", True),
    ],
)
def test_origins_are_matched_as_envoy_does(matcher, origin, is_allowed):
    outcome = decorated(policy(allow_origin_string_match=[matcher]))
    assert (answer_to(outcome, preflight(origin)) is not None) is is_allowed
    assert outcome.codes == []


@pytest.mark.parametrize("matcher", [{"safe_regex": {"regex": "\\C"}}, {}])
def test_an_origin_that_cannot_be_matched_is_said(matcher):
    outcome = decorated(policy(allow_origin_string_match=[matcher]))
    assert outcome.codes == ["HF-UNTRANSLATED"]
    assert outcome.only.fields["upstream_id"]


def test_a_share_is_one_draw_for_preflights_and_others():
    guard, route = decorated(policy(**POLICY, filter_enabled=HALF)).parts
    (drawn,) = (one for one in guard.conditions[0] if one[0] == "request_id")
    assert drawn in route.fields["plugins"]["response-rewrite"]["vars"]
    assert decorated(policy(**POLICY, filter_enabled=NONE, shadow_enabled=HALF)).plugins == {}


@pytest.mark.parametrize("to", [{"redirect": {"host_redirect": "b.com"}}, {"direct_response": {"status": 200}}])
def test_answers_of_the_route_itself_are_not_touched(to):
    outcome = route_outcome({**to, "typed_per_filter_config": {"guard": policy(**POLICY)}}, filters=[CORS])
    assert len(outcome.parts) == 1
    assert "response-rewrite" not in outcome.plugins


def test_a_second_filter_and_an_unreadable_policy_are_said():
    two = decorated(policy(**POLICY), filters=[CORS, CORS])
    assert two.codes == ["HF-UNTRANSLATED"]
    assert len(two.parts) == 2
    assert decorated(packed(".rbac.v3.RBACPerRoute")).codes == ["HF-UNTRANSLATED"]


def test_a_mutated_origin_is_said():
    mutation = {"mutations": {"request_mutations": [{"remove": "origin"}]}}
    filters = [{**http_filter(".header_mutation.v3.HeaderMutation", mutation), "name": "first"}, CORS]
    assert decorated(policy(**POLICY), filters=filters).codes == ["HF-ORDER"]
