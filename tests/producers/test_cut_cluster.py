from __future__ import annotations

from producers.cut_cluster import AGGREGATE_CLUSTER
from schemas import xds
from tests.producers.scene import (
    Scene,
    assignment,
    change,
    cluster,
    endpoints,
    listener,
    rds,
    removal,
    route,
    route_configuration,
    secret,
    split,
    tcp,
    virtual_host,
)


def uses(scene: Scene, name: str, type_url: str = xds.ROUTE_ACTION) -> list:
    unit = scene.units[f"cluster/{name}"]
    return [xds.parse(type_url, r.body) for r in unit.resources if (r.role, r.type_url) == ("use", type_url)]


def routed(*routes: dict, **fields) -> Scene:
    scene = Scene()
    scene.say(listener("l", rds("r")), route_configuration("r", virtual_host("h", ["a"], *routes, **fields)))
    return scene


def test_endpoints_come_by_service_name_or_by_the_clusters_name():
    scene = Scene()
    eds = {"eds_config": {"ads": {}}, "service_name": "elsewhere"}
    scene.say(cluster("a"), cluster("b", type="EDS", eds_cluster_config=eds))
    assert scene.say(endpoints("a", 1)) == ["cluster/a"]
    assert scene.say(endpoints("elsewhere", 2)) == ["cluster/b"]
    assert scene.say(endpoints("nobody's", 3)) == []
    assert list(scene.bodies("cluster/b", "subject", xds.CLUSTER_LOAD_ASSIGNMENT)) == ["elsewhere"]
    assert scene.say(removal(xds.CLUSTER_LOAD_ASSIGNMENT, "a")) == ["cluster/a"]


def test_endpoints_inside_the_cluster_are_taken_out_of_it():
    scene = Scene()
    scene.say(cluster("a", type="STRICT_DNS", load_assignment=assignment("other", 1)))
    shown = scene.bodies("cluster/a", "subject", xds.CLUSTER)["a"]
    assert not shown.HasField("load_assignment")
    [inline] = scene.bodies("cluster/a", "subject", xds.CLUSTER_LOAD_ASSIGNMENT).values()
    assert inline.cluster_name == "other"


def test_what_stands_in_an_eds_cluster_is_not_its_endpoints():
    scene = Scene()
    eds = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}
    scene.say(cluster("a", **eds, load_assignment=assignment("a", 1)))
    assert scene.bodies("cluster/a", "subject", xds.CLUSTER_LOAD_ASSIGNMENT) == {}


def test_equal_uses_count_once_and_other_uses_stand_beside():
    scene = routed(route("a", "/1"), route("a", "/2", timeout="3s"), route("a", "/3", auto_host_rewrite=True))
    scene.say(cluster("a"))
    assert [use.auto_host_rewrite.value for use in uses(scene, "a")] == [False, True]


def test_a_use_takes_the_virtual_hosts_retries_and_the_entrys_host():
    weighted = {"clusters": [{"name": "a", "weight": 1, "host_rewrite_literal": "x"}]}
    scene = routed(
        {"match": {"prefix": "/"}, "route": {"weighted_clusters": weighted}}, retry_policy={"retry_on": "5xx"}
    )
    scene.say(cluster("a"))
    [use] = uses(scene, "a")
    assert (use.retry_policy.retry_on, use.host_rewrite_literal) == ("5xx", "x")


def test_routes_that_no_listener_reaches_are_no_use():
    scene = routed(route("a"))
    scene.say(
        cluster("a"), route_configuration("unreached", virtual_host("h", ["*"], route("a", auto_host_rewrite=True)))
    )
    assert len(uses(scene, "a")) == 1
    assert "cluster/a" in scene.say(listener("m", rds("unreached"), port=81))
    assert len(uses(scene, "a")) == 2
    assert scene.say(removal(xds.LISTENER, "m"))[-1] == "cluster/a"
    assert len(uses(scene, "a")) == 1


def test_a_cluster_that_nobody_uses_is_a_unit():
    scene = Scene()
    assert "cluster/a" in scene.say(cluster("a"))
    assert uses(scene, "a") == []


def test_l4_uses_are_reduced_tcp_proxies():
    scene = Scene()
    weighted = {"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1}]}
    metadata = {"filter_metadata": {"envoy.lb": {"v": 1, "w": 1}}}
    weighted["clusters"][1]["metadata_match"] = {"filter_metadata": {"envoy.lb": {"v": 2}}}
    split_chain = tcp("", weighted_clusters=weighted, metadata_match=metadata)
    del split_chain["filters"][0]["typed_config"]["cluster"]
    scene.say(listener("l", tcp("a", max_connect_attempts=3, access_log=[{"name": "x"}])), cluster("a"), cluster("b"))
    scene.say(listener("m", split_chain, port=81))
    assert sorted((use.cluster, use.max_connect_attempts.value) for use in uses(scene, "a", xds.TCP_PROXY)) == [
        ("a", 0),
        ("a", 3),
    ]
    [use] = uses(scene, "b", xds.TCP_PROXY)
    assert xds.to_dict(use)["metadata_match"] == {"filter_metadata": {"envoy.lb": {"v": 2.0, "w": 1.0}}}
    assert (use.stat_prefix, len(use.access_log)) == ("", 0)


def test_a_udp_proxy_uses_its_cluster_in_its_own_way():
    scene = Scene()
    udp = {"@type": xds.UDP_PROXY, "stat_prefix": "s", "cluster": "dns", "idle_timeout": "9s"}
    scene.say(listener("l", listener_filters=[{"name": "udp", "typed_config": udp}]), cluster("dns"))
    [use] = uses(scene, "dns", xds.UDP_PROXY)
    assert (use.cluster, use.idle_timeout.seconds, use.stat_prefix) == ("dns", 9, "")
    assert uses(scene, "dns", xds.TCP_PROXY) == []


def test_another_l4_filter_uses_the_cluster_it_names():
    scene = Scene()
    redis = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
        "stat_prefix": "s",
        "prefix_routes": {"catch_all_route": {"cluster": "cache"}},
    }
    scene.say(listener("l", {"filters": [{"name": "redis", "typed_config": redis}]}), cluster("cache"))
    [use] = uses(scene, "cache", xds.TCP_PROXY)
    assert use.cluster == "cache"


def presenting(name: str, certificate: str = "s"):
    sds = {"tls_certificate_sds_secret_configs": [{"name": certificate, "sds_config": {"ads": {}}}]}
    context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": sds}
    return cluster(name, type="STATIC", transport_socket={"name": "tls", "typed_config": context})


def is_presented(scene: Scene, name: str = "s") -> bool:
    return bool(scene.bodies(f"secret/{name}", "use", xds.UPSTREAM_TLS_CONTEXT))


def test_of_a_certificate_that_a_cluster_presents_it_knows_only_that_it_is_there():
    scene = Scene()
    scene.say(presenting("a"))
    assert scene.say(secret("s", "very private")) == ["secret/s", "cluster/a"]
    [known] = scene.bodies("cluster/a", "reference", xds.SECRET).values()
    assert known.HasField("tls_certificate")
    assert not known.tls_certificate.ListFields()
    assert is_presented(scene)
    assert scene.say(secret("s", "rotated")) == ["secret/s"]
    assert scene.say(removal(xds.SECRET, "s")) == ["cluster/a", "-secret/s"]


def test_what_a_cluster_verifies_by_goes_along_whole():
    scene = Scene()
    authority = {"trusted_ca": {"inline_string": "ca"}}
    common = {"validation_context_sds_secret_config": {"name": "ca", "sds_config": {"ads": {}}}}
    context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": common}
    scene.say(cluster("a", type="STATIC", transport_socket={"name": "tls", "typed_config": context}))
    scene.say(change(xds.SECRET, {"name": "ca", "validation_context": authority}))
    [known] = scene.bodies("cluster/a", "reference", xds.SECRET).values()
    assert known.validation_context.trusted_ca.inline_string == "ca"
    assert not is_presented(scene, "ca")


def test_a_secret_is_presented_from_the_first_cluster_to_the_last():
    scene = Scene()
    scene.say(secret("s"), secret("t"))
    assert not is_presented(scene)
    assert scene.say(presenting("a")) == ["secret/s", "cluster/a"]
    assert scene.say(presenting("b")) == ["cluster/b"]
    assert scene.say(removal(xds.CLUSTER, "a")) == ["-cluster/a"]
    assert is_presented(scene)
    assert scene.say(presenting("b", "t")) == ["secret/t", "cluster/b", "secret/s"]
    assert (is_presented(scene), is_presented(scene, "t")) == (False, True)
    assert scene.say(removal(xds.CLUSTER, "b"), removal(xds.SECRET, "t")) == ["-cluster/b", "-secret/t"]


def test_a_changed_weight_is_no_change_of_the_cluster():
    scene = routed(split(a=1, b=2))
    scene.say(cluster("a"), cluster("b"))
    written = scene.say(route_configuration("r", virtual_host("h", ["a"], split(a=2, b=2))))
    assert [key.partition("/")[0] for key in written] == ["http"]


def test_an_unknown_top_level_type_is_named_in_the_view():
    scene = Scene()
    scene.say(change(xds.SCOPED_ROUTE_CONFIGURATION, {"name": "scope", "route_configuration_name": "r", "key": {}}))
    [sibling] = scene.units["view"].resources
    assert (sibling.role, sibling.name, sibling.body) == ("sibling", "scope", b"")
    assert scene.say(removal(xds.SCOPED_ROUTE_CONFIGURATION, "scope")) == ["view"]
    assert scene.units["view"].resources == ()


def aggregate(name: str, *members: str):
    config = {"@type": xds.TYPE_URL_PREFIX + AGGREGATE_CLUSTER, "clusters": list(members)}
    return cluster(name, cluster_type={"name": "envoy.clusters.aggregate", "typed_config": config})


def members(scene: Scene, name: str) -> tuple[list[str], list[str]]:
    unit = f"cluster/{name}"
    return (
        list(scene.bodies(unit, "reference", xds.CLUSTER)),
        list(scene.bodies(unit, "reference", xds.CLUSTER_LOAD_ASSIGNMENT)),
    )


def test_an_aggregate_carries_its_members_in_its_order_with_their_endpoints():
    scene = Scene()
    service = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}, "service_name": "of-a"}}
    inline = {"type": "STATIC", "load_assignment": assignment("x", 1)}
    scene.say(aggregate("all", "b", "inner", "gone", "b"), aggregate("inner", "a", "all"))
    scene.say(cluster("a", **service), cluster("b", **inline), endpoints("of-a", 2))
    assert members(scene, "all") == (["b", "inner", "a"], ["b", "a"])
    assert members(scene, "inner") == (["a", "all", "b"], ["a", "b"])


def test_a_change_in_a_member_is_one_in_the_aggregate():
    scene = Scene()
    scene.say(aggregate("all", "inner"), aggregate("inner", "a"), cluster("a"))
    changed = ["cluster/a", "cluster/all", "cluster/inner"]
    assert scene.say(endpoints("a", 1)) == changed
    assert scene.say(cluster("a", type="STATIC")) == changed
    assert set(scene.say(removal(xds.CLUSTER, "a"))) == {"-cluster/a", "cluster/all", "cluster/inner"}


def test_a_secret_of_a_member_goes_along():
    scene = Scene()
    common = {"tls_certificate_sds_secret_configs": [{"name": "s", "sds_config": {"ads": {}}}]}
    context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": common}
    socket = {"name": "tls", "typed_config": context}
    scene.say(aggregate("all", "a"), cluster("a", type="STATIC", transport_socket=socket))
    assert {"cluster/a", "cluster/all"} <= set(scene.say(secret("s")))
    assert list(scene.bodies("cluster/all", "reference", xds.SECRET)) == ["s"]
