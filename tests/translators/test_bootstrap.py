from __future__ import annotations

import orjson
import yaml

from translators.bootstrap import config_yaml

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
