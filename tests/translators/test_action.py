"""Actions of every kind, and the answers that no route gives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import AT_HOST, context, forwarded, header, http_filter, route_outcome
from translators.action import require_tls_parts, terminal_parts
from translators.findings import Findings
from translators.policy import DEFAULT

NOT_FOUND = {"fault-injection": {"abort": {"http_status": 404, "body": ""}}}


def test_a_route_to_a_cluster():
    part = route_outcome(forwarded()).only
    assert set(part.fields) == {"timeout", "upstream_id"}
    assert (part.suffix, part.conditions, part.volatile, part.is_blocking) == ("", (), {}, False)


@pytest.mark.parametrize(
    ("route", "code"),
    [
        ({"route": {"cluster_header": "x.cluster"}}, "RA-CLUSTER-HEADER"),
        ({"route": {"cluster_specifier_plugin": "p"}}, "RA-CLUSTER-PLUGIN"),
        ({"route": {}}, "RT-ACTION"),
        ({"filter_action": {}}, "RT-ACTION"),
        ({"non_forwarding_action": {}}, "RT-ACTION"),
        ({}, "RT-ACTION"),
    ],
)
def test_what_leads_nowhere_is_answered_503(route: dict[str, Any], code: str):
    outcome = route_outcome(route)
    assert (outcome.answer["http_status"], outcome.codes) == (503, [code])
    assert outcome.only.is_blocking


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ({"request_mirror_policies": [{"cluster": "backend"}]}, "RA-MIRROR"),
        ({"internal_redirect_policy": {}}, "RA-INTERNAL-REDIRECT"),
        ({"hedge_policy": {}}, "RA-RETRY"),
        ({"path_rewrite_policy": {"name": "p"}}, "RT-ACTION"),
        ({"path_rewrite": "/%NOTHING%"}, "HDR-FORMAT"),
        ({"host_rewrite": "%REQ(x-h)%"}, "RA-HOST"),
    ],
)
def test_what_is_lost_on_the_way_is_said(action: dict[str, Any], code: str):
    outcome = route_outcome(forwarded(**action))
    assert outcome.codes == [code]
    assert outcome.only.fields["upstream_id"]


def levels(**wins: bool) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    def mutation(value: str) -> dict[str, Any]:
        return {"request_headers_to_add": [header("x-level", value, "OVERWRITE_IF_EXISTS_OR_ADD")]}

    return mutation("route"), mutation("host"), {**mutation("config"), **wins}


@pytest.mark.parametrize(("wins", "value"), [({}, "config"), ({"most_specific_header_mutations_wins": True}, "route")])
def test_levels_of_mutations(wins: dict[str, bool], value: str):
    route, virtual_host, route_config = levels(**wins)
    plugins = route_outcome(forwarded(route), virtual_host=virtual_host, route_config=route_config).plugins
    assert plugins["proxy-rewrite"]["headers"] == {"set": {"x-level": value}}


def test_internal_headers_are_taken_from_requests():
    route_config = {"internal_only_headers": ["X-Internal"]}
    plugins = route_outcome(forwarded(), route_config=route_config).plugins
    assert plugins["proxy-rewrite"]["headers"] == {"remove": ["x-internal"]}


def test_a_condition_of_the_plugin_covers_headers_only():
    only_present = [header("x-a", "v", "OVERWRITE_IF_EXISTS")]
    alone = route_outcome(forwarded({"request_headers_to_add": only_present}))
    assert alone.plugins["proxy-rewrite"]["_meta"] == {"filter": [("http_x_a", "~~", ".*")]}
    beside = route_outcome(forwarded({"request_headers_to_add": only_present}, host_rewrite_literal="a.com"))
    assert "_meta" not in beside.plugins["proxy-rewrite"]
    assert beside.codes == ["HDR-VALUE"]
    response = route_outcome(forwarded({"response_headers_to_add": only_present}))
    assert response.plugins["response-rewrite"]["vars"] == [("sent_http_x_a", "~~", ".*")]


def test_a_header_may_name_the_cluster_and_the_route():
    route = forwarded({"name": "canary", "request_headers_to_add": [header("x-to", "%ROUTE_NAME%/%UPSTREAM_CLUSTER%")]})
    assert route_outcome(route).plugins["proxy-rewrite"]["headers"] == {"add": {"x-to": "canary/backend"}}


def test_requests_that_no_route_takes_are_not_found():
    findings = Findings(DEFAULT)
    (part,) = terminal_parts(context(), AT_HOST, findings)
    assert part.fields == {"plugins": NOT_FOUND}
    assert part.is_blocking


def test_filters_of_the_listener_guard_them_too():
    findings = Findings(DEFAULT)
    (part,) = terminal_parts(context(filters=[http_filter(".ext_authz.v3.ExtAuthz")]), AT_HOST, findings)
    assert part.fields["plugins"]["fault-injection"]["abort"]["http_status"] == 403
    mutation = {"mutations": {"response_mutations": [{"append": header("x-a", "1")}]}}
    filters = [http_filter(".header_mutation.v3.HeaderMutation", mutation)]
    (part,) = terminal_parts(context(filters=filters), AT_HOST, findings)
    assert part.fields["plugins"] == NOT_FOUND | {"response-rewrite": {"headers": {"add": ["x-a: 1"]}}}


@pytest.mark.parametrize("required", ["ALL", "EXTERNAL_ONLY"])
def test_a_host_that_requires_tls_redirects(required: str):
    findings = Findings(DEFAULT)
    mutations = {"response_headers_to_add": [header("x-a", "1")]}
    (part,) = require_tls_parts(context(virtual_host={"require_tls": required, **mutations}), AT_HOST, findings)
    location = {"Location": "https://${http_host}${real_request_uri}"}
    answer = {"http_status": 301, "body": "", "headers": location}
    assert part.fields == {"plugins": {"fault-injection": {"abort": answer}}}
    assert part.conditions == (("scheme", "==", "http"),)
    assert not part.is_blocking


def test_a_host_that_requires_nothing_does_not():
    assert require_tls_parts(context(), AT_HOST, Findings(DEFAULT)) == []
