"""Source: RouteAction.upgrade_configs, HttpConnectionManager.upgrade_configs.

Target: route.enable_websocket.
Fidelity: E for websocket; A for other types, which pass along with it; N for CONNECT.
Differs: a type that has filters of its own is not upgraded.
Diagnostics: RT-CONNECT, HF-UNTRANSLATED.
See: mapping.md sections 4.6 and 5.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.records import Severity

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

_NOT_UPGRADED = "connections are not upgraded: the filters that upgrades have of their own cannot run"
_ONE_CHAIN = "let upgrades run the http_filters"


def is_upgrading(hcm: xds.Message, action: xds.Message) -> bool:
    """Tell whether connections may be upgraded, the route's word before the connection manager's.

    Args:
        hcm: the HttpConnectionManager.
        action: the RouteAction.
    """
    if not (hcm.upgrade_configs or action.upgrade_configs):
        return False
    allowed: dict[str, bool] = {}
    for config in (*hcm.upgrade_configs, *action.upgrade_configs):
        allowed[config.upgrade_type.lower()] = not config.HasField("enabled") or config.enabled.value
    filtered = {config.upgrade_type.lower() for config in hcm.upgrade_configs if config.filters}
    return any(is_allowed for kind, is_allowed in allowed.items() if not _is_connect(kind) and kind not in filtered)


def apply_manager(hcm: xds.Message, _draft: object, at: Where, findings: Findings) -> None:
    """Report upgrades with filters of their own: these may restrict, so such connections are not upgraded."""
    for config in hcm.upgrade_configs:
        if config.filters:
            place = at.item("upgrade_configs", config.upgrade_type).field("filters")
            findings.report("HF-UNTRANSLATED", place, effect=_NOT_UPGRADED, remedy=_ONE_CHAIN)


def apply(action: xds.Message, _draft: object, at: Where, findings: Findings) -> None:
    """Report upgrades by CONNECT; what is enabled is decided with the connection manager's list."""
    for config in action.upgrade_configs:
        is_enabled = not config.HasField("enabled") or config.enabled.value
        if is_enabled and _is_connect(config.upgrade_type.lower()):
            findings.report(
                "RT-CONNECT",
                at.item("upgrade_configs", config.upgrade_type),
                effect="nginx answers 405 to CONNECT; other requests are served",
                severity=Severity.WARN,
            )


def _is_connect(upgrade_type: str) -> bool:
    return upgrade_type.startswith("connect")
