"""Compare a node's config.yaml with what a view wants of it: every difference is a BOOTSTRAP diagnostic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translators import apisix_default
from translators.listening import closed_ports, ports_of
from translators.where import Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from translators.findings import Findings
    from translators.plugin_use import PluginUse

_LISTS = ("ssl_protocols", "trusted_addresses", "real_ip_from")
"""Settings where a node may have more than is wanted."""
_PORTS = frozenset(("node_listen", "listen", "stream_proxy", "proxy_protocol", "proxy_mode"))


def check_node(
    wanted: Mapping[str, Any], use: PluginUse, node: Mapping[str, Any], name: str, findings: Findings
) -> None:
    """Report what a node lacks.

    Args:
        wanted: as `translators.bootstrap.wanted_config` gives it.
        use: the plugins of the view's objects.
        node: config.yaml as data; what it does not say is as APISIX has it by default.
        name: of the file, for the diagnostics.
        findings: receives LST-PORT-CLOSED, HF-PLUGIN-DISABLED and CFG-NODE.
    """
    at = Where("", name)
    effective = merged(apisix_default.CONFIG, node)
    for port in closed_ports(ports_of(wanted), ports_of(effective)):
        findings.report("LST-PORT-CLOSED", at.item(port.setting, port.label), effect=port.reason)
    for setting, used, default in (
        ("plugins", use.http, apisix_default.PLUGINS),
        ("stream_plugins", use.stream, apisix_default.STREAM_PLUGINS),
    ):
        given = node.get(setting)
        for plugin in sorted(set(used) - set(default if given is None else given)):
            findings.report("HF-PLUGIN-DISABLED", at.item(setting, plugin), effect=f"the node skips {plugin}")
    _check_provider(effective, at, findings)
    settings = {key: value for key, value in wanted.items() if key not in ("plugins", "stream_plugins")}
    _check_settings(settings, effective, at, findings)


def merged(default: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one configuration over another as APISIX does: mappings are merged, everything else replaces."""
    result = dict(default)
    for key, value in given.items():
        below = default.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _check_provider(effective: Mapping[str, Any], at: Where, findings: Findings) -> None:
    deployment = effective["deployment"]
    role = deployment["role"]
    settings = deployment.get(f"role_{role}") or {}
    provider = settings.get("config_provider", "etcd")
    if provider != "etcd":
        place = at.field("deployment").field(f"role_{role}").field("config_provider")
        findings.report("CFG-NODE", place, value=str(provider), effect="the node does not read from the agent: etcd")


def _check_settings(wanted: Mapping[str, Any], node: Mapping[str, Any], at: Where, findings: Findings) -> None:
    """Compare leaf by leaf; ports are compared apart."""
    for key, value in wanted.items():
        place, found = at.field(key), node.get(key)
        if key in _PORTS:
            continue
        if isinstance(value, dict):
            _check_settings(value, found if isinstance(found, dict) else {}, place, findings)
        elif not _satisfies(key, value, found):
            shown = "nothing" if found is None else found
            findings.report("CFG-NODE", place, value=str(shown), effect=f"the node has {shown}, wanted is {value}")


def _satisfies(key: str, wanted: Any, found: Any) -> bool:
    if key in _LISTS:
        return set(_words(wanted)) <= set(_words(found))
    if key == "http_configuration_snippet":
        present = {line.strip() for line in str(found or "").splitlines()}
        return all(line in present for line in wanted.splitlines())
    if key == "real_ip_header":
        return bool(str(found).lower() == str(wanted).lower())
    return bool(found == wanted)


def _words(value: Any) -> Iterable[str]:
    return value.split() if isinstance(value, str) else value or ()
