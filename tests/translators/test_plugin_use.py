from __future__ import annotations

from typing import Any

import pytest

from translators.etcd_object import build_object
from translators.plugin_use import PluginUse, plugin_use


def test_plugins_of_all_kinds_of_objects():
    objects = [
        build_object("routes", "1", {"plugins": {"cors": {}}}),
        build_object("plugin_configs", "1", {"plugins": {"zipkin": {}, "cors": {}}}),
        build_object("global_rules", "1", {"plugins": {"prometheus": {}}}),
        build_object("stream_routes", "1", {"plugins": {"limit-conn": {}}}),
        build_object("routes", "2", {"uri": "/"}),
    ]
    assert plugin_use(objects) == PluginUse(("cors", "prometheus", "zipkin"), ("limit-conn",))


@pytest.mark.parametrize(
    ("host", "is_name"), [("10.0.0.1", False), ("::1", False), ("db.example", True), ("localhost", True)]
)
def test_nodes_with_names(host: str, is_name: bool):  # noqa: FBT001 - a test case
    upstream: dict[str, Any] = {"nodes": [{"host": host, "port": 1, "weight": 1}]}
    assert plugin_use([build_object("upstreams", "1", upstream)]).has_names is is_name
