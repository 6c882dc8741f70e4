from __future__ import annotations

import orjson
import yaml

from translators.bootstrap import config_yaml
from translators.plugin_use import PluginUse

MANIFEST = {
    "node_listen": [{"ip": "127.0.0.1", "port": 9080}],
    "plugins": [],
    "router": "radixtree_host_uri",
    "ssl_listen": [{"port": 9443}],
    "stream_plugins": [],
    "stream_tcp": [{"addr": "127.0.0.1:9100", "tls": True}],
    "stream_udp": [],
}


def read(manifest: dict[str, object] | None, *hosts: str) -> dict[str, object]:
    text = config_yaml(orjson.dumps(manifest).decode() if manifest else "", list(hosts))
    data = yaml.safe_load(text)
    assert isinstance(data, dict)
    return data


def test_a_node_reads_from_its_agents():
    assert read(None, "http://127.0.0.1:2379", "http://127.0.0.1:2380") == {
        "deployment": {
            "role": "data_plane",
            "role_data_plane": {"config_provider": "etcd"},
            "etcd": {
                "host": ["http://127.0.0.1:2379", "http://127.0.0.1:2380"],
                "prefix": "/apisix",
                "health_check_timeout": 1,
            },
        }
    }


def test_ports_and_router_come_from_the_manifest():
    assert read(MANIFEST, "http://127.0.0.1:2379")["apisix"] == {
        "router": {"http": "radixtree_host_uri"},
        "node_listen": [{"ip": "127.0.0.1", "port": 9080}],
        "ssl": {"enable": True, "listen": [{"port": 9443}]},
        "proxy_mode": "http&stream",
        "stream_proxy": {"tcp": [{"addr": "127.0.0.1:9100", "tls": True}]},
    }


def test_a_node_without_http():
    apisix = read({**MANIFEST, "node_listen": [], "ssl_listen": [], "stream_udp": [{"addr": 53}]}, "http://a:1")[
        "apisix"
    ]
    assert isinstance(apisix, dict)
    assert apisix["proxy_mode"] == "stream"
    assert apisix["stream_proxy"]["udp"] == [{"addr": 53}]


def test_a_node_without_streams():
    apisix = read({**MANIFEST, "stream_tcp": []}, "http://a:1")["apisix"]
    assert isinstance(apisix, dict)
    assert "proxy_mode" not in apisix


def test_discovery_by_dns():
    assert read({**MANIFEST, "dns_servers": ["10.0.0.53:53"]}, "http://a:1")["discovery"] == {
        "dns": {"servers": ["10.0.0.53:53"]}
    }
    assert "discovery" not in read(MANIFEST, "http://a:1")


def test_another_prefix():
    text = config_yaml("", ["http://a:1"], "/gateway")
    assert yaml.safe_load(text)["deployment"]["etcd"]["prefix"] == "/gateway"


FULL = {
    **MANIFEST,
    "ssl_listen": [],
    "proxy_protocol": {"listen_http_port": 80, "listen_https_port": 443},
    "ssl": {"ssl_session_tickets": True},
    "nginx_http": {"keepalive_timeout": "5s"},
    "http_snippet": "a;\nb;",
    "trusted_addresses": ["10.0.0.0/8"],
    "plugin_attr": {"skywalking": {"endpoint_addr": "http://a"}},
}


def test_all_parts():
    use = PluginUse(("skywalking",), ("limit-conn",), has_names=True)
    text = config_yaml(orjson.dumps(FULL).decode(), ["http://a:1"], use=use)
    data = yaml.safe_load(text)
    assert data["apisix"]["ssl"] == {"enable": True, "listen": [], "ssl_session_tickets": True}
    assert data["apisix"]["proxy_protocol"] == FULL["proxy_protocol"]
    assert data["apisix"]["trusted_addresses"] == ["10.0.0.0/8"]
    assert data["nginx_config"] == {"http_configuration_snippet": "a;\nb;", "http": {"keepalive_timeout": "5s"}}
    assert data["plugin_attr"] == FULL["plugin_attr"]
    assert "skywalking" in data["plugins"]
    assert "stream_plugins" not in data
    assert "# stream plugins in use, all on by default: limit-conn\n" in text
    assert "# apisix.dns_resolver: " in text


def test_keys_need_no_keyring():
    text = config_yaml(orjson.dumps(MANIFEST).decode(), ["http://a:1"], use=PluginUse())
    assert "# data_encryption.keyring: not needed" in text


def test_words_stand_bare_unless_yaml_takes_them_for_something_else():
    manifest = {**MANIFEST, "nginx_http": {"underscores_in_headers": "off"}}
    text = config_yaml(orjson.dumps(manifest).decode(), ["http://a:1"])
    assert "    config_provider: etcd\n" in text
    assert '    underscores_in_headers: "off"\n' in text


def test_rules_that_redirect_are_printed_in_their_order():
    rules = [
        "nft add rule inet nat output tcp dport 1 redirect to :2",
        "nft add rule inet nat output tcp dport 3 redirect to :4",
    ]
    text = config_yaml(orjson.dumps({**MANIFEST, "redirects": rules}).decode(), ["http://a:1"], use=PluginUse())
    assert text.splitlines()[-2:] == [f"# {rule}" for rule in rules]
