from __future__ import annotations

from typing import Any

import pytest

from translators import apisix_default
from translators.bootstrap import wanted_config
from translators.bootstrap_check import check_node, merged
from translators.findings import Findings
from translators.plugin_use import PluginUse
from translators.policy import Policy

MANIFEST: dict[str, Any] = {
    "router": "radixtree_host_uri",
    "node_listen": [{"port": 9080}],
    "ssl_listen": [],
    "stream_tcp": [],
    "stream_udp": [],
}


NOTHING = PluginUse()
PROVIDER = "deployment.role_data_plane.config_provider"


def differences(manifest: dict[str, Any], node: dict[str, Any], use: PluginUse = NOTHING) -> list[tuple[str, str]]:
    findings = Findings(Policy())
    check_node(wanted_config({**MANIFEST, **manifest}, use), use, node, "config.yaml", findings)
    assert {found.diagnostic_class for found in findings.diagnostics()} <= {"BOOTSTRAP"}
    return [(found.code, found.path) for found in findings.diagnostics()]


def test_defaults_suffice_for_little():
    use = PluginUse(("cors", "prometheus"), ("traffic-split",))
    assert differences({}, {}, use) == []


@pytest.mark.parametrize(
    ("manifest", "good", "bad", "place"),
    [
        (
            {"ssl_listen": [{"port": 9443}], "ssl": {"ssl_protocols": "TLSv1.1 TLSv1.2"}},
            {"apisix": {"ssl": {"ssl_protocols": "TLSv1.1 TLSv1.2 TLSv1.3"}}},
            {},
            "apisix.ssl.ssl_protocols",
        ),
        (
            {"trusted_addresses": ["10.0.0.0/8"]},
            {"apisix": {"trusted_addresses": ["10.0.0.0/8", "11.0.0.0/8"]}},
            {"apisix": {"trusted_addresses": None}},
            "apisix.trusted_addresses",
        ),
        (
            {"nginx_http": {"underscores_in_headers": "off"}},
            {"nginx_config": {"http": {"underscores_in_headers": "off"}}},
            {"nginx_config": {"http": {}}},
            "nginx_config.http.underscores_in_headers",
        ),
        (
            {"nginx_http": {"real_ip_header": "x-forwarded-for", "real_ip_from": ["10.0.0.0/8"]}},
            {"nginx_config": {"http": {"real_ip_header": "X-Forwarded-For", "real_ip_from": ["10.0.0.0/8"]}}},
            {"nginx_config": {"http": {"real_ip_from": ["10.0.0.0/8"]}}},
            "nginx_config.http.real_ip_header",
        ),
        (
            {"http_snippet": "a 1;\nb 2;"},
            {"nginx_config": {"http_configuration_snippet": "b 2;\n  a 1;\nc 3;"}},
            {"nginx_config": {"http_configuration_snippet": "a 1;"}},
            "nginx_config.http_configuration_snippet",
        ),
        (
            {"plugin_attr": {"skywalking": {"endpoint_addr": "http://a"}}},
            {"plugin_attr": {"skywalking": {"endpoint_addr": "http://a", "report_interval": 1}}},
            {"plugin_attr": None},
            "plugin_attr.skywalking.endpoint_addr",
        ),
    ],
)
def test_settings(manifest: dict[str, Any], good: dict[str, Any], bad: dict[str, Any], place: str):
    assert differences(manifest, good) == []
    assert differences(manifest, bad) == [("CFG-NODE", place)]


def test_plugins_that_are_off():
    use = PluginUse(("brotli", "cors"), ("prometheus", "traffic-split"))
    assert differences({}, {}, use) == [
        ("HF-PLUGIN-DISABLED", "plugins[brotli]"),
        ("HF-PLUGIN-DISABLED", "stream_plugins[prometheus]"),
    ]
    lists = {"plugins": ["brotli", "cors"], "stream_plugins": ["prometheus", "traffic-split"]}
    assert differences({}, lists, use) == []
    assert differences({}, {"plugins": []}, PluginUse(("cors",))) == [("HF-PLUGIN-DISABLED", "plugins[cors]")]


def test_ports_are_named_by_their_setting():
    assert differences({"stream_tcp": [{"addr": 1, "tls": False}]}, {}) == [
        ("LST-PORT-CLOSED", "apisix.stream_proxy.tcp[1]")
    ]


@pytest.mark.parametrize(
    ("deployment", "found"),
    [
        ({"role": "data_plane", "role_data_plane": {"config_provider": "etcd"}}, []),
        ({"role": "data_plane"}, []),
        (
            {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}},
            [PROVIDER],
        ),
    ],
)
def test_nodes_read_from_etcd(deployment: dict[str, Any], found: list[str]):
    assert [place for _, place in differences({}, {"deployment": deployment})] == found


def test_mappings_are_merged_and_all_else_replaces():
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2], "e": {}}) == {
        "a": {"b": 3, "c": 2},
        "d": [2],
        "e": {},
    }
    assert merged({"a": {"b": 1}}, {"a": None}) == {"a": None}


def test_what_is_off_by_default_is_listed_with_what_is_on():
    wanted = wanted_config(MANIFEST, PluginUse(("brotli", "cors")))
    assert set(wanted["plugins"]) == {"brotli", *apisix_default.PLUGINS}
    assert "stream_plugins" not in wanted
