"""Limits against the real Envoy: buckets that are not filled again within a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.http_filter.kind import PACKAGE
from tests.oracle.pair import CLUSTER, Case, pairs

if TYPE_CHECKING:
    from pathlib import Path

ALL = {"default_value": {"numerator": 100}}
TYPE = f"{PACKAGE}local_ratelimit.v3.LocalRateLimit"
USER = {"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}
PAID = {"header_value_match": {"descriptor_value": "paid", "headers": [{"name": "x-paid"}]}}
BOB, EVE, PAYS = (("x-user", "bob"),), (("x-user", "eve"),), (("x-paid", "1"),)


def tokens(count: int) -> dict[str, Any]:
    return {"max_tokens": count, "tokens_per_fill": count, "fill_interval": "86400s"}


def limit(count: int | None = None, /, **fields: Any) -> dict[str, Any]:
    bucket = {"token_bucket": tokens(count)} if count else {}
    return {"@type": TYPE, "stat_prefix": "l", "filter_enabled": ALL, "filter_enforced": ALL, **bucket, **fields}


def descriptor(count: int, **entries: str) -> dict[str, Any]:
    listed = [{"key": key, **({"value": value} if value else {})} for key, value in entries.items()]
    return {"entries": listed, "token_bucket": tokens(count)}


def http_filter(config: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "limit", "typed_config": config, **fields}


def route(prefix: str, override: dict[str, Any] | None = None, **action: Any) -> dict[str, Any]:
    per_filter = {"typed_per_filter_config": {"limit": override}} if override else {}
    return {"match": {"prefix": prefix}, "route": {"cluster": CLUSTER, **action}, **per_filter}


def host(*routes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "shop", "domains": ["*"], "routes": list(routes), **fields}


LIMITS = [{"actions": [USER]}]
TWO_ROUTES = host(route("/a"), route("/"))
ANSWERS = host(
    {"match": {"prefix": "/r"}, "redirect": {"path_redirect": "/new"}},
    {"match": {"prefix": "/d"}, "direct_response": {"status": 200, "body": {"inline_string": "direct"}}},
    {"match": {"prefix": "/p"}, "redirect": {"prefix_rewrite": "/new"}},
)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, tuple[tuple[str, str], ...]]]]] = {
    "one bucket for all routes": (limit(3), TWO_ROUTES, [(p, ()) for p in ("/a", "/b", "/a", "/b", "/a")]),
    "answers of Envoy itself use tokens": (
        limit(4),
        ANSWERS,
        [(p, ()) for p in ("/r", "/d", "/p/x?y=1", "/none", "/r", "/d", "/none")],
    ),
    "not enabled unless said": (limit(1, filter_enabled=None), TWO_ROUTES, [("/a", ())] * 3),
    "not enforced unless said": (limit(1, filter_enforced=None), TWO_ROUTES, [("/a", ())] * 3),
    "a status below 400 is 429": (limit(1, status={"code": "OK"}), TWO_ROUTES, [("/a", ())] * 2),
    "another status": (limit(1, status={"code": "ServiceUnavailable"}), TWO_ROUTES, [("/a", ())] * 2),
    "a route has a bucket of its own": (
        limit(1),
        host(route("/a", limit(2)), route("/b", limit(2)), route("/")),
        [(p, ()) for p in ("/a", "/b", "/c", "/a", "/b", "/c", "/a", "/b")],
    ),
    "a virtual host has one": (
        limit(1),
        host(route("/a"), route("/"), typed_per_filter_config={"limit": limit(2)}),
        [(p, ()) for p in ("/a", "/b", "/a", "/b")],
    ),
    "a value each": (
        limit(None, descriptors=[descriptor(1, user="")]),
        host(route("/", rate_limits=LIMITS)),
        [("/", BOB), ("/", EVE), ("/", BOB), ("/", ()), ("/", EVE), ("/", ())],
    ),
    "one value, and the bucket of all": (
        limit(3, descriptors=[descriptor(1, user="bob")]),
        host(route("/", rate_limits=LIMITS)),
        [("/", BOB), ("/", BOB), ("/", EVE), ("/", EVE), ("/", EVE), ("/", EVE)],
    ),
    "any value, and the bucket of all": (
        limit(3, descriptors=[descriptor(1, user="")]),
        host(route("/a", rate_limits=LIMITS), route("/", rate_limits=LIMITS)),
        [("/a", BOB), ("/", BOB), ("/a", EVE), ("/", ()), ("/a", ()), ("/a", ())],
    ),
    "the bucket of all for the others only": (
        limit(2, descriptors=[descriptor(1, user="bob")], always_consume_default_token_bucket=False),
        host(route("/", rate_limits=LIMITS)),
        [("/", BOB), ("/", EVE), ("/", BOB), ("/", EVE), ("/", EVE)],
    ),
    "limits of the virtual host where the route has none": (
        limit(None, descriptors=[descriptor(1, user="bob")]),
        host(route("/a", rate_limits=[{"actions": [PAID]}]), route("/"), rate_limits=LIMITS),
        [("/a", BOB), ("/a", BOB), ("/", BOB), ("/", BOB)],
    ),
    "limits of both": (
        limit(None, descriptors=[descriptor(1, user="bob")], vh_rate_limits="INCLUDE"),
        host(route("/a", rate_limits=[{"actions": [PAID]}]), rate_limits=LIMITS),
        [("/a", BOB), ("/a", BOB)],
    ),
    "limits of the route only": (
        limit(None, descriptors=[descriptor(1, user="bob")], vh_rate_limits="IGNORE"),
        host(route("/a"), rate_limits=LIMITS),
        [("/a", BOB), ("/a", BOB)],
    ),
    "the stage of the filter": (
        limit(None, descriptors=[descriptor(1, user="bob")], stage=1),
        host(route("/a", rate_limits=LIMITS), route("/", rate_limits=[{"stage": 1, **LIMITS[0]}])),
        [("/a", BOB), ("/a", BOB), ("/", BOB), ("/", BOB)],
    ),
    "a header that matches": (
        limit(None, descriptors=[descriptor(1, header_match="paid")]),
        host(route("/", rate_limits=[{"actions": [PAID]}])),
        [("/", PAYS), ("/", ()), ("/", PAYS)],
    ),
    "the address": (
        limit(None, descriptors=[descriptor(1, remote_address="127.0.0.1")]),
        host(route("/", rate_limits=[{"actions": [{"remote_address": {}}]}])),
        [("/", ()), ("/", ())],
    ),
    "a network": (
        limit(None, descriptors=[descriptor(1, masked_remote_address="127.0.0.0/8")]),
        host(route("/", rate_limits=[{"actions": [{"masked_remote_address": {"v4_prefix_mask_len": 8}}]}])),
        [("/", ()), ("/", ())],
    ),
    "a constant and the cluster": (
        limit(None, descriptors=[descriptor(1, generic_key="g", destination_cluster=CLUSTER)]),
        host(
            route(
                "/",
                rate_limits=[{"actions": [{"generic_key": {"descriptor_value": "g"}}, {"destination_cluster": {}}]}],
            )
        ),
        [("/", ()), ("/", ())],
    ),
    "an entry that may be left out": (
        limit(None, descriptors=[descriptor(1, generic_key="g")]),
        host(
            route(
                "/",
                rate_limits=[
                    {
                        "actions": [
                            {"generic_key": {"descriptor_value": "g"}},
                            {"request_headers": {**USER["request_headers"], "skip_if_absent": True}},
                        ]
                    }
                ],
            )
        ),
        [("/", BOB), ("/", BOB), ("/", ()), ("/", ())],
    ),
    "limits in the filter": (
        limit(None, descriptors=[descriptor(1, user="bob")], rate_limits=LIMITS),
        host(route("/", rate_limits=[{"actions": [PAID]}])),
        [("/", BOB), ("/", BOB)],
    ),
    "a query parameter": (
        limit(None, descriptors=[descriptor(1, q="1")]),
        host(
            route(
                "/",
                rate_limits=[{"actions": [{"query_parameters": {"query_parameter_name": "q", "descriptor_key": "q"}}]}],
            )
        ),
        [("/?q=1", ()), ("/?q=2", ()), ("/?q=1", ()), ("/", ())],
    ),
    "the slower bucket first, each one bucket on both routes": (
        limit(None, descriptors=[descriptor(1, remote_address=""), descriptor(2, user="")]),
        host(route("/a", rate_limits=[{"actions": [{"remote_address": {}}]}, *LIMITS]), route("/", rate_limits=LIMITS)),
        [("/a", BOB), ("/a", BOB), ("/", BOB), ("/", BOB), ("/a", EVE)],
    ),
    "a bucket for each of several values": (
        limit(4, descriptors=[descriptor(1, user="bob"), descriptor(2, user="eve"), descriptor(1, user="al")]),
        host(route("/", rate_limits=LIMITS)),
        [("/", BOB), ("/", BOB), ("/", EVE), ("/", EVE), ("/", EVE), ("/", ()), ("/", ())],
    ),
    "a bucket that is not full after whole seconds": (
        limit(token_bucket={"max_tokens": 2, "tokens_per_fill": 1, "fill_interval": "43200.25s"}),
        TWO_ROUTES,
        [("/a", ()), ("/b", ()), ("/a", ()), ("/b", ())],
    ),
}


APART = {"a bucket for each of several values": {"HF-RESTRICT"}}
"""On this one route all limits are counted; that others may count apart is said all the same."""


async def test_the_same_requests_pass(tmp_path: Path):
    cases = {name: Case([http_filter(config)], virtual_host) for name, (config, virtual_host, _) in CASES.items()}
    differing = {}
    async with pairs(tmp_path, cases) as running:
        for name, (_, _, requests) in CASES.items():
            both = running[name]
            outcomes = [await both.ask(target, headers) for target, headers in requests]
            envoy, apisix = [[(side.status, side.location) for side in sides] for sides in zip(*outcomes, strict=True)]
            if envoy != apisix or both.codes - APART.get(name, set()):
                differing[name] = (envoy, apisix, both.codes)
    assert not differing
