"""Write the part of a node's config.yaml that xDS cannot change: ports, TLS, plugins, where the agent answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from translators import apisix_default
from translators.plugin_use import PluginUse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HEADER = "# config.yaml of APISIX: the ports are those the control plane wants, etcd is the meshferry agent\n"
HEALTH_CHECK_TIMEOUT_S = 1
PREFIX = "/apisix"
_WORD = re.compile(r"[a-z][a-z_&]*\Z")
_NOT_TEXT = frozenset(("on", "off", "yes", "no", "true", "false", "null", "y", "n"))
"""What YAML would take for something else."""
_BY_DEFAULT = "plugins in use, all on by default"
_KEYRING = "data_encryption.keyring: not needed, the agent hands private keys to the node as PEM"
_NAMES = "apisix.dns_resolver: upstreams have names; without it the node asks the servers of /etc/resolv.conf"

_RULES = "rules of the node's firewall that bring TCP connections to the ports of listeners without one, in this order:"


def config_yaml(manifest: str, etcd_hosts: Sequence[str], prefix: str = PREFIX, use: PluginUse | None = None) -> str:
    """Write a config.yaml snippet.

    Args:
        manifest: the manifest of the bundle of the unit `view` (JSON); empty before that bundle exists.
        etcd_hosts: URLs of the agents this node may use, e.g. `http://127.0.0.1:2379`.
        prefix: etcd prefix.
        use: the plugins of the view's objects; None when these are not known.

    Returns:
        YAML text: deployment (data plane, etcd), and, from the manifest, what `wanted_config` gives. All but single
        words is written as JSON, which YAML reads as it is.
    """
    wanted: dict[str, Any] = orjson.loads(manifest) if manifest else {}
    tree = {**_deployment(etcd_hosts, prefix), **wanted_config(wanted, use or PluginUse())}
    notes = "".join(f"# {note}\n" for note in (_notes(wanted, use) if use is not None else ()))
    return HEADER + "\n".join(_lines(tree)) + "\n" + notes


def wanted_config(manifest: Mapping[str, Any], use: PluginUse) -> dict[str, Any]:
    """Give what a view wants of config.yaml, as data.

    Args:
        manifest: of the bundle of the unit `view`; empty before that bundle exists.
        use: the plugins of the view's objects. Lists of plugins are only wanted when one of them is off by default:
            then they hold the default ones too, as a list in config.yaml replaces them.

    Returns:
        `apisix`, and where there is something in it `nginx_config`, `plugins`, `stream_plugins`, `plugin_attr`,
        `discovery` (mapping.md section 9).
    """
    if not manifest:
        return {}
    nginx = {
        "http_configuration_snippet": manifest.get("http_snippet", ""),
        "http": manifest.get("nginx_http", {}),
    }
    rest = {
        "nginx_config": {key: value for key, value in nginx.items() if value},
        "plugins": _list(use.http, apisix_default.PLUGINS),
        "stream_plugins": _list(use.stream, apisix_default.STREAM_PLUGINS),
        "plugin_attr": manifest.get("plugin_attr", {}),
        "discovery": {"dns": {"servers": manifest["dns_servers"]}} if "dns_servers" in manifest else {},
    }
    return {"apisix": _apisix(manifest), **{key: value for key, value in rest.items() if value}}


def _list(used: Sequence[str], default: frozenset[str]) -> list[str]:
    return [] if default.issuperset(used) else sorted(default.union(used))


def _deployment(etcd_hosts: Sequence[str], prefix: str) -> dict[str, Any]:
    etcd = {"host": list(etcd_hosts), "prefix": prefix, "health_check_timeout": HEALTH_CHECK_TIMEOUT_S}
    data_plane = {"role": "data_plane", "role_data_plane": {"config_provider": "etcd"}}
    return {"deployment": {**data_plane, "etcd": etcd}}


def _apisix(manifest: Mapping[str, Any]) -> dict[str, Any]:
    apisix: dict[str, Any] = {"router": {"http": manifest["router"]}, "node_listen": manifest["node_listen"]}
    proxied = manifest.get("proxy_protocol", {})
    if proxied:
        apisix["proxy_protocol"] = proxied
    if manifest["ssl_listen"] or "listen_https_port" in proxied:
        apisix["ssl"] = {"enable": True, "listen": manifest["ssl_listen"], **manifest.get("ssl", {})}
    if manifest.get("enable_http2"):
        apisix["enable_http2"] = True
    streams = {kind: manifest[f"stream_{kind}"] for kind in ("tcp", "udp") if manifest[f"stream_{kind}"]}
    if streams:
        has_http = manifest["node_listen"] or manifest["ssl_listen"] or proxied
        apisix |= {"proxy_mode": "http&stream" if has_http else "stream", "stream_proxy": streams}
    if manifest.get("trusted_addresses"):
        apisix["trusted_addresses"] = manifest["trusted_addresses"]
    return apisix


def _notes(manifest: Mapping[str, Any], use: PluginUse) -> Iterator[str]:
    """Say what needs no setting, so that nobody has to wonder."""
    if use.http and apisix_default.PLUGINS.issuperset(use.http):
        yield f"{_BY_DEFAULT}: {', '.join(use.http)}"
    if use.stream and apisix_default.STREAM_PLUGINS.issuperset(use.stream):
        yield f"stream {_BY_DEFAULT}: {', '.join(use.stream)}"
    if manifest.get("ssl_listen"):
        yield _KEYRING
    if use.has_names:
        yield _NAMES
    rules = manifest.get("redirects", [])
    if rules:
        yield _RULES
        yield from rules


def _lines(tree: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        else:
            is_word = isinstance(value, str) and _WORD.match(value) and value not in _NOT_TEXT
            yield f"{indent}{key}: {value if is_word else orjson.dumps(value).decode()}"
