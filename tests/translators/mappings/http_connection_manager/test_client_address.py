from __future__ import annotations

from typing import Any

import pytest

from schemas import xds
from tests.translators.managed import managed
from translators.mappings.http_connection_manager.client_address import is_explicit, node_settings, trusted_addresses

PACKAGE = "type.googleapis.com/envoy.extensions.http.original_ip_detection."
XFF, CUSTOM = f"{PACKAGE}xff.v3.XffConfig", f"{PACKAGE}custom_header.v3.CustomHeaderConfig"
CIDRS = {"cidrs": [{"address_prefix": "10.0.0.0", "prefix_len": 8}, {"address_prefix": "fd00::", "prefix_len": 8}]}
NETWORKS = ["10.0.0.0/8", "fd00::/8"]


def detected(*configs: dict[str, Any]) -> dict[str, Any]:
    return {"original_ip_detection_extensions": [{"name": f"e{i}", "typed_config": c} for i, c in enumerate(configs)]}


@pytest.mark.parametrize(
    ("hcm", "plugin"),
    [
        ({"use_remote_address": True, "xff_num_trusted_hops": 1}, {"source": "http_x_forwarded_for"}),
        (detected({"@type": XFF}), {"source": "http_x_forwarded_for"}),
        (
            detected({"@type": XFF, "xff_trusted_cidrs": CIDRS}),
            {"source": "http_x_forwarded_for", "trusted_addresses": NETWORKS, "recursive": True},
        ),
        (detected({"@type": CUSTOM, "header_name": "X-Real-Client"}), {"source": "http_x_real_client"}),
    ],
)
def test_what_can_be_detected(hcm: dict[str, Any], plugin: dict[str, Any]):
    found = managed(hcm)
    assert found.draft.plugins == {"real-ip": plugin}
    assert [code for code, _ in found.said] == ["HCM-XFF"]


@pytest.mark.parametrize(
    "hcm",
    [
        {"use_remote_address": True, "xff_num_trusted_hops": 2},
        {"xff_num_trusted_hops": 1},
        detected({"@type": XFF, "xff_num_trusted_hops": 1}),
        detected({"@type": CUSTOM, "header_name": "x", "reject_with_status": {"code": "Forbidden"}}),
        detected({"@type": "type.googleapis.com/google.protobuf.Empty"}),
    ],
)
def test_what_cannot_be_detected_says_so(hcm: dict[str, Any]):
    found = managed(hcm)
    assert found.draft.plugins == {}
    assert [code for code, _ in found.said] == ["HCM-XFF"]


def test_only_the_first_extension_is_asked():
    found = managed(detected({"@type": XFF}, {"@type": CUSTOM, "header_name": "x"}))
    assert found.draft.plugins == {"real-ip": {"source": "http_x_forwarded_for"}}
    assert [path for _, path in found.said] == [f"original_ip_detection_extensions[e{i}]" for i in (0, 1)]


def test_hops_beside_extensions_mean_nothing():
    assert len(managed({**detected({"@type": XFF}), "xff_num_trusted_hops": 3}).said) == 1


def test_trusted_networks_for_the_manifest():
    hcm = detected({"@type": XFF, "xff_trusted_cidrs": CIDRS}, {"@type": CUSTOM, "header_name": "x"})
    assert trusted_addresses(xds.from_json(hcm, xds.message_class(xds.HTTP_CONNECTION_MANAGER)())) == NETWORKS


LAST = {"real_ip_from": ["0.0.0.0/0", "::/0"], "real_ip_header": "x-forwarded-for", "real_ip_recursive": "off"}


@pytest.mark.parametrize(
    ("hcm", "wanted", "is_said"),
    [
        ({}, LAST, False),
        ({"use_remote_address": True}, {}, False),
        ({"use_remote_address": True, "xff_num_trusted_hops": 1}, LAST, True),
        ({"xff_num_trusted_hops": 1}, {}, True),
        (detected({"@type": CUSTOM, "header_name": "X-Real"}), {**LAST, "real_ip_header": "x-real"}, True),
        (
            detected({"@type": XFF, "xff_trusted_cidrs": CIDRS}),
            {**LAST, "real_ip_from": NETWORKS, "real_ip_recursive": "on"},
            True,
        ),
    ],
)
def test_what_a_node_would_have_to_know(hcm: dict[str, Any], wanted: dict[str, Any], is_said: bool):  # noqa: FBT001 - a test case
    message = xds.from_json(hcm, xds.message_class(xds.HTTP_CONNECTION_MANAGER)())
    assert (node_settings(message), is_explicit(message)) == (wanted, is_said)
