"""A small change changes few objects: exactly those that must, in any view (mapping.md section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import xds
from schemas.records import Unit
from tests.producers import scene
from tests.producers.scene import Scene
from tests.translators.certificate_factory import make_pair
from translators import translate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.source import ResourceChange
    from producers.units import Removal
    from tests.translators.certificate_factory import Pair

CLUSTERS = ("a", "b", "c", "d")
HOSTS = ("one.com", "two.com", "*.three.com", "*")
SNIS = ("one.com", "two.com", "four.com")
PATHS = ("/", "/a", "/a/", "/a/b", "/c")
EDS = {"type": "EDS", "eds_cluster_config": {"eds_config": {"ads": {}}}}


def socket_of(common: dict[str, Any]) -> dict[str, Any]:
    context = {"@type": xds.UPSTREAM_TLS_CONTEXT, "common_tls_context": common}
    return {"transport_socket": {"name": scene.TLS_SOCKET, "typed_config": context}}


BY_SECRET = {
    **EDS,
    **socket_of({"tls_certificate_sds_secret_configs": [{"name": "client", "sds_config": {"ads": {}}}]}),
}
PRESENTING = ("one", "two")
VIEWS = settings(max_examples=150, deadline=None)


@dataclass(frozen=True)
class View:
    """A plain listener of virtual hosts, and one with a certificate per SNI in front of the first of them."""

    virtual_hosts: tuple[tuple[dict[str, Any], ...], ...]
    ports: dict[str, tuple[int, ...]]

    def changes(self) -> list[ResourceChange]:
        chains = [scene.tls(scene.rds("tls"), name, sds=name) for name in SNIS]
        return [
            scene.listener("plain", scene.rds("plain"), port=80),
            scene.listener("tls", *chains, port=443),
            route_configuration(self.virtual_hosts),
            scene.route_configuration("tls", scene.virtual_host("v", ["*"], scene.route("a"))),
            *(scene.cluster(name) for name in CLUSTERS),
            *(scene.cluster(name, **BY_SECRET) for name in PRESENTING),
            *(scene.endpoints(name, *ports) for name, ports in self.ports.items()),
            *(scene.pair_secret(name, make_pair(name)) for name in (*SNIS, "client")),
            inline_cluster(make_pair("inline")),
        ]


def route_configuration(virtual_hosts: tuple[tuple[dict[str, Any], ...], ...]) -> ResourceChange:
    hosts = (scene.virtual_host(f"v{n}", [HOSTS[n]], *routes) for n, routes in enumerate(virtual_hosts))
    return scene.route_configuration("plain", *hosts)


def weights_of(clusters: tuple[str, ...]) -> st.SearchStrategy[dict[str, int]]:
    """Weights of which one at least is not 0, so small that other shares are never the same in 1/65536."""
    weights = st.tuples(*(st.integers(0, 20) for _ in clusters)).filter(any)
    return weights.map(lambda drawn: dict(zip(clusters, drawn, strict=True)))


def actions() -> st.SearchStrategy[dict[str, Any]]:
    """Route actions: to a cluster, split over clusters, with a mirror or with retries."""
    cluster = st.sampled_from(CLUSTERS)
    plain = cluster.map(lambda name: {"cluster": name})
    mirrored = cluster.map(lambda name: {"cluster": "a", "request_mirror_policies": [{"cluster": name}]})
    retried = st.integers(1, 3).map(lambda n: {"cluster": "b", "retry_policy": {"retry_on": "5xx", "num_retries": n}})
    chosen = st.lists(cluster, unique=True, min_size=2, max_size=3).map(tuple)
    split = chosen.flatmap(weights_of).map(split_over)
    return plain | mirrored | retried | split


def split_over(weights: dict[str, int]) -> dict[str, Any]:
    return {"weighted_clusters": {"clusters": [{"name": name, "weight": weight} for name, weight in weights.items()]}}


@st.composite
def route_lists(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    """Routes of which none hides another: each has a header of its own."""
    found = draw(st.lists(st.tuples(st.sampled_from(PATHS), actions()), min_size=1, max_size=5))
    return tuple(
        {"name": f"r{n}", "match": match_of(path, f"x-{n}"), "route": action} for n, (path, action) in enumerate(found)
    )


def match_of(path: str, header: str) -> dict[str, Any]:
    return {"prefix": path, "headers": [{"name": header, "string_match": {"exact": "1"}}]}


def views() -> st.SearchStrategy[View]:
    ports = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(tuple)
    return st.builds(
        View,
        st.lists(route_lists(), min_size=2, max_size=len(HOSTS)).map(tuple),
        st.fixed_dictionaries(dict.fromkeys(CLUSTERS, ports)),
    )


class Difference(NamedTuple):
    """The objects before a change, and those that it added, removed and changed, by key."""

    before: dict[str, dict[str, Any]]
    after: dict[str, dict[str, Any]]

    @property
    def keys(self) -> set[str]:
        return {key for key in self.before.keys() | self.after.keys() if self.before.get(key) != self.after.get(key)}

    def either(self, key: str) -> dict[str, Any]:
        return self.after.get(key) or self.before[key]

    def of(self, directory: str, **labels: str) -> set[str]:
        """Give the keys of all objects of a directory with these labels, changed or not."""
        wanted = {f"xds.{name}": text for name, text in labels.items()}.items()
        both = self.before.keys() | self.after.keys()
        return {
            key for key in both if key.startswith(f"/{directory}/") and wanted <= self.either(key)["labels"].items()
        }


def bundles_of(units: Iterable[Unit | Removal]) -> dict[str, dict[str, dict[str, Any]]]:
    """Translate units: objects by key, by the key of their unit; of one that is removed there are none."""
    return {
        unit.key: {found.key: orjson.loads(found.value) for found in translate(unit).objects}
        if isinstance(unit, Unit)
        else {}
        for unit in units
    }


def joined(bundles: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {key: value for objects in bundles.values() for key, value in objects.items()}


def difference(view: View, *changes: ResourceChange) -> Difference:
    """Tell a producer of a view, then of changes one after the other; the last one's difference."""
    told = Scene()
    told.say(*view.changes())
    *earlier, last = changes
    for change in earlier:
        told.say(change)
    before = bundles_of(told.units.values())
    return Difference(joined(before), joined({**before, **bundles_of(told.written(last))}))


def changed_route(view: View, host: int, position: int, route: dict[str, Any] | None) -> ResourceChange:
    """Put another route in a route's place, or nothing."""
    routes = list(view.virtual_hosts[host])
    routes[position : position + 1] = [route] if route else []
    hosts = (*view.virtual_hosts[:host], tuple(routes), *view.virtual_hosts[host + 1 :])
    return route_configuration(hosts)


def drawn_place(data: st.DataObject, view: View) -> tuple[int, int]:
    host = data.draw(st.integers(0, len(view.virtual_hosts) - 1))
    return host, data.draw(st.integers(0, len(view.virtual_hosts[host]) - 1))


def own_routes(found: Difference, host: int, name: str) -> set[str]:
    routes = found.of("routes", vh=f"v{host}")
    return {key for key in routes if found.either(key)["name"].startswith(f"plain/v{host}/{name}#")}


def volatile(keys: set[str]) -> set[str]:
    """Give the keys of the volatile plugins of routes."""
    return {f"/plugin_configs/{key.removeprefix('/routes/')}.v" for key in keys}


def clusters_of(action: dict[str, Any]) -> set[str]:
    """Give the clusters that an action leads to."""
    if "cluster" in action:
        return {action["cluster"]}
    return {entry["name"] for entry in action["weighted_clusters"]["clusters"]}


def has_only_moved(found: Difference, key: str, *paths: str) -> bool:
    """Whether a route is the same but for its priority and for being found below these paths too."""
    before, after = found.before.get(key), found.after.get(key)
    if before is None or after is None:
        return False
    is_same = {**before, "priority": 0, "uris": []} == {**after, "priority": 0, "uris": []}
    return is_same and set(before["uris"]) ^ set(after["uris"]) <= {f"{path}*" for path in paths}


@VIEWS
@given(views(), st.data())
def test_a_weight_changes_the_volatile_plugins_of_its_route_and_nothing_else(view: View, data: st.DataObject):
    host, position = drawn_place(data, view)
    old, new = (data.draw(weights_of(("a", "b", "c"))) for _ in range(2))
    route = view.virtual_hosts[host][position]
    base = changed_route(view, host, position, {**route, "route": split_over(old)})
    found = difference(view, base, changed_route(view, host, position, {**route, "route": split_over(new)}))
    own = own_routes(found, host, route["name"])
    assert len(own) == 1
    assert found.keys == (volatile(own) if is_other_share(old, new) else set())


def is_other_share(old: dict[str, int], new: dict[str, int]) -> bool:
    return any(old[name] * sum(new.values()) != new[name] * sum(old.values()) for name in old)


@VIEWS
@given(views(), st.data())
def test_an_endpoint_changes_the_upstreams_of_its_cluster_and_the_address_of_copies(view: View, data: st.DataObject):
    cluster = data.draw(st.sampled_from(CLUSTERS))
    found = difference(view, scene.endpoints(cluster, 10, *view.ports[cluster][1:]))
    actions_of_view = [route["route"] for routes in view.virtual_hosts for route in routes]
    upstreams = found.of("upstreams", cluster=cluster)
    assert bool(upstreams) == (cluster in {"a"}.union(*map(clusters_of, actions_of_view)))
    copying = found.keys - upstreams
    assert upstreams <= found.keys
    assert bool(copying) == any({"cluster": cluster} in a.get("request_mirror_policies", ()) for a in actions_of_view)
    assert all(key.startswith("/plugin_configs/") and key.endswith(".v") for key in copying)
    for key in copying:
        (before, after) = ({**state[key]["plugins"], "proxy-mirror": None} for state in (found.before, found.after))
        assert before == after


@VIEWS
@given(views(), st.sampled_from(SNIS))
def test_a_secret_changes_its_ssl_object_and_nothing_else(view: View, name: str):
    found = difference(view, scene.pair_secret(name, make_pair(f"new.{name}")))
    (key,) = found.keys
    assert key.startswith("/ssls/")
    assert found.after[key]["snis"] == [name]


@VIEWS
@given(views(), st.sampled_from(("by-secret", "inline")))
def test_a_certificate_that_clusters_present_changes_its_ssl_object_and_nothing_else(view: View, way: str):
    pair = make_pair("renewed")
    renewed = scene.pair_secret("client", pair) if way == "by-secret" else inline_cluster(pair)
    found = difference(view, to_all_presenting(), renewed)
    (key,) = found.keys
    assert found.before[key]["type"] == found.after[key]["type"] == "client"
    using = {name for name in found.of("upstreams") if found.either(name).get("tls")}
    ids = {found.either(name)["tls"]["client_cert_id"] for name in using}
    assert key.removeprefix("/ssls/") in ids
    assert (len(using), len(ids)) == (3, 2)


def to_all_presenting() -> ResourceChange:
    routes = [scene.route(name, f"/{name}") for name in (*PRESENTING, "inline")]
    return scene.route_configuration("tls", scene.virtual_host("v", ["*"], *routes))


def inline_cluster(pair: Pair) -> ResourceChange:
    certificate = {"certificate_chain": {"inline_string": pair.cert}, "private_key": {"inline_string": pair.key}}
    return scene.cluster("inline", **EDS, **socket_of({"tls_certificates": [certificate]}))


@VIEWS
@given(views(), st.data())
def test_what_a_route_adds_to_requests_changes_its_own_object_and_nothing_else(view: View, data: st.DataObject):
    host, position = drawn_place(data, view)
    route = view.virtual_hosts[host][position]
    header = {"header": {"key": "x-new", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    found = difference(view, changed_route(view, host, position, {**route, "request_headers_to_add": [header]}))
    assert found.keys == own_routes(found, host, route["name"])
    assert len(found.keys) == 1


@VIEWS
@given(views(), st.data())
def test_a_routes_cluster_changes_its_own_objects_and_upstreams_of_the_clusters(view: View, data: st.DataObject):
    host, position = drawn_place(data, view)
    route = view.virtual_hosts[host][position]
    found = difference(view, changed_route(view, host, position, {**route, "route": data.draw(actions())}))
    own = own_routes(found, host, route["name"])
    assert found.keys <= own | volatile(own) | found.of("upstreams")
    assert all(key not in found.before or key not in found.after for key in found.keys & found.of("upstreams"))


@VIEWS
@given(views(), st.data())
def test_a_routes_match_changes_its_own_object_and_moves_others_of_its_virtual_host(view: View, data: st.DataObject):
    host, position = drawn_place(data, view)
    route = view.virtual_hosts[host][position]
    path = data.draw(st.sampled_from(PATHS))
    match = match_of(path, "x-new")
    found = difference(view, changed_route(view, host, position, {**route, "match": match}))
    own = own_routes(found, host, route["name"])
    assert own <= found.keys
    assert found.keys - own <= found.of("routes", vh=f"v{host}")
    assert all(has_only_moved(found, key, route["match"]["prefix"], path) for key in found.keys - own)


@VIEWS
@given(views(), st.data())
def test_a_route_that_goes_takes_its_own_objects_and_moves_others_of_its_virtual_host(view: View, data: st.DataObject):
    host, position = drawn_place(data, view)
    route = view.virtual_hosts[host][position]
    found = difference(view, changed_route(view, host, position, None))
    own = own_routes(found, host, route["name"])
    assert own
    assert not own & found.after.keys()
    rest = found.keys - own - volatile(own) - found.of("upstreams")
    assert rest <= found.of("routes", vh=f"v{host}")
    assert all(has_only_moved(found, key, route["match"]["prefix"]) for key in rest)
