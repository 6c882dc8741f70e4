from __future__ import annotations

from producers.cut_cluster import MAX_NAMEABLE
from schemas import xds
from tests.producers.scene import (
    Scene,
    assignment,
    change,
    cluster,
    endpoints,
    hcm,
    listener,
    rds,
    removal,
    route,
    route_configuration,
    split,
    tls,
    virtual_host,
)

DOMAINS = ["a.example.com", "*.example.com", "a.*", "*"]


CHAIN = rds("r") | {"name": "c"}


def scene_of(*hosts: dict, chains=(CHAIN,), **fields) -> Scene:
    scene = Scene()
    scene.say(listener("l", *chains, **fields), route_configuration("r", *hosts, ignore_port_in_host_matching=True))
    return scene


def test_a_virtual_host_is_cut_in_two_by_the_sort_of_its_domains():
    scene = scene_of(virtual_host("h", DOMAINS, route("a")))
    own = scene.bodies("http/l/c/r/h", "subject", xds.ROUTE_CONFIGURATION)["r"]
    shared = scene.bodies("http/l/c/r/*", "subject", xds.ROUTE_CONFIGURATION)["r"]
    assert [list(host.domains) for host in own.virtual_hosts] == [DOMAINS[:2]]
    assert [list(host.domains) for host in shared.virtual_hosts] == [DOMAINS[2:]]
    assert own.ignore_port_in_host_matching
    assert scene.units["http/l/c/r/h"].params == {
        "listener": "l",
        "chain": "c",
        "route_config": "r",
        "virtual_host": "h",
    }
    assert scene.units["http/l/c/r/*"].params["virtual_host"] == "*"


def test_the_any_host_unit_is_there_without_any_such_virtual_host():
    scene = scene_of(virtual_host("h", ["a.example.com"], route("a")))
    shared = scene.bodies("http/l/c/r/*", "subject", xds.ROUTE_CONFIGURATION)["r"]
    assert len(shared.virtual_hosts) == 0


def test_a_virtual_host_named_star_is_not_the_any_host_unit():
    scene = scene_of(virtual_host("*", ["a.example.com", "*"], route("a")))
    assert {"http/l/c/r/%2A", "http/l/c/r/*"} <= scene.units.keys()
    assert scene.say(route_configuration("r")) == ["http/l/c/r/*", "-http/l/c/r/%2A"]


def test_the_place_of_a_virtual_host_does_not_matter():
    hosts = [virtual_host("a", ["*"], route("a")), virtual_host("b", ["b.*", "b"], route("b"))]
    scene = scene_of(*hosts)
    assert scene.say(route_configuration("r", *reversed(hosts), ignore_port_in_host_matching=True)) == []


def test_virtual_hosts_of_one_name_are_both_kept():
    scene = scene_of(virtual_host("h", ["a"], route("a")), virtual_host("h", ["b"], route("b")))
    assert {"http/l/c/r/h", "http/l/c/r/h~2"} <= scene.units.keys()


def test_known_clusters_go_along_without_endpoints_and_certificates():
    scene = scene_of(virtual_host("h", ["a"], route("z"), split(b=1, missing=1)))
    certificate = {"certificate_chain": {"inline_string": "chain"}, "private_key": {"inline_string": "key"}}
    context = {
        "@type": xds.UPSTREAM_TLS_CONTEXT,
        "sni": "b.example.com",
        "common_tls_context": {"alpn_protocols": ["h2"], "tls_certificates": [certificate]},
    }
    socket = {"name": "tls", "typed_config": context}
    inline = {"cluster_name": "b", "endpoints": [{}]}
    scene.say(cluster("b", type="STATIC", load_assignment=inline, transport_socket=socket), cluster("z"))
    references = scene.bodies("http/l/c/r/h", "reference", xds.CLUSTER)
    assert list(references) == ["b", "z"]
    assert not references["b"].HasField("load_assignment")
    shown = xds.unpack(references["b"].transport_socket.typed_config)
    assert (shown.sni, list(shown.common_tls_context.alpn_protocols)) == ("b.example.com", ["h2"])
    assert [len(one.ListFields()) for one in shown.common_tls_context.tls_certificates] == [0]
    assert scene.say(removal(xds.CLUSTER, "z")) == ["http/l/c/r/h", "-cluster/z"]


def test_mirrored_clusters_and_those_in_a_matcher_tree_go_along():
    mirror = route("a", request_mirror_policies=[{"cluster": "mirror"}])
    action = {"@type": "type.googleapis.com/envoy.config.route.v3.Route", **route("leaf")}
    on_match = {"action": {"name": "r", "typed_config": action}}
    matched = virtual_host("m", ["m"], matcher={"on_no_match": on_match})
    scene = scene_of(virtual_host("h", ["a"], mirror, request_mirror_policies=[{"cluster": "all"}]), matched)
    scene.say(*map(cluster, ["a", "all", "leaf", "mirror"]))
    assert list(scene.bodies("http/l/c/r/h", "reference", xds.CLUSTER)) == ["a", "all", "mirror"]
    assert list(scene.bodies("http/l/c/r/m", "reference", xds.CLUSTER)) == ["leaf"]
    assert len(scene.bodies("cluster/leaf", "use", xds.ROUTE_ACTION)) == 1
    assert scene.bodies("cluster/mirror", "use", xds.ROUTE_ACTION) == {}


def test_this_chain_is_the_one_that_still_has_filters():
    other = rds("r") | {"filter_chain_match": {"destination_port": 81}, "name": "other"}
    scene = scene_of(
        virtual_host("h", ["a"], route("a")),
        chains=(tls(rds("r") | {"name": "c"}, "x", require_client_certificate=True), other),
        default_filter_chain=rds("r"),
        stat_prefix="kept",
    )
    shown = scene.bodies("http/l/c/r/h", "subject", xds.LISTENER)["l"]
    assert shown.stat_prefix == "kept"
    assert [len(chain.filters) for chain in shown.filter_chains] == [1, 0]
    assert shown.filter_chains[1].filter_chain_match.destination_port.value == 81
    assert shown.HasField("default_filter_chain")
    assert len(shown.default_filter_chain.filters) == 0
    context = xds.unpack(shown.filter_chains[0].transport_socket.typed_config)
    assert context.require_client_certificate.value
    assert not context.HasField("common_tls_context")
    default = scene.bodies("http/l/default/r/h", "subject", xds.LISTENER)["l"]
    assert [len(chain.filters) for chain in default.filter_chains] == [0, 0]
    assert len(default.default_filter_chain.filters) == 1


def test_routes_inside_the_listener_become_a_route_configuration_of_their_own():
    scene = Scene()
    unnamed = hcm(route_config={"virtual_hosts": [virtual_host("h", ["a"], route("a"))]})
    named = hcm(route_config={"name": "r", "virtual_hosts": [virtual_host("h", ["a"], route("b"))]})
    scene.say(listener("l", unnamed | {"name": "u"}, named | {"name": "n"}), cluster("a"))
    scene.say(route_configuration("r", virtual_host("other", ["o"], route("c"))))
    assert list(scene.bodies("http/l/u/l%2Fu/h", "subject", xds.ROUTE_CONFIGURATION)) == ["l/u"]
    assert scene.bodies("http/l/n/r/h", "subject", xds.ROUTE_CONFIGURATION)["r"].virtual_hosts[0].name == "h"
    shown = scene.bodies("http/l/n/r/h", "subject", xds.LISTENER)["l"].filter_chains[1].filters[0]
    assert not xds.unpack(shown.typed_config).HasField("route_config")
    assert len(scene.bodies("cluster/a", "use", xds.ROUTE_ACTION)) == 1
    assert set(scene.say(removal(xds.LISTENER, "l"))) >= {"cluster/a", "-http/l/n/r/h", "-http/l/u/l%2Fu/h"}


ANY = "0.0.0.0"  # noqa: S104 - nothing is bound


def siblings(scene: Scene, unit: str) -> dict[str, str]:
    """Names and addresses of the neighbours in a unit."""
    stubs = scene.bodies(unit, "sibling", xds.LISTENER)
    assert not any(stub.filter_chains for stub in stubs.values())
    return {name: stub.address.socket_address.address for name, stub in stubs.items()}


def test_a_wildcard_listener_that_opens_no_port_knows_the_specific_ones_on_its_port():
    scene = Scene()
    scene.say(route_configuration("r", virtual_host("h", ["a"], route("a"))))
    scene.say(listener("any", rds("r") | {"name": "c"}, port=80, bind_to_port=False))
    scene.say(listener("same", rds("x"), port=80, bind_to_port=False), listener("far", rds("x"), port=81))
    assert siblings(scene, "http/any/c/r/h") == {}
    svc = listener("svc", rds("x"), port=80, host="10.0.0.1", bind_to_port=False)
    assert scene.say(svc) == ["http/any/c/r/*", "http/any/c/r/h", "view"]
    assert siblings(scene, "http/any/c/r/h") == {"svc": "10.0.0.1"}
    assert scene.say(listener("svc", rds("y"), port=80, host="10.0.0.1", bind_to_port=False)) == ["view"]
    assert "http/any/c/r/h" in scene.say(removal(xds.LISTENER, "svc"))


def test_a_specific_listener_that_opens_no_port_is_told_apart_by_its_own_address():
    scene = Scene()
    scene.say(route_configuration("r"), listener("any", rds("x"), port=80))
    scene.say(listener("svc", rds("r") | {"name": "c"}, port=80, host="10.0.0.1", bind_to_port=False))
    assert siblings(scene, "http/svc/c/r/*") == {}


def test_listeners_that_share_an_open_port_know_that_they_do():
    scene = Scene()
    scene.say(route_configuration("r"))
    scene.say(*(listener(f"ip{n}", rds("r") | {"name": "c"}, port=80, host=f"10.0.0.{n}") for n in range(1, 5)))
    assert siblings(scene, "http/ip3/c/r/*") == {"ip1": "10.0.0.1"}
    scene.say(listener("any", rds("r") | {"name": "c"}, port=80))
    assert siblings(scene, "http/any/c/r/*") == {f"ip{n}": f"10.0.0.{n}" for n in range(1, 5)}
    scene.say(listener("hidden", rds("r") | {"name": "c"}, port=80, host="10.0.0.9", bind_to_port=False))
    assert "hidden" not in siblings(scene, "http/any/c/r/*")


def test_the_older_field_for_not_opening_a_port_counts_too():
    scene = Scene()
    scene.say(route_configuration("r"), listener("svc", rds("x"), port=80, host="10.0.0.1", bind_to_port=False))
    scene.say(listener("any", rds("r") | {"name": "c"}, port=80, deprecated_v1={"bind_to_port": False}))
    assert siblings(scene, "http/any/c/r/*") == {"svc": "10.0.0.1"}


def mirror_targets(scene: Scene, unit: str = "http/l/c/r/h") -> dict[str, list[int]]:
    """Ports of the endpoints that copies of requests go to."""
    found = scene.bodies(unit, "reference", xds.CLUSTER_LOAD_ASSIGNMENT)
    return {
        name: [e.endpoint.address.socket_address.port_value for one in found[name].endpoints for e in one.lb_endpoints]
        for name in found
    }


def test_one_endpoint_of_a_mirrored_cluster_goes_along_and_others_may_change():
    scene = scene_of(virtual_host("h", ["a"], route("a", request_mirror_policies=[{"cluster": "m"}])))
    scene.say(cluster("a"), cluster("m"), endpoints("a", 1))
    assert mirror_targets(scene) == {}
    assert scene.say(endpoints("m", 1, 2)) == ["cluster/m", "http/l/c/r/h"]
    assert mirror_targets(scene) == {"m": [1]}
    assert scene.say(endpoints("m", 1, 3)) == ["cluster/m"]
    assert scene.say(endpoints("m", 2)) == ["cluster/m", "http/l/c/r/h"]
    assert mirror_targets(scene) == {"m": [2]}


def test_the_endpoint_of_a_mirror_is_the_first_usable_one():
    scene = scene_of(virtual_host("h", ["a"], route("a", request_mirror_policies=[{"cluster": "m"}])))
    named = {"first": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 7}}}}
    spare, own = assignment("m", 9)["endpoints"][0], assignment("m", 5)["endpoints"][0]["lb_endpoints"][0]
    usable = {"lb_endpoints": [{**own, "health_status": "DRAINING"}, {"endpoint_name": "first"}]}
    inline = {"cluster_name": "x", "named_endpoints": named, "endpoints": [{**spare, "priority": 1}, usable]}
    scene.say(cluster("m", type="STATIC", load_assignment=inline))
    assert mirror_targets(scene) == {"m": [7]}


def test_what_a_route_configuration_or_a_cluster_mirrors_to_goes_along():
    host = virtual_host("h", ["a"], route("a"))
    scene = Scene()
    scene.say(listener("l", CHAIN), route_configuration("r", host), cluster("a"), cluster("m"), endpoints("m", 4))
    assert mirror_targets(scene) == {}
    scene.say(route_configuration("r", host, request_mirror_policies=[{"cluster": "m"}]))
    assert mirror_targets(scene) == {"m": [4]}
    scene.say(route_configuration("r", host))
    assert mirror_targets(scene) == {}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    mirroring = {"@type": xds.TYPE_URL_PREFIX + options, "request_mirror_policies": [{"cluster": "m"}]}
    scene.say(cluster("a", type="STATIC", typed_extension_protocol_options={options: mirroring}))
    assert mirror_targets(scene) == {"m": [4]}
    assert "m" in scene.bodies("http/l/c/r/h", "reference", xds.CLUSTER)
    assert scene.say(endpoints("m", 5)) == ["cluster/m", "http/l/c/r/h"]


def by_header(**action: str) -> dict:
    return {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster", **action}}


def named_in(scene: Scene, unit: str = "http/l/c/r/h") -> list[str]:
    return list(scene.bodies(unit, "reference", xds.CLUSTER))


def test_where_requests_name_the_cluster_all_go_along_and_are_used():
    scene = scene_of(virtual_host("h", ["a"], by_header(), by_header(host_rewrite_literal="x")))
    scene.say(cluster("a"), cluster("b"))
    assert named_in(scene) == ["a", "b"]
    assert len(scene.bodies("cluster/b", "use", xds.ROUTE_ACTION)) == 1  # both are named l7
    uses = [resource for resource in scene.units["cluster/b"].resources if resource.role == "use"]
    assert len(uses) == 2
    assert scene.say(cluster("c")) == ["cluster/c", "http/l/c/r/h"]
    assert scene.say(removal(xds.CLUSTER, "b")) == ["http/l/c/r/h", "-cluster/b"]
    assert named_in(scene) == ["a", "c"]
    gone = scene.say(route_configuration("r", virtual_host("h", ["a"], route("a"))))
    assert {"cluster/a", "cluster/c", "http/l/c/r/h"} <= set(gone)
    assert [r for r in scene.units["cluster/c"].resources if r.role == "use"] == []


def test_too_many_clusters_do_not_go_along():
    scene = scene_of(virtual_host("h", ["a"], by_header(), route("c0")))
    scene.say(*(cluster(f"c{number}") for number in range(MAX_NAMEABLE)))
    assert len(named_in(scene)) == MAX_NAMEABLE
    assert scene.bodies("http/l/c/r/h", "sibling", xds.CLUSTER) == {}
    said = scene.say(cluster("more"))
    assert "cluster/c1" in said
    assert named_in(scene) == ["c0"]
    assert len(scene.bodies("http/l/c/r/h", "sibling", xds.CLUSTER)) == 1
    assert [r for r in scene.units["cluster/c1"].resources if r.role == "use"] == []
    scene.say(removal(xds.CLUSTER, "more"))
    assert len(named_in(scene)) == MAX_NAMEABLE
    assert len([r for r in scene.units["cluster/c1"].resources if r.role == "use"]) == 1


EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3."


def service(cluster_name: str) -> dict:
    return {"server_uri": {"uri": "http://authz/", "cluster": cluster_name, "timeout": "1s"}}


def asking(cluster_name: str) -> dict:
    """The http_filters of a chain that asks an authorization service."""
    config = {"@type": f"{EXT_AUTHZ}ExtAuthz", "http_service": service(cluster_name)}
    return {"http_filters": [{"name": "ext_authz", "typed_config": config}]}


def asking_instead(cluster_name: str) -> dict:
    """The typed_per_filter_config of a level that asks another authorization service."""
    settings = {"http_service": service(cluster_name)}
    config = {"@type": f"{EXT_AUTHZ}ExtAuthzPerRoute", "check_settings": settings}
    return {"typed_per_filter_config": {"ext_authz": config}}


def test_the_cluster_of_an_authorization_service_goes_along_with_every_virtual_host_of_the_chain():
    routes = {"rds": {"route_config_name": "r", "config_source": {"ads": {}}}}
    scene = scene_of(
        virtual_host("h", ["a"], route("a")),
        virtual_host("i", ["i"], route("a")),
        chains=(hcm(**routes, **asking("authz")) | {"name": "c"},),
    )
    scene.say(cluster("a"))
    assert named_in(scene) == ["a"]
    assert {"http/l/c/r/h", "http/l/c/r/i"} <= set(scene.say(cluster("authz")))
    assert named_in(scene) == named_in(scene, "http/l/c/r/i") == ["a", "authz"]
    assert scene.bodies("cluster/authz", "use", xds.ROUTE_ACTION) == {}
    scene.say(listener("l", hcm(**routes, **asking("other")) | {"name": "c"}))
    assert named_in(scene) == ["a"]
    assert scene.say(removal(xds.CLUSTER, "authz")) == ["-cluster/authz"]


def test_the_cluster_of_an_authorization_service_of_a_route_goes_along_with_its_virtual_host():
    entry = {"name": "a", "weight": 1, **asking_instead("of-entry")}
    weighted = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": [entry]}}}
    denying = {"match": {"prefix": "/d"}, "direct_response": {"status": 403}, **asking_instead("of-answer")}
    host = virtual_host("h", ["a"], denying, weighted, route("a") | asking_instead("of-route"), **asking_instead("vh"))
    scene = scene_of(host, virtual_host("i", ["i"], route("a")))
    scene.say(*map(cluster, ["a", "of-entry", "of-answer", "of-route", "vh"]))
    assert named_in(scene) == ["a", "of-answer", "of-entry", "of-route", "vh"]
    assert named_in(scene, "http/l/c/r/i") == ["a"]
    assert scene.say(cluster("vh", type="STATIC")) == ["cluster/vh", "http/l/c/r/h"]


def test_the_cluster_of_an_authorization_service_of_a_route_configuration_goes_along_with_all_of_it():
    host = virtual_host("h", ["a"], route("a"))
    scene = Scene()
    scene.say(listener("l", CHAIN), route_configuration("r", host), cluster("a"), cluster("authz"))
    assert named_in(scene) == ["a"]
    scene.say(route_configuration("r", host, **asking_instead("authz")))
    assert named_in(scene) == ["a", "authz"]
    scene.say(route_configuration("r", host))
    assert named_in(scene) == ["a"]


def dropped(scene: Scene, unit: str = "http/l/c/r/h") -> dict[str, list[int]]:
    """Percentages that clusters drop of the requests to them."""
    found = scene.bodies(unit, "reference", xds.CLUSTER_LOAD_ASSIGNMENT)
    return {name: [one.drop_percentage.numerator for one in found[name].policy.drop_overloads] for name in found}


def overloaded(name: str, percentage: int, *ports: int) -> dict:
    drops = [{"category": "lb", "drop_percentage": {"numerator": percentage}}]
    return {**assignment(name, *ports), "policy": {"drop_overloads": drops, "overprovisioning_factor": 200}}


def test_what_a_cluster_drops_goes_along_without_its_endpoints():
    scene = scene_of(virtual_host("h", ["a"], route("a")))
    scene.say(cluster("a"), endpoints("a", 1))
    assert dropped(scene) == {}
    assert scene.say(change(xds.CLUSTER_LOAD_ASSIGNMENT, overloaded("a", 5, 1))) == ["cluster/a", "http/l/c/r/h"]
    assert dropped(scene) == {"a": [5]}
    assert mirror_targets(scene) == {"a": []}
    assert scene.say(change(xds.CLUSTER_LOAD_ASSIGNMENT, overloaded("a", 5, 2))) == ["cluster/a"]
    assert scene.say(change(xds.CLUSTER_LOAD_ASSIGNMENT, overloaded("a", 6, 2))) == ["cluster/a", "http/l/c/r/h"]
    assert scene.say(endpoints("a", 2)) == ["cluster/a", "http/l/c/r/h"]
    assert dropped(scene) == {}


def test_what_a_cluster_drops_may_stand_in_it():
    scene = scene_of(virtual_host("h", ["a"], route("a", request_mirror_policies=[{"cluster": "a"}])))
    scene.say(cluster("a", type="STATIC", load_assignment=overloaded("a", 7, 9)))
    assert (dropped(scene), mirror_targets(scene)) == ({"a": [7]}, {"a": [9]})
    assert scene.say(cluster("a", type="STATIC", load_assignment=assignment("a", 9))) == ["cluster/a", "http/l/c/r/h"]
    assert (dropped(scene), mirror_targets(scene)) == ({"a": []}, {"a": [9]})
