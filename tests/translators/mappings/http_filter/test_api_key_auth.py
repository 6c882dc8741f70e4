"""Who has a key is let in as Envoy lets in, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translators.route_parts import http_filter, packed
from tests.translators.served import TO_BACKEND, Served, served

API_KEY = ".api_key_auth.v3.ApiKeyAuth"
PER_ROUTE = ".api_key_auth.v3.ApiKeyAuthPerRoute"
CREDENTIALS = [{"key": "k1", "client": "one"}, {"key": "k2", "client": "two"}, {"key": "k3", "client": "two"}]
HEADER = [{"header": "X-Key"}]


def guarded(override: dict[str, Any] | None = None, **fields: Any) -> Served:
    config = {"credentials": CREDENTIALS, "key_sources": HEADER, **fields}
    typed = {"typed_per_filter_config": {"guard": packed(PER_ROUTE, override)}} if override is not None else {}
    return served(API_KEY, config, routes=[{**TO_BACKEND, **typed}])


@pytest.mark.parametrize(
    ("sources", "target", "headers", "status"),
    [
        (HEADER, "/", {"x-key": "k1"}, 200),
        (HEADER, "/", {"x-key": "k4"}, 401),
        (HEADER, "/", {"x-key": ""}, 401),
        (HEADER, "/?x-key=k1&apikey=k1", {"apikey": "k1"}, 401),
        ([{"query": "q"}], "/?q=k1", {}, 200),
        ([{"query": "q"}], "/?q", {}, 401),
        ([{"query": "q"}], "/?a&q=%6b1", {}, 200),
        ([{"query": "q"}], "/", {"apikey": "k1"}, 401),
        ([{"header": "x-key"}, {"query": "q"}], "/?q=k1", {}, 200),
        ([{"header": "x-key"}, {"query": "q"}], "/?q=k1", {"x-key": "bad"}, 401),
        ([{"header": "x-key", "query": "q", "cookie": "c"}], "/?q=k1", {"cookie": "c=k1"}, 401),
    ],
)
def test_a_key_counts_where_the_filter_says(sources, target, headers, status):
    found = guarded(key_sources=sources)
    assert not found.codes
    assert found.status(target, headers) == status


def test_a_missing_key_is_refused_in_envoys_words():
    answer = guarded().ask()
    assert (answer.status, answer.body) == (401, "Client authentication failed.")


def test_a_route_lets_in_some_clients_only():
    found = guarded({"allowed_clients": ["two"]})
    assert [found.status(headers={"x-key": key}) for key in ("k1", "k2", "k3", "k4")] == [403, 200, 200, 401]


def test_a_route_that_lets_in_nobody_known_lets_in_nobody():
    found = guarded({"allowed_clients": ["nobody"]})
    assert [found.status(headers={"x-key": key}) for key in ("k1", "k4")] == [403, 401]


def test_a_route_has_keys_of_its_own():
    found = guarded({"credentials": [{"key": "k9", "client": "nine"}]})
    assert [found.status(headers={"x-key": key}) for key in ("k0", "k1", "k9")] == [401, 403, 200]


def test_consumers_of_other_routes_are_not_let_in():
    """key-auth recognises every consumer of the node."""
    override = {"credentials": [{"key": "k9", "client": "nine"}]}
    typed = {"typed_per_filter_config": {"guard": packed(PER_ROUTE, override)}}
    routes = [{**TO_BACKEND, "match": {"path": "/nine"}, **typed}, TO_BACKEND]
    found = served(API_KEY, {"credentials": CREDENTIALS, "key_sources": HEADER}, routes=routes)
    assert [found.status("/nine", {"x-key": key}) for key in ("k1", "k9")] == [403, 200]
    assert [found.status("/", {"x-key": key}) for key in ("k1", "k9")] == [200, 403]


@pytest.mark.parametrize("hides", [True, False])
def test_the_upstream_is_told_the_client_and_not_the_key(*, hides: bool):
    found = guarded(forwarding={"header": "X-Client", "hide_credentials": hides})
    answer = found.ask(headers={"x-key": "k2", "x-client": "forged", "x-consumer-custom-id": "forged"})
    shown = [] if hides else [("x-key", "k2")]
    assert sorted(answer.request_headers) == sorted([*shown, ("x-client", "two")])


def test_what_a_route_says_about_forwarding_is_all_there_is():
    found = guarded({"allowed_clients": ["one"]}, forwarding={"header": "x-client", "hide_credentials": True})
    assert found.ask(headers={"x-key": "k1"}).request_headers == [("x-key", "k1")]


@pytest.mark.parametrize(
    "fields",
    [
        {"key_sources": []},
        {"key_sources": [{"cookie": "c"}]},
        {"key_sources": [{"header": "a"}, {"header": "b"}]},
        {"key_sources": [{"query": "a"}, {"header": "b"}]},
        {"key_sources": [{"query": "a b"}]},
        {"key_sources": [{"query": "a"}], "forwarding": {"hide_credentials": True}},
        {"credentials": [{"key": "k", "client": "a b"}], "forwarding": {"header": "x-client"}},
        {"credentials": [{"key": "k", "client": "a"}, {"key": "k", "client": "b"}]},
    ],
)
def test_what_cannot_be_enforced_closes_the_route(fields: dict[str, Any]):
    found = guarded(**fields)
    assert found.codes == ["HF-RESTRICT"]
    assert found.ask(headers={"x-key": "k1"}).body == "blocked: HF-RESTRICT"
    assert all(one.remedy and "k1" not in str(one) for one in found.diagnostics)


def test_a_client_may_have_a_name_with_spaces_if_nobody_is_told():
    found = guarded(credentials=[{"key": "k", "client": "a b"}])
    assert found.status(headers={"x-key": "k"}) == 200


def test_without_keys_nobody_is_let_in():
    found = guarded(credentials=[])
    assert found.status(headers={"x-key": "k1"}) == 401


def test_a_second_filter_of_the_kind_closes_the_route():
    config = {"credentials": CREDENTIALS, "key_sources": HEADER}
    found = served(API_KEY, config, more=[{**http_filter(API_KEY, config), "name": "second"}])
    assert found.codes == ["HF-DUP"]
    assert found.status(headers={"x-key": "k1"}) == 503


def test_what_is_not_known_closes_the_route():
    other = {"@type": "type.googleapis.com/xds.type.v3.TypedStruct"}
    routes = [{**TO_BACKEND, "typed_per_filter_config": {"guard": other}}]
    found = served(API_KEY, {"credentials": CREDENTIALS, "key_sources": HEADER}, routes=routes)
    assert found.ask(headers={"x-key": "k1"}).body == "blocked: HF-RESTRICT"


def test_a_policy_may_give_up_the_filter():
    found = served(API_KEY, {"credentials": CREDENTIALS}, policy={"HF-RESTRICT": "allow"})
    assert (found.status(), found.codes) == (200, [])


def test_sealed_keys_stay_sealed():
    token = "mfseal1.AAAAAAAAAAA.FFFF.cccc"
    found = guarded(credentials=[{"key": token, "client": "one"}])
    (consumer,) = found.consumers.values()
    assert consumer["plugins"] == {"key-auth": {"key": token}}
    assert consumer["labels"] == {"custom_id": "one"}
