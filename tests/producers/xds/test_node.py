from __future__ import annotations

import pytest

from producers.xds.node import CLIENT_FEATURES, build_node
from schemas import xds


def test_a_node_says_who_asks_and_with_what():
    node = build_node(
        "router~10.0.0.1~gw.ns~ns.svc.cluster.local",
        "1.2.3",
        cluster="gw",
        metadata={"NAMESPACE": "ns", "LABELS": {"app": "gw"}},
        locality={"region": "r", "zone": "z"},
    )
    assert xds.to_dict(node) == {
        "id": "router~10.0.0.1~gw.ns~ns.svc.cluster.local",
        "cluster": "gw",
        "metadata": {"NAMESPACE": "ns", "LABELS": {"app": "gw"}},
        "locality": {"region": "r", "zone": "z"},
        "user_agent_name": "meshferry",
        "user_agent_version": "1.2.3",
        "client_features": list(CLIENT_FEATURES),
    }


def test_nothing_is_made_up():
    node = build_node("n", "1")
    assert not node.HasField("locality")
    assert not node.cluster


def test_an_empty_id_is_refused():
    with pytest.raises(ValueError, match="node id: empty; give the id"):
        build_node("", "1")


def test_metadata_that_is_no_json_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"node: .*metadata"):
        build_node("n", "1", metadata={"x": object()})
    with pytest.raises(ValueError, match=r"node: .*continent"):
        build_node("n", "1", locality={"continent": "x"})
