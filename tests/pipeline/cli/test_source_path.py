from __future__ import annotations

from typing import Any

import pytest

from pipeline.cli.source_path import SourcePaths
from producers.source import ResourceChange
from schemas import xds
from tests.translators.unit_outcome import message
from translators.where import Where

TLS = {"name": "tls", "typed_config": {"@type": xds.DOWNSTREAM_TLS_CONTEXT}}
HOSTS = [{"name": "shop", "domains": ["*"], "routes": [{"match": {"prefix": "/"}}, {"name": "b"}]}]


def change(type_url: str, data: dict[str, Any]) -> ResourceChange:
    name = data.get("name") or data["cluster_name"]
    return ResourceChange(type_url, name, message(type_url, data))


def chain(route_config: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    specifier = {"route_config": route_config} if route_config is not None else {"rds": {"route_config_name": "9080"}}
    hcm = {"@type": xds.HTTP_CONNECTION_MANAGER, "stat_prefix": "a", **specifier}
    return {"filters": [{"name": "hcm", "typed_config": hcm}], **fields}


WEB = change(
    xds.LISTENER,
    {
        "name": "web/1",
        "filter_chains": [
            chain(name="main", transport_socket=TLS),
            chain({"virtual_hosts": HOSTS}, filter_chain_match={"server_names": ["a"]}, transport_socket=TLS),
            {"name": "raw", "filters": [{"name": "tcp"}]},
        ],
        "default_filter_chain": chain({"name": "inner"}),
    },
)
ROUTES = change(xds.ROUTE_CONFIGURATION, {"name": "9080", "virtual_hosts": HOSTS})
CLUSTER = change(xds.CLUSTER, {"name": "c", "load_assignment": {"cluster_name": "eds"}})


def hashed() -> str:
    """The id that cutting gives to the chain without a name."""
    from producers.chain import chain_ids

    return [chain_id for chain_id, _ in chain_ids(WEB.body)][1]


@pytest.mark.parametrize(
    ("type_url", "name", "path", "text"),
    [
        (
            xds.ROUTE_CONFIGURATION,
            "9080",
            "virtual_hosts[a].routes[0]",
            "route_config[9080].virtual_hosts[a].routes[0]",
        ),
        (xds.LISTENER, "web/1", "filter_chains[main]", "listener[web/1].filter_chains[main]"),
        (
            xds.LISTENER,
            "web/1",
            "filter_chains[main].http_connection_manager.http_filters[x]",
            "listener[web/1].filter_chains[main].filters[hcm].http_filters[x]",
        ),
        (
            xds.LISTENER,
            "web/1",
            "filter_chains[HASH].http_connection_manager",
            "listener[web/1].filter_chains[1].filters[hcm]",
        ),
        (
            xds.LISTENER,
            "web/1",
            "filter_chains[1].http_connection_manager",
            "listener[web/1].filter_chains[1].filters[hcm]",
        ),
        (
            xds.LISTENER,
            "web/1",
            "filter_chains[HASH].transport_socket",
            "listener[web/1].filter_chains[1].transport_socket",
        ),
        (
            xds.LISTENER,
            "web/1",
            "filter_chains[default].http_connection_manager.codec_type",
            "listener[web/1].default_filter_chain.filters[hcm].codec_type",
        ),
        (
            xds.DOWNSTREAM_TLS_CONTEXT,
            "web/1/main",
            "common_tls_context",
            "listener[web/1].filter_chains[main].transport_socket.common_tls_context",
        ),
        (xds.DOWNSTREAM_TLS_CONTEXT, "web/1/HASH", "", "listener[web/1].filter_chains[1].transport_socket"),
        (
            xds.ROUTE_CONFIGURATION,
            "web/1/HASH",
            "virtual_hosts[a]",
            "listener[web/1].filter_chains[1].filters[hcm].route_config.virtual_hosts[a]",
        ),
        (xds.ROUTE_CONFIGURATION, "inner", "", "listener[web/1].default_filter_chain.filters[hcm].route_config"),
        (xds.CLUSTER, "c", "lb_policy", "cluster[c].lb_policy"),
        (xds.CLUSTER_LOAD_ASSIGNMENT, "eds", "endpoints[0]", "cluster[c].load_assignment.endpoints[0]"),
        (xds.CLUSTER_LOAD_ASSIGNMENT, "other", "", "load_assignment[other]"),
        (xds.SECRET, "s", "", "secret[s]"),
        (xds.SCOPED_ROUTE_CONFIGURATION, "s", "", "scoped_route_configuration[s]"),
        ("", "http/web", "objects[/routes/x]", "http/web.objects[/routes/x]"),
    ],
)
def test_places_in_the_sources_own_words(type_url: str, name: str, path: str, text: str):
    paths = SourcePaths([WEB, ROUTES, CLUSTER])
    at = Where(type_url, name.replace("HASH", hashed()), path.replace("HASH", hashed()))
    assert paths.text(at) == text


def test_two_of_one_name_are_not_guessed_at():
    """Inline RouteConfigurations often share a name; a resource of that name comes before them."""
    named = chain({"name": "local"})
    two = [change(xds.LISTENER, {"name": name, "filter_chains": [named]}) for name in ("a", "b")]
    at = Where(xds.ROUTE_CONFIGURATION, "local", "virtual_hosts[x]")
    assert SourcePaths(two).text(at) == "route_config[local].virtual_hosts[x]"
    known = change(xds.ROUTE_CONFIGURATION, {"name": "local"})
    assert SourcePaths([two[0], known]).text(at) == "route_config[local].virtual_hosts[x]"
    assert SourcePaths([two[0]]).text(at).startswith("listener[a].filter_chains[0].filters[hcm].route_config.")


def test_everything_with_a_fate_is_listed_once_outer_before_inner():
    found = [found.path for found in SourcePaths([WEB, ROUTES, CLUSTER]).objects()]
    assert found == [
        "cluster[c]",
        "listener[web/1]",
        "listener[web/1].filter_chains[main]",
        "listener[web/1].filter_chains[1]",
        "listener[web/1].filter_chains[raw]",
        "listener[web/1].default_filter_chain",
        "route_config[9080]",
        "route_config[9080].virtual_hosts[shop]",
        "route_config[9080].virtual_hosts[shop].routes[0]",
        "route_config[9080].virtual_hosts[shop].routes[b]",
        "listener[web/1].filter_chains[1].filters[hcm].route_config",
        "listener[web/1].filter_chains[1].filters[hcm].route_config.virtual_hosts[shop]",
        "listener[web/1].filter_chains[1].filters[hcm].route_config.virtual_hosts[shop].routes[0]",
        "listener[web/1].filter_chains[1].filters[hcm].route_config.virtual_hosts[shop].routes[b]",
        "listener[web/1].default_filter_chain.filters[hcm].route_config",
    ]


def test_every_object_stands_where_its_place_says():
    paths = SourcePaths([WEB, ROUTES, CLUSTER])
    assert all(paths.text(found.place) == found.path for found in paths.objects())


def test_a_removal_has_no_place():
    assert list(SourcePaths([ResourceChange(xds.CLUSTER, "c", None)]).objects()) == []
