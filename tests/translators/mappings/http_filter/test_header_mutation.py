"""The filter's mutations and the route's are one list, in Envoy's order."""

from __future__ import annotations

from typing import Any

from tests.translators.route_parts import forwarded, header, http_filter, packed, route_outcome

OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"


def mutations(value: str, side: str = "request") -> dict[str, Any]:
    return {"mutations": {f"{side}_mutations": [{"append": header("x-a", value, OVERWRITE)}]}}


def per_route(value: str, side: str = "request") -> dict[str, Any]:
    return {"guard": packed(".header_mutation.v3.HeaderMutationPerRoute", mutations(value, side))}


def written(config: dict[str, Any], side: str = "request", **levels: Any) -> Any:
    extra = {"typed_per_filter_config": per_route("route", side)}
    levels.setdefault("route_config", {"typed_per_filter_config": per_route("config", side)})
    filters = [http_filter(".header_mutation.v3.HeaderMutation", config)]
    plugins = route_outcome(forwarded(extra | levels.pop("route", {})), filters=filters, **levels).plugins
    plugin = "proxy-rewrite" if side == "request" else "response-rewrite"
    return plugins[plugin]["headers"]["set"]["x-a"]


def test_the_least_specific_level_wins_unless_said_otherwise():
    assert written(mutations("listener")) == "config"
    assert written({**mutations("listener"), "most_specific_header_mutations_wins": True}) == "route"


def test_the_routes_own_mutations_of_the_request_come_after_the_filter():
    own = {"request_headers_to_add": [header("x-a", "own", OVERWRITE)]}
    assert written(mutations("listener"), route=own) == "own"


def test_the_filters_mutations_of_the_response_come_after_the_routes():
    own = {"response_headers_to_add": [header("x-a", "own", OVERWRITE)]}
    assert written(mutations("listener", "response"), "response", route=own) == "config"


def test_filters_mutate_responses_backwards():
    filters = [
        {**http_filter(".header_mutation.v3.HeaderMutation", mutations(name, "response")), "name": name}
        for name in ("first", "second")
    ]
    plugins = route_outcome(forwarded(), filters=filters).plugins
    assert plugins["response-rewrite"]["headers"] == {"set": {"x-a": "first"}}


def test_mutations_of_one_filter_are_evaluated_one_by_one():
    listed = [{"append": header("x-a", "1")}, {"remove": "X-A"}, {"append": header("x-a", "2")}]
    config = {"mutations": {"request_mutations": listed}}
    plugins = route_outcome(forwarded(), filters=[http_filter(".header_mutation.v3.HeaderMutation", config)]).plugins
    assert plugins["proxy-rewrite"]["headers"] == {"set": {"x-a": "2"}}


def test_what_is_not_a_header_is_said():
    config = {
        "mutations": {
            "query_parameter_mutations": [{"remove": "q"}],
            "response_mutations": [
                {"remove_on_match": {"key_matcher": {"prefix": "x-"}}},
                {"append": header("x", "%")},
            ],
        }
    }
    outcome = route_outcome(forwarded(), filters=[http_filter(".header_mutation.v3.HeaderMutation", config)])
    assert outcome.codes == ["HDR-FORMAT", "HDR-VALUE", "HF-UNTRANSLATED"]
