"""Source: HttpConnectionManager.use_remote_address, xff_num_trusted_hops, original_ip_detection_extensions, ….

Target: the plugin real-ip; in the bootstrap manifest trusted_addresses.
Fidelity: E for one trusted hop and for trusted CIDRs; A for a header of one's own; N for more hops.
Differs: conditions of routes and guards see the address of the connection, as they hold before any plugin runs;
    X-Forwarded-For is always appended to.
Diagnostics: HCM-XFF.
See: mapping.md section 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas import xds

if TYPE_CHECKING:
    from translators.connection import ConnectionDraft
    from translators.findings import Findings
    from translators.where import Where

PLUGIN = "real-ip"
_EXTENSIONS = "original_ip_detection_extensions"
_XFF = "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig"
_CUSTOM = "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig"
_LAST_OF_XFF: dict[str, Any] = {"source": "http_x_forwarded_for"}
_LATE = "conditions of routes and guards see the address of the connection; all that follows that of the client"
_UNKNOWN = "the client's address is that of the connection"
_UNCOUNTED = "more than one hop cannot be counted: the client's address is that of the connection"
_SETTLE = "let the node know it: real_ip_header and real_ip_from in nginx_config.http of config.yaml"


def apply_hops(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Take the last address of X-Forwarded-For where exactly one proxy in front is trusted."""
    place = at.field("xff_num_trusted_hops")
    if hcm.original_ip_detection_extensions:
        return  # Envoy refuses both together
    if hcm.use_remote_address.value and hcm.xff_num_trusted_hops == 1:
        _detect(dict(_LAST_OF_XFF), draft, place, findings)
    else:
        findings.report("HCM-XFF", place, value=str(hcm.xff_num_trusted_hops), effect=_UNCOUNTED, remedy=_SETTLE)


def apply_extensions(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Detect the client's address as the first extension says; the others are asked only where it finds none."""
    for index, extension in enumerate(hcm.original_ip_detection_extensions):
        place = at.item(_EXTENSIONS, extension.name or index)
        detector = _detector(extension) if not index else None
        if detector is None:
            findings.report("HCM-XFF", place, effect=_UNKNOWN, remedy=_SETTLE)
        else:
            _detect(detector, draft, place, findings)


def trusted_addresses(hcm: xds.Message) -> list[str]:
    """Give the networks whose X-Forwarded-* the connection manager believes, as CIDRs."""
    configs = [xds.unpack(extension.typed_config) for extension in hcm.original_ip_detection_extensions]
    return [
        network
        for config in configs
        if config is not None and config.DESCRIPTOR.full_name == _XFF
        for network in _networks(config)
    ]


def _detect(detector: dict[str, Any], draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    draft.plugins[PLUGIN] = detector
    findings.report("HCM-XFF", at, effect=_LATE, remedy=_SETTLE)


def _detector(extension: xds.Message) -> dict[str, Any] | None:
    config = xds.unpack(extension.typed_config)
    kind = config.DESCRIPTOR.full_name if config is not None else ""
    if config is not None and kind == _XFF:
        if networks := _networks(config):
            return {**_LAST_OF_XFF, "trusted_addresses": networks, "recursive": True}
        return None if config.xff_num_trusted_hops else dict(_LAST_OF_XFF)
    if config is not None and kind == _CUSTOM and not config.HasField("reject_with_status"):
        return {"source": "http_" + config.header_name.lower().replace("-", "_")}
    return None


def _networks(config: xds.Message) -> list[str]:
    return [
        f"{network.address_prefix}/{network.prefix_len.value}"
        for network in (config.xff_trusted_cidrs.cidrs if config.HasField("xff_trusted_cidrs") else ())
    ]
