from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from schemas import xds
from translators.diagnostics import CODES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pipeline.cli.conftest import Outcome

    Meshferry = Callable[..., Outcome]

ROUTER = {
    "name": "r",
    "typed_config": {"@type": xds.TYPE_URL_PREFIX + "envoy.extensions.filters.http.router.v3.Router"},
}
ADS = {"ads": {}}


def routes(match: dict[str, Any] | None = None, cluster: str = "c", name: str = "rc") -> dict[str, Any]:
    route = {"match": {"prefix": "/"} if match is None else match, "route": {"cluster": cluster}}
    return {"name": name, "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [route]}]}


def listener(port: Any = 8080, name: str = "l", *, chains: str = "filter_chains", **manager: Any) -> dict[str, Any]:
    hcm = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "x", "http_filters": [ROUTER]}
    hcm |= manager or {"route_config": routes()}
    chain = {"filters": [{"name": "h", "typed_config": hcm}]}
    address = {"socket_address": {"address": "::", "port_value": port}}
    return {"name": name, "address": address, chains: [chain] if chains == "filter_chains" else chain}


def cluster(port: Any = 80, name: str = "c", **fields: Any) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": port}}}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **fields}


def aggregate(name: str, *inner: str) -> dict[str, Any]:
    config = {
        "@type": xds.TYPE_URL_PREFIX + "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
        "clusters": list(inner),
    }
    kind = {"name": "envoy.clusters.aggregate", "typed_config": config}
    return {"name": name, "cluster_type": kind, "lb_policy": "CLUSTER_PROVIDED"}


def bootstrap(listeners: list[Any], clusters: list[Any]) -> dict[str, Any]:
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


ONE_ROUTE = {"global_rules", "routes", "upstreams"}
GOOD = bootstrap([listener()], [cluster()])


@pytest.fixture
def translate(meshferry: Meshferry, tmp_path: Path) -> Callable[..., Outcome]:
    """Run `meshferry translate` on a document."""

    def call(document: Any, *options: str) -> Outcome:
        path = tmp_path / "envoy.json"
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        path.write_bytes(data)
        return meshferry("translate", path, *options)

    return call


def directories(found: Outcome) -> set[str]:
    return {key.split("/")[1] for key in found.data()["resources"]}


def said(found: Outcome) -> list[tuple[str, str, str]]:
    return [(line["code"], line["xds"]["name"], line["xds"]["path"]) for line in found.data()["diagnostics"]]


def test_etcd_prints_objects_by_key_and_diagnostics(translate: Callable[..., Outcome]):
    found = translate(bootstrap([listener(route_config=routes(cluster="gone"))], [cluster()]))
    assert (found.code, found.err) == (0, "")
    assert found.data().keys() == {"resources", "diagnostics"}
    assert directories(found) == ONE_ROUTE
    [line] = found.data()["diagnostics"]
    assert line == {
        "code": "RA-CLUSTER-UNKNOWN",
        "severity": "ERROR",
        "class": "INVALID_INPUT",
        "xds": {
            "type_url": xds.ROUTE_CONFIGURATION,
            "name": "rc",
            "path": "virtual_hosts[v].routes[0].route.cluster",
        },
        "value": "gone",
        "effect": line["effect"],
        "remedy": CODES["RA-CLUSTER-UNKNOWN"].remedy,
    }


def test_standalone_prints_apisix_yaml_and_diagnostics_apart(translate: Callable[..., Outcome]):
    found = translate(bootstrap([listener(route_config=routes(cluster="gone"))], [cluster()]), "--to", "standalone")
    assert found.code == 0
    assert found.out.endswith("#END\n")
    assert yaml.safe_load(found.out)["routes"][0]["uris"] == ["/*"]
    assert found.err.startswith("ERROR RA-CLUSTER-UNKNOWN rc virtual_hosts[v].routes[0].route.cluster: ")
    assert found.err.count("\n") == 1


def test_standard_input_is_read_like_a_file(
    meshferry: Meshferry, translate: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
):
    from_file = translate(GOOD)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(GOOD).encode())))
    assert meshferry("translate", "--to", "etcd", "-") == from_file
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"static_resources: [")))
    broken = meshferry("translate", "-")
    assert broken.code == 65
    assert broken.line().startswith("<stdin>:2: not YAML: ")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "envoy.json: the file is empty (correct it)"),
        (b" \n", "envoy.json: the file is empty (correct it)"),
        (b"static_resources:\n  listeners: [\n", "envoy.json:3: not YAML: "),
        (b"static_resources:\n- \xff", "envoy.json:2: not UTF-8 text"),
        (b"42", "envoy.json: a mapping is expected at the top"),
        (b"null", "envoy.json: a mapping is expected at the top"),
        (b"{}", "not an Envoy file"),
        (b'{"dynamic_resources": {}}', "use an xds source"),
        (b'{"static_resources": "x"}', "static_resources: a mapping is expected"),
        (b'{"static_resources": {"listeners": "x"}}', "static_resources.listeners: a list is expected"),
        (b'{"static_resources":\n{"listeners": ["x"]}}', "envoy.json:2: static_resources.listeners[0]: a mapping is"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "envoy.json:1: not YAML: "),
        (b"x: &a [*a, *a]\nstatic_resources: {clusters: [*a]}", "envoy.json"),
    ],
)
def test_what_cannot_be_read_is_65_and_one_line(translate: Callable[..., Outcome], data: bytes, message: str):
    found = translate(data)
    assert found.code == 65
    assert message in found.line()
    assert "last good state" not in found.line()  # there is none offline


def test_a_path_that_cannot_be_opened_is_65(meshferry: Meshferry, tmp_path: Path):
    found = meshferry("translate", tmp_path / "gone.yaml")
    assert (found.code, found.line()) == (
        65,
        f"{tmp_path}/gone.yaml: No such file or directory (check the path and its permissions)",
    )
    found = meshferry("translate", tmp_path)
    remedy = "(put the resources there)"
    assert (found.code, found.line()) == (65, f"{tmp_path}: no .yaml, .yml or .json file in it {remedy}")


def test_a_file_of_100_megabytes_is_refused_and_not_read(meshferry: Meshferry, tmp_path: Path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    found = meshferry("translate", path)
    assert (found.code, found.line()) == (
        65,
        f"{path}: larger than 64 MiB (split the view over several files and views, or use an xds source)",
    )


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (bootstrap([listener()], [cluster(connect_timeout=[1])]), "static_resources.clusters[0].connect_timeout: "),
        (bootstrap([listener(-1)], [cluster()]), "listeners[0].address.socket_address.port_value: Value out of range"),
        (bootstrap([listener("http")], [cluster()]), "listeners[0].address.socket_address.port_value: "),
        (bootstrap([listener(), cluster()], [cluster(-1)]), "socket_address.port_value: Value out of range: -1"),
        (bootstrap([listener()], [cluster(1 << 32)]), "socket_address.port_value: Value out of range: 4294967296"),
    ],
)
def test_a_wrong_type_is_65_with_the_field_and_the_rest_is_printed(
    translate: Callable[..., Outcome], document: dict[str, Any], path: str
):
    found = translate(document)
    assert found.code == 65
    assert found.err.startswith("meshferry: ")
    assert found.err.count("\n") == 1
    assert path in found.err
    assert "/global_rules/xds" in found.data()["resources"]


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (
            bootstrap([listener(route_config=routes({"safe_regex": {"regex": "/(a"}}))], [cluster()]),
            ("RT-REGEX", "rc", "virtual_hosts[v].routes[0].match.safe_regex"),
        ),
        (
            bootstrap([listener()], []),
            ("RA-CLUSTER-UNKNOWN", "rc", "virtual_hosts[v].routes[0].route.cluster"),
        ),
        (bootstrap([listener()], [aggregate("c", "d"), aggregate("d", "c")]), ("CL-TYPE", "c", "cluster_type")),
        (bootstrap([listener()], [aggregate("c", "c")]), ("CL-TYPE", "c", "cluster_type")),
        (bootstrap([listener()], [aggregate("c", "gone")]), ("CL-TYPE", "c", "cluster_type")),
        (
            bootstrap([listener()], [{"name": "c", "type": "EDS", "eds_cluster_config": {"eds_config": ADS}}]),
            ("EP-PENDING", "c", ""),
        ),
        (bootstrap([listener()], [cluster(load_assignment={"cluster_name": "c"})]), ("EP-PENDING", "c", "")),
        (bootstrap([listener()], [{"name": "c", "type": "STATIC"}]), ("EP-PENDING", "c", "")),
        (
            bootstrap([listener(rds={"route_config_name": "gone", "config_source": ADS})], [cluster()]),
            ("RT-PENDING", "gone", ""),
        ),
        (bootstrap([listener(0)], [cluster()]), ("LST-ADDR", "l", "address")),
        (bootstrap([listener(65536)], [cluster()]), ("LST-ADDR", "l", "address")),
        (
            bootstrap([listener()], [cluster(0)]),
            ("EP-ADDR", "c", "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value"),
        ),
        (
            bootstrap([listener()], [cluster(65536)]),
            ("EP-ADDR", "c", "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value"),
        ),
        (bootstrap([listener()], [cluster(), cluster(81)]), ("CFG-INVALID", "c", "static_resources.clusters[1]")),
        (bootstrap([listener(), listener(81)], [cluster()]), ("CFG-INVALID", "l", "static_resources.listeners[1]")),
        (bootstrap([listener()], [cluster(wobble=1)]), ("CFG-UNKNOWN-FIELD", "c", "wobble")),
        (
            bootstrap([listener(route_config=routes({"prefix": "/", "frob": 1}))], [cluster()]),
            (
                "CFG-UNKNOWN-FIELD",
                "l",
                "filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].match.frob",
            ),
        ),
        ({"resources": {xds.TYPE_URL_PREFIX + "acme.Wow": [{"name": "a"}]}}, ("CFG-UNKNOWN-ANY", "a", "")),
        (
            bootstrap([{"name": "l", "address": listener()["address"]}], [cluster()]),
            ("CFG-INVALID", "l", "filter_chains"),
        ),
    ],
)
def test_what_is_wrong_inside_is_a_diagnostic_with_place_and_remedy(
    translate: Callable[..., Outcome], document: dict[str, Any], wanted: tuple[str, str, str]
):
    found = translate(document)
    assert (found.code, found.err) == (0, "")
    assert wanted in said(found)
    for line in found.data()["diagnostics"]:
        assert line["effect"]
        assert line["remedy"]
        assert line["xds"]["type_url"].startswith(xds.TYPE_URL_PREFIX)


def test_a_secret_that_is_nowhere_is_pending(translate: Callable[..., Outcome]):
    document = bootstrap([listener()], [cluster()])
    context = {
        "@type": xds.DOWNSTREAM_TLS_CONTEXT,
        "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "gone", "sds_config": ADS}]},
    }
    document["static_resources"]["listeners"][0]["filter_chains"][0] |= {
        "filter_chain_match": {"server_names": ["a.example"]},
        "transport_socket": {"name": "tls", "typed_config": context},
    }
    found = translate(document)
    assert [line["value"] for line in found.data()["diagnostics"] if line["code"] == "SEC-PENDING"] == ["gone"]
    assert "ssls" not in directories(found)


def test_what_was_noted_while_reading_stands_among_the_diagnostics(translate: Callable[..., Outcome], tmp_path: Path):
    document = {"resources": {xds.CLUSTER: [cluster(wobble=1)]}}
    row = CODES["CFG-UNKNOWN-FIELD"]
    found = translate(document)
    assert found.data()["diagnostics"] == [
        {
            "code": "CFG-UNKNOWN-FIELD",
            "severity": "WARN",
            "class": "UNSUPPORTED",
            "xds": {"type_url": xds.CLUSTER, "name": "c", "path": "wobble"},
            "value": "Cluster has no field wobble",
            "effect": row.effect,
            "remedy": row.remedy,
        }
    ]
    assert "WARN CFG-UNKNOWN-FIELD c wobble: " in translate(document, "--to", "standalone").err
    policy = tmp_path / "policy.yaml"
    policy.write_text("overrides: {CFG-UNKNOWN-FIELD: allow}")
    assert translate(document, "--policy", str(policy)).data()["diagnostics"] == []


def test_an_unknown_filter_closes_what_it_guards(translate: Callable[..., Outcome]):
    wow = {"name": "w", "typed_config": {"@type": xds.TYPE_URL_PREFIX + "acme.Wow", "a": 1}}
    found = translate(bootstrap([listener(http_filters=[wow, ROUTER], route_config=routes())], [cluster()]))
    assert [(line["code"], line["value"]) for line in found.data()["diagnostics"]] == [("HF-UNKNOWN", "acme.Wow")]
    guarded = [value for key, value in found.data()["resources"].items() if key.startswith("/routes/")]
    assert [value["plugins"]["fault-injection"]["abort"]["http_status"] for value in guarded] == [503]


@pytest.mark.parametrize("document", [{"resources": {}}, {"static_resources": {}}, {"configs": []}, []])
def test_an_empty_configuration_is_no_error(translate: Callable[..., Outcome], document: Any):
    found = translate(document)
    assert (found.code, found.err) == (0, "")
    assert found.data()["resources"].keys() == {"/global_rules/xds"}


def test_a_listener_with_only_a_default_chain_is_served(translate: Callable[..., Outcome]):
    found = translate(bootstrap([listener(chains="default_filter_chain")], [cluster()]))
    assert (found.code, said(found), directories(found)) == (0, [], ONE_ROUTE)


def discovered(*ports: int) -> dict[str, Any]:
    rds = {"route_config_name": "rc", "config_source": ADS}
    listeners = [listener(port, f"l{port}", rds=rds) for port in ports]
    return {xds.LISTENER: listeners, xds.ROUTE_CONFIGURATION: [routes()], xds.CLUSTER: [cluster()]}


def test_two_listeners_with_one_route_configuration_have_their_own_routes(translate: Callable[..., Outcome]):
    found = translate({"resources": discovered(80, 81)})
    assert (found.code, said(found)) == (0, [])
    guards = [value["vars"] for key, value in found.data()["resources"].items() if key.startswith("/routes/")]
    assert sorted(guards) == [[["server_port", "==", "80"]], [["server_port", "==", "81"]]]


def test_a_config_dump_is_the_same_as_the_resources_in_it(translate: Callable[..., Outcome]):
    resources = discovered(80)

    def entries(type_url: str, field: str) -> list[dict[str, Any]]:
        return [{field: {"@type": type_url, **resource}} for resource in resources[type_url]]

    dump = {
        "configs": [
            {"dynamic_listeners": [{"active_state": entry} for entry in entries(xds.LISTENER, "listener")]},
            {"dynamic_active_clusters": entries(xds.CLUSTER, "cluster")},
            {"dynamic_route_configs": entries(xds.ROUTE_CONFIGURATION, "route_config")},
        ]
    }
    assert translate(dump) == translate({"resources": resources})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "requires an argument"),
        (["--bogus"], "Unknown option: --bogus; see `meshferry translate --help`"),
        (["FILE", "--bogus"], "Unknown option: --bogus"),
        (["FILE", "another"], "Unused Tokens: ['another']"),
        (["FILE", "--to", "xml"], 'Invalid value "xml" for --to'),
        (["FILE", "--view", "Bad View"], "view name 'Bad View': use 1 to 40 of a-z, 0-9 and '-'"),
    ],
)
def test_wrong_arguments_are_64(meshferry: Meshferry, arguments: list[str], message: str):
    found = meshferry("translate", *arguments)
    assert found.code == 64
    assert message in found.line()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "overrides: {NO-SUCH: allow}",
            "policy.yaml.overrides: no such diagnostic code: NO-SUCH; see docs/diagnostics",
        ),
        ("overrides: {RT-REGEX: perhaps}", "policy.yaml: Invalid enum value 'perhaps'"),
        ("colour: red", "policy.yaml: Object contains unknown field `colour`"),
        ("port_map: {80: 65536}", "policy.yaml.port_map: 65536 is no port; use 1 to 65535"),
        ("apisix_versions: 3.10", "policy.yaml.apisix_versions: a number is no version: write it in quotes"),
        ("apisix_versions: 2.0-3.18", "policy.yaml: apisix_versions: '2.0-3.18' is not within 3.9-3.18"),
        ("- 1", "policy.yaml: Expected `object`, got `array`"),
        ("a: [", "policy.yaml: not YAML: "),
        ("a: 2024-13-01", "policy.yaml: not YAML: "),
        ("\udcff", "policy.yaml: not UTF-8; give a policy file with --policy"),
        (None, "policy.yaml: No such file or directory; give a policy file with --policy"),
    ],
)
def test_a_policy_that_is_none_is_78(translate: Callable[..., Outcome], tmp_path: Path, text: str | None, message: str):
    policy = tmp_path / "policy.yaml"
    if text is not None:
        policy.write_text(text, encoding="utf-8", errors="surrogateescape")
    found = translate(GOOD, "--policy", str(policy))
    assert found.code == 78
    assert message in found.line()


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path):
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(bootstrap([listener()], [cluster(name=f"c{number}") for number in range(500)])))
    command = [sys.executable, "-m", "pipeline.cli", "translate", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"{"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0
