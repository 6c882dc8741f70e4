from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import EtcdObject
from translators.etcd_object import build_object
from translators.findings import Findings
from translators.policy import Policy
from translators.reference import Reference
from translators.validate import DIRECTORIES, problem_of, validated
from translators.variant import blackhole
from translators.where import Where

AT = Where("", "unit")
PEM = "-----BEGIN CERTIFICATE-----" + "A" * 128
DUMP = Path(__file__).parents[2].parent / "shared" / "reference" / "apisix-3.18-schemas.json"
NODE = {"host": "10.0.0.1", "port": 80, "weight": 1, "priority": 0}
UPSTREAM = {"nodes": [NODE], "type": "roundrobin", "scheme": "http", "retries": 0}
SERVICE = {**{k: v for k, v in UPSTREAM.items() if k != "nodes"}, "discovery_type": "dns", "service_name": "a:1"}
ROUTE = {"uris": ["/a", "/b/*"], "upstream_id": "u"}
SSL = {"type": "server", "cert": PEM, "key": PEM, "snis": ["a.example"]}
STREAM = {"server_port": 9000, "upstream_id": "u"}
SPLIT = {"rules": [{"weighted_upstreams": [{"upstream_id": "u", "weight": 1}]}]}
NAME = "x_abcdefghijklmnop"
JWT = {"header": "authorization", "query": "q", "cookie": "c", "key_claim_name": "iss"}
ABORT = {"abort": {"http_status": 403, "body": ""}}
REFUSED = {"policy": "local", "rejected_code": 429, "rejected_msg": "no", "show_limit_quota_header": False}
COUNT = {**REFUSED, "count": 1, "time_window": 1, "group": "g", "key": "all", "key_type": "constant"}
RULES = {**REFUSED, "rules": [{"count": 1, "time_window": 1, "key": "x.${http_a}"}]}
KEYED = {"key": "x.${_ ?? -}", "key_type": "var_combination", "rejected_code": 503, "policy": "local"}
ACTION = {**REFUSED, "count": 1, "time_window": 1, "key": "x.${_ ?? -}", "key_type": "var_combination"}
CASES = {"rules": [{"case": [["http_a", "==", "b"]], "actions": [["limit-count", ACTION]]}]}
METER = {**KEYED, "rate": 0.5, "burst": 0, "nodelay": True}
BREAKER = {**KEYED, "conn": 1, "burst": 0, "default_conn_delay": 0.001}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("upstreams", UPSTREAM),
    ("upstreams", {**UPSTREAM, "nodes": []}),
    ("upstreams", SERVICE),
    ("upstreams", {**UPSTREAM, "type": "chash", "hash_on": "header", "key": "x-user"}),
    ("upstreams", {**UPSTREAM, "type": "chash", "hash_on": "vars", "key": "arg_q"}),
    ("upstreams", {**UPSTREAM, "type": "chash", "hash_on": "vars_combinations", "key": "${http_a}"}),
    ("upstreams", {**UPSTREAM, "pass_host": "rewrite", "upstream_host": "a_b.example"}),
    ("upstreams", {**UPSTREAM, "timeout": {"connect": 0.5, "send": 60, "read": 60}, "name": "n", "labels": {"a": "b"}}),
    ("routes", ROUTE),
    ("routes", {**ROUTE, "hosts": ["*.a.example", "b.example"], "priority": -1, "methods": ["GET"]}),
    ("routes", {**ROUTE, "vars": [["http_a", "==", "b"], ["!AND", ["arg_b", "~~", "x"], ["arg_b", "~~", "x"]]]}),
    ("routes", {**ROUTE, "vars": [["uri", "!", "~~", "x"], ["remote_addr", "ipmatch", ["10.0.0.0/8"]]]}),
    ("routes", {"uri": "/", "plugins": {"fault-injection": {**ABORT, "_meta": {"filter": [["uri", "==", "/"]]}}}}),
    ("plugin_configs", {"plugins": {"traffic-split": SPLIT}}),
    ("plugin_configs", {"plugins": {"proxy-rewrite": {"headers": {"set": {"x": "y"}, "remove": ["z"]}}}}),
    ("global_rules", {"plugins": {"prometheus": {"prefer_name": True}}}),
    ("routes", {**ROUTE, "plugins": {"limit-count": COUNT}}),
    ("routes", {**ROUTE, "plugins": {"forward-auth": {"uri": "http://a/", "request_headers": ["x-a"]}}}),
    ("routes", {**ROUTE, "plugins": {"opa": {"host": "http://a", "policy": "p"}}}),
    ("routes", {"uris": ["/"], "service_id": "s"}),
    ("services", {"plugins": {"limit-count": RULES}}),
    ("services", {"plugins": {"limit-req": METER}}),
    ("services", {"plugins": {"limit-conn": BREAKER}}),
    ("services", {"plugins": {"workflow": CASES}}),
    (
        "routes",
        {**ROUTE, "plugins": {"jwt-auth": JWT, "consumer-restriction": {"whitelist": [NAME], "rejected_code": 401}}},
    ),
    ("consumers", {"username": NAME, "plugins": {"key-auth": {"key": "k"}}}),
    ("ssls", SSL),
    ("ssls", {**{k: v for k, v in SSL.items() if k != "snis"}, "sni": "*"}),
    ("ssls", {**SSL, "certs": [PEM], "keys": [PEM], "client": {"ca": PEM, "depth": 1}, "ssl_protocols": ["TLSv1.2"]}),
    ("ssls", {"type": "client", "cert": PEM, "key": PEM}),
    ("stream_routes", STREAM),
    ("stream_routes", {**STREAM, "server_addr": "10.0.0.0/8", "remote_addr": "::1", "sni": "*.a.example"}),
    ("stream_routes", {**STREAM, "plugins": {"traffic-split": SPLIT}}),
]
BAD: list[tuple[str, dict[str, Any]]] = [
    ("upstreams", {**UPSTREAM, "create_time": 1}),
    ("upstreams", {**UPSTREAM, **SERVICE}),
    ("upstreams", {k: v for k, v in UPSTREAM.items() if k != "nodes"}),
    ("upstreams", {**UPSTREAM, "nodes": [{**NODE, "port": 0}]}),
    ("upstreams", {**UPSTREAM, "nodes": [{**NODE, "weight": 0}]}),
    ("upstreams", {**UPSTREAM, "nodes": [{**NODE, "host": "/run/x.sock"}]}),
    ("upstreams", {**UPSTREAM, "nodes": [{**NODE, "metadata": {}}]}),
    ("upstreams", {**UPSTREAM, "type": "chash"}),
    ("upstreams", {**UPSTREAM, "hash_on": "header", "key": "x"}),
    ("upstreams", {**UPSTREAM, "type": "chash", "hash_on": "vars", "key": "http_x"}),
    ("upstreams", {**UPSTREAM, "type": "chash", "hash_on": "header", "key": "x y"}),
    ("upstreams", {**UPSTREAM, "pass_host": "rewrite"}),
    ("upstreams", {**UPSTREAM, "upstream_host": "a"}),
    ("upstreams", {**UPSTREAM, "timeout": {"connect": 0, "send": 60, "read": 60}}),
    ("upstreams", {**UPSTREAM, "name": ""}),
    ("upstreams", {**UPSTREAM, "labels": {"a": "b c"}}),
    ("upstreams", {k: v for k, v in UPSTREAM.items() if k != "retries"}),
    ("routes", {**ROUTE, "uri": "/"}),
    ("routes", {"uris": ["/"], "plugin_config_id": "p"}),
    ("routes", {**ROUTE, "hosts": ["foo.*"]}),
    ("routes", {**ROUTE, "hosts": ["*"]}),
    ("routes", {**ROUTE, "vars": [["http_a", "=="]]}),
    ("routes", {**ROUTE, "vars": [["OR", ["a", "==", "b"]]]}),
    ("routes", {**ROUTE, "methods": ["PROPFIND"]}),
    ("routes", {**ROUTE, "plugins": {"unknown-plugin": {}}}),
    ("routes", {**ROUTE, "plugins": {"proxy-rewrite": {"host": "a_b"}}}),
    ("routes", {**ROUTE, "plugins": {"response-rewrite": {"headers": {"add": ["x: http://a/"]}}}}),
    ("routes", {**ROUTE, "plugins": {"traffic-split": {"rules": SPLIT["rules"][0]["weighted_upstreams"] * 2}}}),
    (
        "routes",
        {
            **ROUTE,
            "plugins": {
                "traffic-split": {"rules": [{"weighted_upstreams": SPLIT["rules"][0]["weighted_upstreams"] * 21}]}
            },
        },
    ),
    ("global_rules", {"plugins": {}}),
    ("routes", {**ROUTE, "plugins": {"limit-count": {**COUNT, "rules": RULES["rules"]}}}),
    ("routes", {**ROUTE, "plugins": {"limit-count": {key: COUNT[key] for key in COUNT if key != "group"}}}),
    ("routes", {**ROUTE, "plugins": {"forward-auth": {"uri": "http://a"}}}),
    ("routes", {**ROUTE, "plugins": {"forward-auth": {"uri": "dummy"}}}),
    ("services", {"plugins": {"limit-count": {**RULES, "rules": [{**RULES["rules"][0], "key": "constant"}]}}}),
    ("services", {"plugins": {"limit-req": {**METER, "nodelay": False}}}),
    ("services", {"plugins": {}}),
    ("services", {"plugins": {"workflow": CASES, "limit-count": RULES}}),
    ("services", {"upstream_id": "u", "plugins": {"limit-count": RULES}}),
    ("routes", {**ROUTE, "plugins": {"jwt-auth": {k: v for k, v in JWT.items() if k != "cookie"}}}),
    ("routes", {**ROUTE, "plugins": {"consumer-restriction": {"whitelist": [], "rejected_code": 401}}}),
    ("consumers", {"username": "jack", "plugins": {"key-auth": {"key": "k"}}}),
    ("consumers", {"username": NAME, "plugins": {"jwt-auth": {"key": "k", "secret": "s", "algorithm": "HS256"}}}),
    ("ssls", {**SSL, "sni": "*"}),
    ("ssls", {**SSL, "snis": ["*"]}),
    ("ssls", {**SSL, "cert": "short"}),
    ("ssls", {**SSL, "certs": [PEM]}),
    ("ssls", {"type": "client", "cert": PEM, "key": PEM, "snis": ["a"]}),
    ("ssls", {**SSL, "ssl_protocols": ["TLSv1"]}),
    ("stream_routes", {"upstream_id": "u"}),
    ("stream_routes", {**STREAM, "server_addr": "10.0.0.0/33"}),
    (
        "stream_routes",
        {**STREAM, "plugins": {"limit-conn": {"conn": 0, "burst": 0, "default_conn_delay": 1, "key": "x"}}},
    ),
]


def reference() -> Reference | None:
    return Reference(DUMP.read_bytes()) if DUMP.is_file() else None


@pytest.mark.parametrize(("directory", "value"), GOOD)
def test_good_objects_pass_ours_and_apisixs_schemas(directory: str, value: dict[str, Any]):
    built = build_object(directory, "x", value)
    assert problem_of(built) is None
    apisix = reference()
    assert apisix is None or apisix.problems(built.key, orjson.loads(built.value)) == []


@pytest.mark.parametrize(("directory", "value"), BAD)
def test_bad_objects_do_not_leave(directory: str, value: dict[str, Any]):
    findings = Findings(Policy())
    assert validated([build_object(directory, "x", value)], AT, findings) == ()
    (found,) = findings.diagnostics()
    assert (found.code, found.path) == ("OUT-SCHEMA", f"objects[/{directory}/x]")


def test_a_refusal_quotes_no_secret():
    findings = Findings(Policy())
    validated([build_object("ssls", "x", {**SSL, "key": "my-secret"})], AT, findings)
    (found,) = findings.diagnostics()
    assert (found.value, "my-secret" in str(found)) == ("key breaks $defs/key/minLength", False)


def test_objects_leave_sorted_and_once():
    one, two = build_object("upstreams", "a", UPSTREAM), build_object("routes", "z", ROUTE)
    findings = Findings(Policy())
    assert validated([one, blackhole(), two, one], AT, findings) == (two, one, blackhole())
    assert findings.diagnostics() == ()


def test_two_objects_with_one_id():
    findings = Findings(Policy())
    objects = [build_object("upstreams", "a", UPSTREAM), build_object("upstreams", "a", {**UPSTREAM, "retries": 1})]
    assert len(validated(objects, AT, findings)) == 1
    assert [found.code for found in findings.diagnostics()] == ["ID-COLLISION"]
    assert validated(reversed(objects), AT, findings) == validated(objects, AT, findings)


def test_objects_above_the_size_limit():
    findings = Findings(Policy(max_object_bytes=50))
    assert validated([build_object("upstreams", "a", UPSTREAM)], AT, findings) == ()
    assert [found.code for found in findings.diagnostics()] == ["OUT-SIZE"]


@pytest.mark.parametrize("key", ["/consumers/x", "routes/x", ""])
def test_directories_without_a_schema(key: str):
    assert problem_of(EtcdObject(key, b"{}")) is not None


def test_every_directory_has_a_schema_that_refuses_nothing_at_all():
    for directory in DIRECTORIES:
        assert problem_of(EtcdObject(f"/{directory}/x", b"{}")) is not None


HOSTS = st.sampled_from(["10.0.0.1", "[::1]", "a_b.example", "a", "x/y", "", "*"])
NODES = st.lists(
    st.fixed_dictionaries(
        {"host": HOSTS, "port": st.integers(-1, 65537), "weight": st.integers(-1, 3), "priority": st.integers(-2, 2)}
    ),
    max_size=3,
)
TIMEOUTS = st.fixed_dictionaries({name: st.sampled_from([0, 0.1, 60, -1]) for name in ("connect", "send", "read")})
UPSTREAMS = st.fixed_dictionaries(
    {
        "nodes": NODES,
        "type": st.sampled_from(["roundrobin", "chash", "least_conn", "ewma"]),
        "scheme": st.sampled_from(["http", "grpcs", "tls", "ftp"]),
        "retries": st.integers(-1, 3),
    },
    optional={
        "timeout": TIMEOUTS,
        "name": st.text(max_size=3),
        "hash_on": st.sampled_from(["vars", "header", "cookie", "vars_combinations"]),
        "key": st.sampled_from(["remote_addr", "x-a", "", "${http_a}"]),
        "pass_host": st.sampled_from(["pass", "node", "rewrite"]),
        "upstream_host": HOSTS,
        "retry_timeout": st.sampled_from([0, 1.5]),
        "labels": st.dictionaries(st.just("xds.cluster"), st.text(max_size=2), max_size=1),
    },
)


@given(UPSTREAMS)
def test_our_upstreams_are_never_looser_than_apisixs(value: dict[str, Any]):
    """What passes ours passes the reference; without a dump at hand, the rules of mapping.md section 2."""
    built = build_object("upstreams", "x", value)
    if problem_of(built) is not None:
        return
    assert all(1 <= node["port"] <= 65535 and node["weight"] >= 1 and node["host"] for node in value["nodes"])
    assert value["retries"] >= 0
    assert all(seconds > 0 for seconds in value.get("timeout", {}).values())
    apisix = reference()
    assert apisix is None or apisix.problems(built.key, value) == []
