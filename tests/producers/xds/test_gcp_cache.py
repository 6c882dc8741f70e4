"""Against the caches of go-control-plane, in both variants: what each kind of cache sends, leaves out and forgets."""

from __future__ import annotations

import pytest

from schemas import xds
from tests.producers.xds.dialogue import bad_cluster, bad_listener, cluster, endpoints, listener, routes, secret
from tests.producers.xds.state import SMALLER, STATE, TYPES, WHOLE

ENDPOINTS = [xds.CLUSTER_LOAD_ASSIGNMENT]


async def set_linear(node, *messages):
    """Put everything into linear caches."""
    for type_url in TYPES:
        await node.linear(type_url, *(message for message in messages if xds.type_url_of(message) == type_url))


@pytest.fixture
def accepted(node, attach):
    """Follow until the whole view is there and every response of the stream has been accepted."""

    async def start(port="steady", **how):
        follower = attach(port, **how)
        await follower.until(lambda: follower.names == WHOLE)
        await node.until(lambda: all(node.acks(type_url) for type_url in TYPES))
        return follower

    return start


# Linear, mux and ordered


async def test_a_linear_cache_sends_one_changed_endpoint_alone_and_the_others_stay(node, accepted):
    await set_linear(node, *STATE)
    follower = await accepted()
    await node.linear(*ENDPOINTS, endpoints("a", 81), endpoints("b"))
    await follower.until(follower.moved)
    await node.until(lambda: len(node.acks(*ENDPOINTS)) == 2)
    assert node.of("response", *ENDPOINTS)[-1]["resource_count"] == 1
    assert follower.moved() == [(*ENDPOINTS, "a")]
    assert follower.names == WHOLE


async def test_a_name_that_nothing_refers_to_any_more_is_unsubscribed_and_not_heard_of_again(node, accepted, variant):
    await set_linear(node, *STATE)
    follower = await accepted()
    await node.linear(xds.CLUSTER, cluster("a"))
    await follower.until(lambda: follower.names["ClusterLoadAssignment"] == 1)
    if variant == "delta":
        await node.until(lambda: node.of("request", *ENDPOINTS)[-1].get("unsubscribed") == ["b"])
    else:
        await node.until(lambda: node.of("request", *ENDPOINTS)[-1]["names"] == ["a"])
    count_before = len(node.of("response", *ENDPOINTS))
    await node.linear(*ENDPOINTS, endpoints("a"), endpoints("b", 82))
    await node.linear(*ENDPOINTS, endpoints("a", 83), endpoints("b", 82))
    await follower.until(lambda: "83" in str(follower.image[(*ENDPOINTS, "a")]))
    await node.until(lambda: len(node.of("response", *ENDPOINTS)) > count_before)
    assert len(node.of("response", *ENDPOINTS)) == count_before + 1
    assert (*ENDPOINTS, "b") not in follower.image


async def test_nobody_is_misled_by_endpoints_that_come_after_all_were_unsubscribed(node, accepted):
    """The caches take an empty list of names for all there are (control-planes.md section 6)."""
    await node.snapshot("1", *STATE)
    follower = await accepted()
    static = [cluster(name, is_eds=False) for name in ("a", "b")]
    await node.snapshot("2", *static, *STATE[2:])
    await follower.until(lambda: not follower.names["ClusterLoadAssignment"])
    await node.snapshot("3", *static, endpoints("a", 84), endpoints("b", 84), *STATE[4:6], secret("s", "u"))
    await follower.until(lambda: (xds.SECRET, "s") in follower.moved())
    assert not follower.names["ClusterLoadAssignment"]
    assert not follower.problems
    assert not node.nacks(*ENDPOINTS)


async def test_a_mux_cache_gives_endpoints_from_one_cache_and_the_rest_from_another(node, accepted):
    await node.snapshot("1", *STATE[:2], *STATE[4:])
    await node.linear(*ENDPOINTS, endpoints("a"), endpoints("b"))
    follower = await accepted()
    await node.linear(*ENDPOINTS, endpoints("a", 81), endpoints("b"))
    await follower.until(lambda: follower.moved() == [(*ENDPOINTS, "a")])
    await node.snapshot("2", *STATE[:2], listener("l", "r", secret="s", port=82), *STATE[5:])
    await follower.until(lambda: follower.moved()[1:] == [(xds.LISTENER, "l")])
    assert not follower.problems


async def test_a_server_with_an_order_of_its_own_is_followed_like_any_other(node, accepted):
    await node.snapshot("1", *STATE)
    follower = await accepted("ordered")
    await node.snapshot("2", cluster("a"), cluster("c"), endpoints("a"), endpoints("c"), *STATE[4:])
    await follower.until(lambda: (xds.CLUSTER, "b") not in follower.image and (*ENDPOINTS, "c") in follower.image)
    assert follower.names == WHOLE
    assert not follower.problems


# What a snapshot lacks or has too much of


async def test_a_node_without_a_snapshot_gets_one_later(node, attach):
    follower = attach()
    await follower.until(lambda: any("no answer within 0.3 s for *" in told for told in follower.told()))
    assert not follower.changes
    await node.snapshot("1", *STATE)
    await follower.until(lambda: follower.names == WHOLE)


async def test_endpoints_nobody_refers_to_silence_the_snapshot_cache_and_hold_up_only_endpoints(node, attach, variant):
    """It answers only who asks for all it has, and then only when asked again (cache/v3/simple.go, respond).

    Delta knows no such rule.
    """
    await node.snapshot("1", *STATE, endpoints("z"))
    follower = attach()
    await follower.until(lambda: follower.names["RouteConfiguration"] == 1)
    if variant == "sotw":
        assert not follower.names["ClusterLoadAssignment"]
        assert "ClusterLoadAssignment: no answer within 0.3 s for a, b" in follower.told()[0]
    await node.snapshot("2", *STATE)
    await node.kick("0")
    await follower.until(lambda: follower.names == WHOLE)


async def test_bad_resources_in_the_first_answers_are_rejected_by_name_and_the_good_ones_taken(node, attach):
    good = (cluster("a"), endpoints("a"), *STATE[4:])
    await node.snapshot("1", *good, bad_cluster("b"), bad_listener("k"))
    follower = attach()
    await follower.until(lambda: follower.names == {**WHOLE, "Cluster": 1, "ClusterLoadAssignment": 1})
    await node.until(lambda: node.nacks(xds.CLUSTER) and node.nacks(xds.LISTENER))
    assert node.nacks(xds.CLUSTER)[0].startswith("b: ")
    assert node.nacks(xds.LISTENER)[0] == "k: address is missing"
    await node.snapshot("2", *STATE)
    await follower.until(lambda: follower.names == WHOLE)
    await node.until(lambda: all("error" not in node.of("request", type_url)[-1] for type_url in TYPES))


# Reconnects


async def test_a_reconnect_with_nothing_new_resends_everything_or_only_differences(node, accepted, variant):
    await node.snapshot("1", *STATE)
    follower = await accepted()
    await node.kick("14")
    await node.until(lambda: len(node.of("open")) == 2)
    second = node.of("open")[1]["stream"]
    await node.until(lambda: {e["type_url"] for e in node.of("request") if e["stream"] == second} >= set(TYPES))
    await node.snapshot("2", *STATE[:6], secret("s", "u"))
    await follower.until(follower.moved)
    await node.until(lambda: node.answers(2)["Secret"])
    sent = node.answers(2)
    if variant == "delta":
        first = {e["type_url"]: e for e in reversed(node.of("request")) if e["stream"] == second}
        assert set(first[xds.CLUSTER]["versions"]) == {"a", "b"}
        assert set(first[xds.SECRET]["versions"]) == {"s"}
        assert sent.total() == 1
    else:
        assert all(sent[name] >= count for name, count in WHOLE.items())
    assert follower.moved() == [(xds.SECRET, "s")]


async def test_what_changes_while_nobody_is_connected_arrives_as_the_difference(node, accepted, variant):
    await node.snapshot("1", *STATE)
    follower = await accepted()
    await node.close()
    await follower.until(lambda: follower.problems)
    assert follower.names == WHOLE
    await node.snapshot("2", *STATE[:2], endpoints("a", 81), endpoints("b"), *STATE[4:])
    await node.open()
    await follower.until(follower.moved)
    assert follower.moved() == [(*ENDPOINTS, "a")]
    await node.until(lambda: len(node.of("open")) == 2 and node.answers(2)["ClusterLoadAssignment"])
    assert variant != "delta" or node.answers(2).total() == 1


async def test_what_is_removed_while_nobody_is_connected_goes_once_that_is_confirmed(node, accepted, variant):
    await node.snapshot("1", *STATE)
    follower = await accepted()
    await node.close()
    await follower.until(lambda: follower.problems)
    await node.snapshot("2", *SMALLER)
    await node.open()
    await follower.until(lambda: follower.names == {**WHOLE, "Cluster": 1, "ClusterLoadAssignment": 1})
    assert set(follower.removed()) == {(xds.CLUSTER, "b"), (*ENDPOINTS, "b")}
    await node.until(lambda: len(node.of("open")) == 2 and len(node.of("response", xds.CLUSTER)) == 2)
    if variant == "delta":
        assert node.of("response", xds.CLUSTER)[-1]["removed"] == ["b"]


async def test_a_control_plane_that_has_forgotten_the_node_takes_nothing_away(node, accepted):
    await node.snapshot("1", *STATE)
    follower = await accepted()
    await node.forget()
    await node.kick("14")
    await node.until(lambda: len(node.of("open")) == 2)
    second = node.of("open")[1]["stream"]
    await node.until(lambda: {e["type_url"] for e in node.of("request") if e["stream"] == second} >= set(TYPES))
    assert not follower.moved()
    assert not node.answers(2)
    await node.snapshot("2", *STATE[:5], routes("r", "b"), STATE[6])
    await follower.until(lambda: follower.moved() == [(xds.ROUTE_CONFIGURATION, "r")])


async def test_a_server_that_comes_back_empty_removes_nothing_until_that_is_confirmed(node, accepted):
    await node.snapshot("1", *STATE)
    follower = await accepted()
    await node.close()
    await follower.until(lambda: follower.problems)
    await node.snapshot("2")
    await node.open()
    await follower.until(lambda: any("they stay until that is confirmed" in told for told in follower.told()))
    await node.snapshot("3", *STATE[:5], routes("r", "b"), STATE[6])
    await follower.until(lambda: (xds.ROUTE_CONFIGURATION, "r") in follower.moved())
    assert follower.names == WHOLE
