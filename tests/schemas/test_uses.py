from __future__ import annotations

import pytest

from schemas import xds
from schemas.uses import is_plain, reduce_use


def action(**fields):
    return xds.from_json(fields, xds.message_class(xds.ROUTE_ACTION)())


def virtual_host(**fields):
    return xds.from_json(fields, xds.message_class(xds.VIRTUAL_HOST)())


def test_only_what_shapes_an_upstream_stays():
    use = reduce_use(action(cluster="c", prefix_rewrite="/x", host_rewrite_literal="h", timeout="3s"))
    assert xds.to_dict(use) == {"host_rewrite_literal": "h"}


def test_a_timeout_stays_beside_a_retry_policy():
    use = reduce_use(action(cluster="c", timeout="3s", retry_policy={"retry_on": "5xx"}))
    assert xds.to_dict(use) == {"timeout": "3s", "retry_policy": {"retry_on": "5xx"}}


def test_the_virtual_host_gives_the_default_retry_policy_and_the_route_replaces_it_whole():
    host = virtual_host(retry_policy={"retry_on": "reset", "num_retries": 4})
    assert reduce_use(action(cluster="c"), host).retry_policy.num_retries.value == 4
    own = reduce_use(action(cluster="c", retry_policy={"retry_on": "5xx"}), host)
    assert xds.to_dict(own) == {"retry_policy": {"retry_on": "5xx"}}


def test_a_weighted_entry_replaces_the_host_and_merges_the_metadata_match():
    entry = xds.message_class("envoy.config.route.v3.WeightedCluster.ClusterWeight")()
    entry.host_rewrite_literal = "entry"
    entry.metadata_match.filter_metadata["envoy.lb"].update({"v": "1"})
    base = action(host_rewrite_literal="route", metadata_match={"filter_metadata": {"envoy.lb": {"s": "x"}}})
    use = reduce_use(base, None, entry)
    assert use.host_rewrite_literal == "entry"
    assert xds.to_dict(use)["metadata_match"]["filter_metadata"]["envoy.lb"] == {"v": "1", "s": "x"}


def test_the_action_is_not_changed():
    given = action(cluster="c", retry_policy={"retry_on": "5xx"})
    before = given.SerializeToString()
    reduce_use(given, virtual_host(retry_policy={"retry_on": "reset"}))
    assert given.SerializeToString() == before


ROUTES = {
    "plain": {"cluster": "c", "timeout": "3s", "prefix_rewrite": "/x", "priority": "HIGH"},
    "retries": {"retry_policy": {"retry_on": "5xx"}},
    "subset": {"metadata_match": {"filter_metadata": {"envoy.lb": {"s": "x"}}}},
    "host": {"host_rewrite_literal": "h"},
    "auto host": {"auto_host_rewrite": True},
    "hash": {"hash_policy": [{"header": {"header_name": "x"}}]},
}
ENTRIES = {
    "none": None,
    "plain": {"name": "c", "weight": 1},
    "host": {"name": "c", "host_rewrite_literal": "h"},
    "subset": {"name": "c", "metadata_match": {"filter_metadata": {"envoy.lb": {"s": "x"}}}},
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("has_retries", [False, True])
def test_what_is_plain_reduces_to_nothing_and_all_else_to_something(route: str, entry: str, *, has_retries: bool):
    host = virtual_host(**({"retry_policy": {"retry_on": "reset"}} if has_retries else {}))
    built = None
    if ENTRIES[entry] is not None:
        kind = xds.message_class("envoy.config.route.v3.WeightedCluster.ClusterWeight")
        built = xds.from_json(ENTRIES[entry], kind())
    use = reduce_use(action(**ROUTES[route]), host, built)
    assert is_plain(action(**ROUTES[route]), host, built) == (not use.ListFields())
