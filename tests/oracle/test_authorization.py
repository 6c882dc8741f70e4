"""External authorization against the real Envoy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.authorization_server import PREFIX, authorization_server, authorize
from tests.oracle.http_filter.kind import PACKAGE
from tests.oracle.observation import ASPECTS
from tests.oracle.pair import CLUSTER, Case, pairs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.oracle.observation import Seen

TYPE = f"{PACKAGE}ext_authz.v3.ExtAuthz"
PER_ROUTE = f"{PACKAGE}ext_authz.v3.ExtAuthzPerRoute"
NONE = {"default_value": {"numerator": 0}}
ALLOW = {"user": {"permissions": [{"any": True}], "principals": [{"header": {"name": "x-a", "present_match": True}}]}}
RBAC = {
    "name": "rules",
    "typed_config": {"@type": f"{PACKAGE}rbac.v3.RBAC", "rules": {"action": "DENY", "policies": ALLOW}},
}
OVERWRITTEN = {"append": {"header": {"key": "x-b", "value": "new"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
MUTATION = {
    "name": "mutation",
    "typed_config": {
        "@type": f"{PACKAGE}header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [OVERWRITTEN]},
    },
}


def exact(*names: str) -> dict[str, Any]:
    return {"patterns": [{"exact": name} for name in names]}


def guard(port: int, response: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Give the filter; the service sees x-a, its answer gives x-seen and x-user."""
    service = {
        "server_uri": {"uri": f"http://127.0.0.1:{port}", "cluster": "authz", "timeout": "5s"},
        "path_prefix": PREFIX,
        "authorization_response": {
            "allowed_upstream_headers": exact("x-seen", "x-user"),
            "allowed_client_headers": exact("x-why"),
            **(response or {}),
        },
    }
    config = {"@type": TYPE, "http_service": service, "allowed_headers": exact("x-a"), **fields}
    return {"name": "guard", "typed_config": config}


def route(prefix: str, action: dict[str, Any] | None = None, override: dict[str, Any] | None = None) -> dict[str, Any]:
    per_filter = {"typed_per_filter_config": {"guard": {"@type": PER_ROUTE, **override}}} if override else {}
    return {"match": {"prefix": prefix}, **(action or {"route": {"cluster": CLUSTER}}), **per_filter}


HOST = {
    "name": "shop",
    "domains": ["a.com"],
    "routes": [
        route("/open", None, {"disabled": True}),
        route("/r", {"redirect": {"path_redirect": "/new"}}),
        route("/p", {"redirect": {"prefix_rewrite": "/new"}}),
        route("/d", {"direct_response": {"status": 200, "body": {"inline_string": "direct"}}}),
        route("/", None, None),
    ],
}
FORWARDING = {**HOST, "routes": [one for one in HOST["routes"] if "route" in one]}
"""Where a route answers by itself nothing is mutated, so such a route is blocked behind a mutation."""
REQUESTS = [
    (target, headers)
    for target in ("/", "/a?b=1", "/r", "/r/deny403", "/p/x?y=1", "/d", "/d/deny401", "/open/deny403", "/deny403")
    for headers in (
        (),
        (("x-a", "403"),),
        (("x-a", "302"), ("x-b", "1")),
        (("authorization", "Basic x"), ("x-b", "1"), ("x-user", "eve")),
    )
]


def cases(port: int) -> dict[str, Case]:
    """Give the cases; the service listens on the port, nobody on port 1."""
    extra = {"headers_to_add": [{"key": "x-added", "value": "%REQ(x-b)%-$"}]}
    added = guard(port)
    added["typed_config"]["http_service"]["authorization_request"] = extra
    return {
        "plain": Case([guard(port)], HOST),
        "another list": Case([guard(port, allowed_headers=exact("x-a", "X-B"))], HOST),
        "not that": Case([guard(port, allowed_headers=exact("x-a", "x-b"), disallowed_headers=exact("x-b"))], HOST),
        "behind a mutation": Case([MUTATION, guard(port, allowed_headers=exact("x-a", "x-b"))], FORWARDING),
        "in front of a mutation": Case([guard(port), MUTATION], HOST),
        "more headers": Case([added], HOST),
        "behind rules": Case([RBAC, guard(port)], HOST),
        "in front of rules": Case([guard(port), RBAC], HOST),
        "with the body": Case([guard(port, with_request_body={"max_request_bytes": 100})], HOST),
        "never asked": Case([guard(port, filter_enabled=NONE)], HOST),
        "denied where not asked": Case(
            [
                guard(
                    port,
                    filter_enabled=NONE,
                    deny_at_disable={"default_value": True, "runtime_key": "k"},
                    status_on_error={"code": "ServiceUnavailable"},
                )
            ],
            HOST,
        ),
    }


def unequal(envoy: Seen, apisix: Seen) -> list[str]:
    """Name what differs; what type nothing is of does not matter, nor what Envoy does not tell."""
    told = [one for one in ASPECTS if getattr(envoy, one) is not None]
    aspects = [one for one in told if one != "content_type" or envoy.body]
    return [
        f"{one}: {getattr(envoy, one)!r} {getattr(apisix, one)!r}"
        for one in aspects
        if getattr(envoy, one) != getattr(apisix, one)
    ]


def cluster(name: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


async def test_the_same_requests_pass(tmp_path: Path):
    differing: dict[str, list[str]] = {}
    async with authorization_server() as port:
        known = cases(port)
        async with pairs(tmp_path, known, clusters=(cluster("authz", port),), authorize=authorize) as running:
            for name, both in running.items():
                for target, headers in REQUESTS:
                    if found := unequal(*await both.ask(target, headers)):
                        differing.setdefault(name, []).append(f"{target} {headers}: {found}")
    assert not differing, "\n".join(f"{name}\n   " + "\n   ".join(lines) for name, lines in differing.items())


async def test_a_service_that_is_away_refuses_or_lets_pass(tmp_path: Path):
    config = {"status_on_error": {"code": "ServiceUnavailable"}}
    known = {
        "refuses": Case([guard(1)], HOST),
        "refuses with a status": Case([guard(1, **config)], HOST),
        "lets pass": Case([guard(1, failure_mode_allow=True, **config)], HOST),
    }
    statuses = {}
    async with pairs(tmp_path, known, clusters=(cluster("authz", 1),), authorize=lambda _question: None) as running:
        for name, both in running.items():
            envoy, apisix = await both.ask("/a")
            assert envoy.status == apisix.status
            statuses[name] = envoy.status
    assert statuses == {"refuses": 403, "refuses with a status": 503, "lets pass": 200}


async def test_what_differs_is_what_is_documented(tmp_path: Path):
    """Envoy takes 5xx as an error, 201 as a refusal, and leaves headers that the service does not give."""
    named = exact("x-seen", "x-user", "x-b")
    statuses = {}
    async with authorization_server() as port:
        known = {"case": Case([guard(port, {"allowed_upstream_headers": named})], HOST)}
        async with pairs(tmp_path, known, clusters=(cluster("authz", port),), authorize=authorize) as running:
            for status in (500, 201):
                sides = await running["case"].ask(f"/deny{status}")
                statuses[status] = tuple(side.status for side in sides)
            sides = await running["case"].ask("/", (("x-b", "client"),))
            kept = ["x-b" in side.request_headers for side in sides]
    assert statuses == {500: (403, 500), 201: (201, 200)}
    assert kept == [True, False]
