from __future__ import annotations

import json
from typing import Any

import pytest

from producers.files.parse import MAX_REPORTED, parse
from schemas import xds

URL = xds.TYPE_URL_PREFIX
BOOTSTRAP = """\
static_resources:
  listeners:
  - address:
      socket_address: {address: 0.0.0.0, port_value: 80}
  - address: {pipe: {path: /run/x.sock}}
  clusters:
  - name: a
    connect_timeout: 1s
  secrets:
  - name: s
    tls_certificate:
      certificate_chain: {filename: cert.pem}
      private_key: {filename: key.der}
"""
FILES = {"cert.pem": b"chain", "key.der": b"\xff\x00"}


def read(name: str) -> bytes:
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[name]


def parsed(document: Any, **options):
    data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
    return parse(data, "envoy.yaml", options.pop("read", read), **options)


def names(found) -> list[tuple[str, str]]:
    return [(change.type_url.rpartition(".")[2], change.name) for change in found.resources]


def lines(found) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_a_bootstrap():
    found = parsed(BOOTSTRAP, is_strict=True)
    assert lines(found) == []
    assert names(found) == [("Listener", "0.0.0.0_80"), ("Listener", "_run_x_sock"), ("Cluster", "a"), ("Secret", "s")]
    assert found.resources[0].body.name == "0.0.0.0_80"
    certificate = found.resources[-1].body.tls_certificate
    assert (certificate.certificate_chain.inline_string, certificate.private_key.inline_bytes) == ("chain", b"\xff\x00")


def test_a_bootstrap_is_read_as_strictly_as_envoy_reads_it():
    text = BOOTSTRAP.replace("connect_timeout", "conect_timeout").replace("key.der", "gone.pem")
    found = parsed(text, is_strict=True)
    assert [line.removesuffix(" (correct it)") for line in lines(found)] == [
        "envoy.yaml:8: static_resources.clusters[0].conect_timeout: Cluster has no field conect_timeout",
        "envoy.yaml:10: static_resources.secrets[0]: cannot read gone.pem: No such file or directory",
    ]


def test_offline_the_same_is_noted_and_file_names_stay():
    text = BOOTSTRAP.replace("connect_timeout", "conect_timeout").replace("key.der", "gone.pem")
    found = parsed(text)
    assert lines(found) == []
    [note] = found.notes
    assert (note.code, note.name, note.path) == ("CFG-UNKNOWN-FIELD", "a", "conect_timeout")
    assert found.resources[-1].body.tls_certificate.private_key.filename == "gone.pem"


def test_resources_by_type():
    found = parsed({"resources": {xds.CLUSTER: [{"name": "a"}], URL + "x.Y": [{"name": "n"}, {}]}})
    assert names(found) == [("Cluster", "a"), ("Y", "n"), ("Y", "unnamed-1")]


def test_a_discovery_response_with_and_without_wrappers():
    wrapped = {"@type": URL + "envoy.service.discovery.v3.Resource", "name": "b", "version": "9"}
    wrapped["resource"] = {"@type": xds.CLUSTER, "name": "b"}
    empty = {"@type": URL + "envoy.service.discovery.v3.Resource", "name": "heartbeat"}
    items = [{"@type": xds.CLUSTER, "name": "a"}, wrapped, empty]
    found = parsed({"version_info": "7", "type_url": xds.CLUSTER, "resources": items})
    assert [(change.name, change.version_info) for change in found.resources] == [("a", "7"), ("b", "9")]
    assert names(parsed(items)) == names(found)


def dump(**configs: list) -> dict:
    return {"configs": [{"@type": URL + "envoy.admin.v3.Any", "version_info": "x", **configs}]}


def test_a_config_dump_gives_what_is_in_force():
    def listener(name: str) -> dict:
        return {"version_info": "3", "listener": {"@type": xds.LISTENER, "name": name}}

    redacted = {"@type": xds.SECRET, "name": "s", "tls_certificate": {"private_key": {"inline_string": "[redacted]"}}}
    found = parsed(
        dump(
            static_listeners=[listener("static")],
            dynamic_listeners=[
                {"name": "d", "active_state": listener("active"), "warming_state": listener("warming")},
                {"name": "w", "warming_state": listener("waiting")},
            ],
            dynamic_active_clusters=[{"cluster": {"@type": xds.CLUSTER, "name": "c"}}],
            dynamic_warming_clusters=[{"cluster": {"@type": xds.CLUSTER, "name": "no"}}],
            dynamic_active_secrets=[{"name": "s", "secret": redacted}],
        )
    )
    assert names(found) == [("Listener", "static"), ("Listener", "active"), ("Cluster", "c")]
    assert found.resources[1].version_info == "3"
    assert [(note.code, note.name) for note in found.notes] == [("SEC-PENDING", "s")]


def test_a_config_dump_gives_routes_endpoints_scopes_and_discovered_filters():
    found = parsed(
        dump(
            dynamic_route_configs=[{"route_config": {"@type": xds.ROUTE_CONFIGURATION, "name": "r"}}],
            dynamic_endpoint_configs=[
                {"endpoint_config": {"@type": xds.CLUSTER_LOAD_ASSIGNMENT, "cluster_name": "c"}},
            ],
            dynamic_scoped_route_configs=[
                {"scoped_route_configs": [{"@type": xds.SCOPED_ROUTE_CONFIGURATION, "name": "s"}]}
            ],
            ecds_filters=[{"ecds_filter": {"@type": xds.TYPED_EXTENSION_CONFIG, "name": "f"}}],
        )
    )
    assert names(found) == [
        ("RouteConfiguration", "r"),
        ("ClusterLoadAssignment", "c"),
        ("ScopedRouteConfiguration", "s"),
        ("TypedExtensionConfig", "f"),
    ]
    assert found.problems == ()


def test_equal_duplicates_are_one_and_different_ones_are_told():
    same = {"resources": {xds.CLUSTER: [{"name": "a"}, {"name": "a"}]}}
    assert (names(parsed(same)), parsed(same).notes) == ([("Cluster", "a")], ())
    other = {"resources": {xds.CLUSTER: [{"name": "a"}, {"name": "a", "lb_policy": "RANDOM"}]}}
    [note] = parsed(other).notes
    assert note.message == "Cluster a stands twice with different content; the first is used"
    twice = BOOTSTRAP.replace("  secrets:", "  - name: a\n  secrets:")
    assert (
        "envoy.yaml:9: static_resources.clusters[1]: Cluster a stands twice" in lines(parsed(twice, is_strict=True))[0]
    )


def test_a_resource_that_is_found_by_name_must_have_one():
    found = parsed({"resources": {xds.CLUSTER: [{}], xds.ROUTE_CONFIGURATION: [{}]}})
    assert names(found) == [("RouteConfiguration", "unnamed-0")]
    [note] = found.notes
    assert (note.code, note.message) == ("CFG-INVALID", "a Cluster without a name; it is left out")
    assert (
        "envoy.yaml:9: static_resources.clusters[1]: a Cluster without"
        in lines(parsed(BOOTSTRAP.replace("  secrets:", "  - {}\n  secrets:"), is_strict=True))[0]
    )


def test_a_wrong_type_names_line_and_field_and_hides_no_other_resource():
    found = parsed(BOOTSTRAP.replace("port_value: 80", "port_value: eighty"))
    [line] = lines(found)
    place = "envoy.yaml:4: static_resources.listeners[0].address.socket_address.port_value: "
    assert line == f"{place}invalid literal for int() with base 10: 'eighty' (correct it)"
    assert ("Cluster", "a") in names(found)


def test_a_file_with_a_thousand_faults_reports_some():
    found = parsed({"resources": {xds.CLUSTER: [{"name": 1}] * 1_000}})
    assert len(found.problems) == MAX_REPORTED


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "envoy.yaml: the file is empty ("),
        ("a: [", "envoy.yaml:2: not YAML: "),
        ("text", "envoy.yaml: a mapping is expected at the top, not a str ("),
        ("admin: {}", "envoy.yaml: none of static_resources, resources, configs stands at the top"),
        ("dynamic_resources: {}", "envoy.yaml: the bootstrap names a control plane"),
        ("static_resources: []", "envoy.yaml: static_resources: a mapping is expected, not a list"),
        ("static_resources: {cluster: []}", "envoy.yaml: static_resources.cluster: no such field"),
        ("static_resources: {clusters: {}}", "envoy.yaml: static_resources.clusters: a list is expected, not a dict"),
        ("[{name: a}]", "envoy.yaml: 0: a resource with @type is expected"),
        ("resources: {x: {}}", "envoy.yaml: resources.x: a list is expected, not a dict"),
        (
            f"resources: {{{xds.CLUSTER}: [&a {{metadata: {{filter_metadata: {{m: *a}}}}}}]}}",
            "envoy.yaml: aliases expand",
        ),
    ],
)
def test_what_is_no_envoy_file_says_so_in_one_line(document, message):
    found = parsed(document)
    assert found.resources == ()
    [line] = lines(found)
    assert line.startswith(message)
    assert "\n" not in line


@pytest.mark.parametrize("document", ["static_resources:", "resources: {}", "resources: []", "configs: []"])
def test_a_file_without_resources_is_good_and_empty(document):
    assert parsed(document, is_strict=True) == ((), (), (), ())


ROUTES = {
    "name": "rc",
    "virtual_hosts": [
        {"name": name, "domains": ["*"], "routes": [{"match": match, "route": {"cluster": "c"}}]}
        for name, match in (("v", {"prefix": "/"}), ("w", {"newer_path": "/"}))
    ],
}


def test_routes_that_no_client_could_use_are_left_out_and_noted():
    found = parsed({"resources": {xds.ROUTE_CONFIGURATION: [ROUTES]}})
    assert lines(found) == []
    assert [(note.code, note.name, note.message) for note in found.notes] == [
        ("CFG-UNKNOWN-FIELD", "rc", "RouteMatch has no field newer_path"),
        (
            "CFG-INVALID",
            "rc",
            "RouteConfiguration rc: virtual_hosts[1].domains: * stands twice; the first virtual host has it",
        ),
        (
            "CFG-INVALID",
            "rc",
            "RouteConfiguration rc: virtual_hosts[1].routes[0].match: no path to match; the route is left out",
        ),
    ]
    assert [len(virtual_host.routes) for virtual_host in found.resources[0].body.virtual_hosts] == [1, 0]


def test_inline_routes_of_a_bootstrap_are_looked_at_too():
    manager = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "x", "route_config": ROUTES}
    listener = {"name": "l", "filter_chains": [{"filters": [{"name": "h", "typed_config": manager}]}]}
    found = parsed({"static_resources": {"listeners": [listener]}}, is_strict=True)
    place = "envoy.yaml:1: static_resources.listeners[0]: RouteConfiguration rc: virtual_hosts[1]"
    assert [line.removesuffix(" (correct it)") for line in lines(found)[1:]] == [
        f"{place}.domains: * stands twice; the first virtual host has it",
        f"{place}.routes[0].match: no path to match; the route is left out",
    ]
