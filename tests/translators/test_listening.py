from __future__ import annotations

from typing import Any

import pytest

from translators.listening import closed_ports, ports_of


def opened(**apisix: Any) -> list[tuple[str, str, str]]:
    return [(port.setting.removeprefix("apisix."), port.ip, port.label) for port in ports_of({"apisix": apisix})]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (9080, [("", "9080")]),
        ([80, "81", {"port": 82}], [("", "80"), ("", "81"), ("", "82")]),
        ([{"ip": "127.0.0.1", "port": 80}], [("127.0.0.1", "80")]),
        (["nonsense", 0, {"port": None}, 70000], []),
        (None, []),
    ],
)
def test_forms_of_node_listen(given: Any, wanted: list[tuple[str, str]]):
    assert opened(node_listen=given) == [("node_listen", ip, label) for ip, label in wanted]


def test_forms_of_stream_proxy():
    tcp = [9000, "127.0.0.1:9001", "[::1]:9002", "0.0.0.0:9003", "9100-9110", {"addr": "9004", "tls": True}]
    found = opened(proxy_mode="stream", node_listen=[80], stream_proxy={"tcp": tcp, "udp": [53]})
    assert found == [
        ("stream_proxy.tcp", "", "9000"),
        ("stream_proxy.tcp", "127.0.0.1", "9001"),
        ("stream_proxy.tcp", "[::1]", "9002"),
        ("stream_proxy.tcp", "", "9003"),
        ("stream_proxy.tcp", "", "9100-9110"),
        ("stream_proxy.tcp", "", "9004"),
        ("stream_proxy.udp", "", "53"),
    ]


def test_what_is_switched_off_does_not_listen():
    assert opened(ssl={"enable": False, "listen": [443]}, stream_proxy={"tcp": [1]}) == []


def closed(wanted: dict[str, Any], given: dict[str, Any]) -> list[str]:
    return [one.reason for one in closed_ports(ports_of({"apisix": wanted}), ports_of({"apisix": given}))]


def stream(*tcp: Any) -> dict[str, Any]:
    return {"proxy_mode": "stream", "stream_proxy": {"tcp": list(tcp)}}


@pytest.mark.parametrize(
    ("wanted", "given", "reasons"),
    [
        ({"node_listen": [80]}, {"node_listen": [{"port": 80}, 81]}, []),
        ({"node_listen": [80]}, {"node_listen": [81]}, ["port 80 is not open"]),
        ({"node_listen": [80]}, {"ssl": {"listen": [80]}}, ["port 80 is not open"]),
        (stream(9105), stream("9100-9110"), []),
        (stream(9111), stream("9100-9110"), ["port 9111 is not open"]),
        (stream({"addr": 1, "tls": True}), stream(1), ["port 1 does not speak TLS"]),
        (stream(1), stream({"addr": 1, "tls": True}), ["port 1 speaks TLS"]),
        (stream({"addr": 1, "proxy_protocol": True}), stream(1), ["port 1 does not speak PROXY protocol"]),
        (stream(1), stream({"addr": 1, "proxy_protocol": True}), ["port 1 speaks PROXY protocol"]),
        (stream("127.0.0.1:1"), stream("127.0.0.1:1"), []),
        (stream("127.0.0.1:1"), stream(1), ["port 1 is open to all, wanted is 127.0.0.1 only"]),
        (stream(1), stream("127.0.0.1:1"), ["port 1 is open on 127.0.0.1 only"]),
        (
            {"proxy_protocol": {"listen_http_port": 80, "listen_https_port": 443}},
            {"proxy_protocol": {"listen_http_port": 80}},
            ["port 443 is not open"],
        ),
    ],
)
def test_what_is_wanted_and_not_there(wanted: dict[str, Any], given: dict[str, Any], reasons: list[str]):
    assert closed(wanted, given) == reasons
