"""Source: HttpConnectionManager.use_remote_address, xff_num_trusted_hops, original_ip_detection_extensions, ….

Target: the plugin real-ip; in the bootstrap manifest trusted_addresses and, where all connection managers of the view
    agree, real_ip_header, real_ip_from and real_ip_recursive of nginx.
Fidelity: E for one trusted hop and for trusted CIDRs; A for a header of one's own; N for more hops.
Differs: conditions of routes and guards, which hold before any plugin runs, see the address of the connection unless
    the node is set up as the manifest says; X-Forwarded-For is always appended to. By default Envoy believes the last
    address of X-Forwarded-For from everyone: that is only asked of a node where something is said about it.
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
EVERYONE = ["0.0.0.0/0", "::/0"]
_LATE = "unless the node has real_ip_header, conditions of routes and guards see the address of the connection"
_UNKNOWN = "the client's address is that of the connection"
_UNCOUNTED = "more than one hop cannot be counted: the client's address is that of the connection"
_SETTLE = "let the node know it: real_ip_header and real_ip_from in nginx_config.http of config.yaml"


def apply_hops(hcm: xds.Message, draft: ConnectionDraft, at: Where, findings: Findings) -> None:
    """Take the last address of X-Forwarded-For where exactly one proxy in front is trusted."""
    place = at.field("xff_num_trusted_hops")
    if hcm.original_ip_detection_extensions:
        return  # Envoy refuses both together
    if (detector := _detector_of(hcm)) is not None:
        _detect(detector, draft, place, findings)
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


def is_explicit(hcm: xds.Message) -> bool:
    """Tell whether something is said about where the client's address stands."""
    return bool(hcm.original_ip_detection_extensions or hcm.xff_num_trusted_hops)


def node_settings(hcm: xds.Message) -> dict[str, Any]:
    """Give the settings of nginx_config.http that find the client's address; none for that of the connection."""
    detector = _detector_of(hcm)
    if detector is None:
        return {}
    return {
        "real_ip_from": detector.get("trusted_addresses", EVERYONE),
        "real_ip_header": detector["source"].removeprefix("http_").replace("_", "-"),
        "real_ip_recursive": "on" if detector.get("recursive") else "off",
    }


def _detector_of(hcm: xds.Message) -> dict[str, Any] | None:
    """Give the plugin that finds the client's address; None where it is that of the connection, or cannot be found."""
    if hcm.original_ip_detection_extensions:
        return _detector(hcm.original_ip_detection_extensions[0])
    believed = 1 if hcm.use_remote_address.value else 0
    return dict(_LAST_OF_XFF) if hcm.xff_num_trusted_hops == believed else None


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
