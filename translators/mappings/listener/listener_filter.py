"""Listener.listener_filters.

Source: envoy.config.listener.v3.ListenerFilter, by type or, where older configurations give only a name, by name.
Target: none. tls_inspector, http_inspector and original_dst are what nginx does anyway; proxy_protocol is a setting of
    the node's port, which is in the bootstrap manifest; the others have no counterpart.
Fidelity: E for the inspectors, A for proxy_protocol, N for the others.
Differs: PROXY protocol is spoken per port of the node. filter_disabled of the other filters changes nothing: what they
    find out nginx always knows.
Diagnostics: LST-LFILTER.
See: mapping.md section 4.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import xds

if TYPE_CHECKING:
    from translators.findings import Findings
    from translators.where import Where

_PROXY_PROTOCOL = "proxy_protocol"
_OPTIONAL = "allow_requests_without_proxy_protocol"
_DISABLED = "filter_disabled"
_IMPLIED = ("tls_inspector", "http_inspector", "original_dst", _PROXY_PROTOCOL)


def apply(listener: xds.Message, _draft: Any, at: Where, findings: Findings) -> None:
    """Report the filters that have no effect."""
    for index, listed in enumerate(listener.listener_filters):
        kind = _kind(listed)
        if not any(f".{implied}" in f".{kind}" for implied in _IMPLIED):
            findings.report("LST-LFILTER", at.item("listener_filters", listed.name or index), value=kind)
        config = xds.unpack(listed.typed_config) if _PROXY_PROTOCOL in kind else None
        if config is not None and getattr(config, _OPTIONAL, False):
            place = at.item("listener_filters", listed.name or index).field(_OPTIONAL)
            findings.report("LST-LFILTER", place, effect="connections without the PROXY protocol are refused")
        if _PROXY_PROTOCOL in kind and listed.HasField(_DISABLED):
            place = at.item("listener_filters", listed.name or index).field(_DISABLED)
            findings.report("LST-LFILTER", place, effect="the PROXY protocol is spoken on all ports of the listener")


def speaks_proxy_protocol(listener: xds.Message) -> bool:
    """Tell whether clients of a listener, in full or as a stub, begin with the PROXY protocol."""
    return any(f".{_PROXY_PROTOCOL}" in f".{_kind(listed)}" for listed in listener.listener_filters)


def _kind(listed: xds.Message) -> str:
    return str(listed.typed_config.type_url or listed.name)
