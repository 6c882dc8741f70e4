from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.pipeline.cli.conftest import Outcome

if TYPE_CHECKING:
    from pathlib import Path

Meshferry = Callable[..., Outcome]
TYPE = "type.googleapis.com/envoy."
TLS = {
    "name": "tls",
    "typed_config": {
        "@type": f"{TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_sni": True,
        "common_tls_context": {"key_log": {"path": "/run/x"}},
    },
}
HCM = {
    "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "web",
    "route_config": {
        "virtual_hosts": [
            {
                "name": "reviews",
                "domains": ["reviews.example"],
                "routes": [
                    {
                        "match": {"prefix": "/a", "headers": [{"name": "x y", "present_match": True}]},
                        "route": {"cluster": "backend"},
                    },
                    {"match": {"prefix": "/"}, "route": {"cluster": "backend"}, "stat_prefix": "all"},
                ],
            }
        ]
    },
}
CLUSTER = {
    "name": "backend",
    "type": "STATIC",
    "alt_stat_name": "b",
    "load_assignment": {
        "cluster_name": "backend",
        "endpoints": [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": {"pipe": {"path": "/run/x"}}}},
                    {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}}},
                ]
            }
        ],
    },
}
ENVOY = {
    "listeners": [
        {
            "name": "web",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 443}},
            "filter_chains": [
                {
                    "filter_chain_match": {"server_names": ["reviews.example"]},
                    "transport_socket": TLS,
                    "filters": [{"name": "hcm", "typed_config": HCM}],
                }
            ],
        }
    ],
    "clusters": [CLUSTER],
}
CHAIN = "listener[web].filter_chains[0]"
HOST = f"{CHAIN}.filters[hcm].route_config.virtual_hosts[reviews]"


@pytest.fixture
def envoy(tmp_path: Path) -> Path:
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps({"static_resources": ENVOY}))
    return path


def by_source(found: Outcome) -> dict[str, dict[str, Any]]:
    assert (found.code, found.err) == (0, "")
    return {row["source"]: row for row in found.data()}


def test_what_became_of_each_object_of_the_source(meshferry: Meshferry, envoy: Path):
    rows = by_source(meshferry("translate", envoy, "--explain"))
    assert list(rows)[:6] == [
        "cluster[backend]",
        "listener[web]",
        CHAIN,
        f"{CHAIN}.filters[hcm].route_config",
        HOST,
        f"{HOST}.routes[0]",
    ]
    assert all("ignored" not in row for row in rows.values())
    blocked = rows[f"{HOST}.routes[0]"]
    assert (blocked["fate"], blocked["objects"]) == ("not translated", [])
    (finding,) = blocked["diagnostics"]
    assert finding["path"] == f"{HOST}.routes[0].match.headers[x y]"
    assert (finding["code"], finding["effect"], bool(finding["remedy"])) == ("RT-HEADER", "the route is left out", True)
    served = rows[f"{HOST}.routes[1]"]
    assert (served["fate"], served["diagnostics"], len(served["objects"])) == ("translated", [], 1)
    cluster = rows["cluster[backend]"]
    assert cluster["fate"] == "translated with differences"
    assert [key.split("/")[1] for key in cluster["objects"]] == ["upstreams"]
    assert [found["path"] for found in cluster["diagnostics"]] == [
        "cluster[backend].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe"
    ]


def test_every_object_and_every_diagnostic_is_in_one_row(meshferry: Meshferry, envoy: Path):
    """Nothing is lost on the way; only what stands for no place in the source is in no row."""
    translated = meshferry("translate", envoy).data()
    rows = by_source(meshferry("translate", envoy, "--explain"))
    explained = [key for row in rows.values() for key in row["objects"]]
    assert len(explained) == len(set(explained))
    assert set(translated["resources"]) - set(explained) <= {"/global_rules/xds", "/upstreams/xds-blackhole"}
    told = [found for row in rows.values() for found in row["diagnostics"]]
    assert sorted((found["code"], found["xds"]["path"]) for found in told) == sorted(
        (found["code"], found["xds"]["path"]) for found in translated["diagnostics"]
    )
    assert all(found["path"].startswith(row["source"]) for row in rows.values() for found in row["diagnostics"])


def test_ignored_fields_by_reason(meshferry: Meshferry, envoy: Path):
    rows = by_source(meshferry("translate", envoy, "--explain", "-v"))
    ignored = {found["path"]: (row["source"], found["reason"]) for row in rows.values() for found in row["ignored"]}
    assert ignored[f"{HOST}.routes[1].stat_prefix"] == (f"{HOST}.routes[1]", "statistics of Envoy")
    assert ignored["cluster[backend].alt_stat_name"] == ("cluster[backend]", "statistics of Envoy")
    assert ignored[f"{CHAIN}.transport_socket.require_sni"][0] == CHAIN
    assert len(ignored) == sum(len(row["ignored"]) for row in rows.values()), "each field once"


def test_secrets_and_endpoints_are_in_the_objects_of_others(meshferry: Meshferry, tmp_path: Path):
    cluster = {key: value for key, value in CLUSTER.items() if key != "load_assignment"}
    eds = {**cluster, "type": "EDS", "eds_cluster_config": {"service_name": "svc", "eds_config": {"ads": {}}}}
    assignment = {"cluster_name": "svc", "endpoints": CLUSTER["load_assignment"]["endpoints"]}  # type: ignore[index]  # a mapping
    path = tmp_path / "resources.json"
    listener = {"@type": f"{TYPE}config.listener.v3.Listener", **ENVOY["listeners"][0]}  # type: ignore[dict-item]  # a mapping
    resources = [
        listener,
        {"@type": f"{TYPE}config.cluster.v3.Cluster", **eds},
        {"@type": f"{TYPE}config.endpoint.v3.ClusterLoadAssignment", **assignment},
        {"@type": f"{TYPE}config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "idle"},
    ]
    path.write_text(json.dumps({"resources": resources}))
    rows = by_source(meshferry("translate", path, "--explain"))
    assert rows["load_assignment[svc]"]["objects"] == rows["cluster[backend]"]["objects"] != []
    assert rows["load_assignment[idle]"] == {
        "source": "load_assignment[idle]",
        "fate": "in other objects",
        "objects": [],
        "diagnostics": [],
    }


def test_formats(meshferry: Meshferry, envoy: Path, monkeypatch: pytest.MonkeyPatch):
    rows = meshferry("translate", envoy, "--explain", "-v").data()
    assert yaml.safe_load(meshferry("translate", envoy, "--explain", "-v", "-o", "yaml").out) == rows
    monkeypatch.setenv("COLUMNS", "500")
    table = meshferry("translate", envoy, "--explain", "-v", "-o", "table").out
    assert table.splitlines()[0].split() == ["source", "fate", "objects", "code", "at", "effect", "remedy"]
    (line,) = [line for line in table.splitlines() if "RT-HEADER" in line]
    for part in (
        f"{HOST}.routes[0] ",
        "not translated",
        "ERROR RT-HEADER",
        "match.headers[x y]",
        "is left out",
        "use a",
    ):
        assert part in line
    assert any("ignored" in line and "statistics of Envoy" in line for line in table.splitlines())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "RT-HEADER" in meshferry("translate", envoy, "--explain").out
    assert "[" in meshferry("translate", envoy, "--explain").out.splitlines()[1], "a path is no markup"


@pytest.mark.parametrize("option", [["-v"], ["-o", "json"]])
def test_options_that_need_explain(meshferry: Meshferry, envoy: Path, option: list[str]):
    found = meshferry("translate", envoy, *option)
    assert (found.code, found.line()) == (64, "-v and -o go with --explain; see `meshferry translate --help`")


def test_what_cannot_be_read_is_told_all_the_same(meshferry: Meshferry, tmp_path: Path):
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"clusters": [CLUSTER, {"name": "b", "type": "NO"}]}}))
    found = meshferry("translate", path, "--explain")
    assert found.code == 65
    assert [row["source"] for row in json.loads(found.out)][:1] == ["cluster[backend]"]
    assert found.err.count("\n") == 1
