from __future__ import annotations

from typing import Any

import pytest

from tests.translators.unit_outcome import cluster_outcome, lb_endpoint, locality

WEIGHTED = {"common_lb_config": {"locality_weighted_lb_config": {}}}


def nodes(*localities: dict[str, Any], cluster: dict[str, Any] | None = None, **options: Any) -> list[tuple[Any, ...]]:
    found = cluster_outcome(cluster or {}, list(localities), **options).value["nodes"]
    return [(node["host"], node["port"], node["weight"], node["priority"]) for node in found]


def sick(address: str, health: str = "UNHEALTHY", **fields: Any) -> dict[str, Any]:
    return lb_endpoint(address, health_status=health, **fields)


def test_ipv6_addresses_are_in_brackets_and_canonical():
    assert nodes(locality(lb_endpoint("2001:DB8:0::1"))) == [("[2001:db8::1]", 80, 1, 0)]


def test_priorities_count_the_other_way():
    found = nodes(locality(lb_endpoint("10.0.0.1"), priority=1), locality(lb_endpoint("10.0.0.2")))
    assert found == [("10.0.0.2", 80, 1, 0), ("10.0.0.1", 80, 1, -1)]


def test_degraded_endpoints_come_after_all_priorities():
    found = nodes(
        locality(lb_endpoint("10.0.0.1"), sick("10.0.0.2", "DEGRADED")), locality(lb_endpoint("10.0.0.3"), priority=1)
    )
    assert found == [("10.0.0.1", 80, 1, 0), ("10.0.0.3", 80, 1, -1), ("10.0.0.2", 80, 1, -2)]


def test_weights_have_no_common_divisor():
    found = nodes(
        locality(lb_endpoint("10.0.0.1", load_balancing_weight=50), lb_endpoint("10.0.0.2", load_balancing_weight=150))
    )
    assert [weight for _, _, weight, _ in found] == [1, 3]


def test_a_duplicate_adds_its_weight():
    found = nodes(locality(lb_endpoint("10.0.0.1", load_balancing_weight=2), lb_endpoint("10.0.0.1")))
    assert found == [("10.0.0.1", 80, 1, 0)]
    two = nodes(locality(lb_endpoint("10.0.0.1"), lb_endpoint("10.0.0.1"), lb_endpoint("10.0.0.2")))
    assert [weight for _, _, weight, _ in two] == [2, 1]


def test_one_address_may_stand_in_two_priorities():
    assert len(nodes(locality(lb_endpoint("10.0.0.1")), locality(lb_endpoint("10.0.0.1"), priority=1))) == 2


@pytest.mark.parametrize("health", ["UNHEALTHY", "TIMEOUT", "DRAINING"])
def test_sick_endpoints_are_dropped(health: str):
    found = nodes(locality(lb_endpoint("10.0.0.1"), lb_endpoint("10.0.0.2"), sick("10.0.0.3", health)))
    assert [host for host, *_ in found] == ["10.0.0.1", "10.0.0.2"]


def test_in_panic_all_endpoints_are_used():
    mostly_sick = locality(lb_endpoint("10.0.0.1"), sick("10.0.0.2"), sick("10.0.0.3"))
    assert len(nodes(mostly_sick)) == 3
    calm = {"common_lb_config": {"healthy_panic_threshold": {"value": 10}}}
    assert len(nodes(mostly_sick, cluster=calm)) == 1


def test_panic_can_be_switched_off():
    all_sick = locality(sick("10.0.0.1"))
    assert len(nodes(all_sick)) == 1
    assert nodes(all_sick, cluster={"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}) == []
    failing = {"common_lb_config": {"zone_aware_lb_config": {"fail_traffic_on_panic": True}}}
    assert nodes(all_sick, cluster=failing) == []


def test_a_healthy_second_priority_prevents_panic_in_the_first():
    found = nodes(locality(sick("10.0.0.1")), locality(lb_endpoint("10.0.0.2"), priority=1))
    assert [host for host, *_ in found] == ["10.0.0.2"]


def test_the_overprovisioning_factor_counts():
    half = locality(lb_endpoint("10.0.0.1"), sick("10.0.0.2"), sick("10.0.0.3"))
    options = {"assignment": {"policy": {"overprovisioning_factor": 300}}}
    assert len(nodes(half, **options)) == 1


def test_locality_weights_mean_nothing_by_themselves():
    found = nodes(
        locality(lb_endpoint("10.0.0.1"), load_balancing_weight=9, locality={"zone": "a"}),
        locality(lb_endpoint("10.0.0.2"), load_balancing_weight=1, locality={"zone": "b"}),
    )
    assert [weight for _, _, weight, _ in found] == [1, 1]


def test_localities_share_by_their_weights_when_asked_to():
    found = nodes(
        locality(lb_endpoint("10.0.0.1"), lb_endpoint("10.0.0.2"), load_balancing_weight=1, locality={"zone": "a"}),
        locality(lb_endpoint("10.0.0.3"), load_balancing_weight=3, locality={"zone": "b"}),
        locality(lb_endpoint("10.0.0.4"), locality={"zone": "no weight, no traffic"}),
        cluster=WEIGHTED,
    )
    assert [(host, weight) for host, _, weight, _ in found] == [("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 6)]


def test_a_sick_locality_gets_less():
    found = nodes(
        locality(lb_endpoint("10.0.0.1"), sick("10.0.0.2"), load_balancing_weight=1, locality={"zone": "a"}),
        locality(lb_endpoint("10.0.0.3"), lb_endpoint("10.0.0.4"), load_balancing_weight=1, locality={"zone": "b"}),
        cluster=WEIGHTED,
    )
    assert [(host, weight) for host, _, weight, _ in found] == [("10.0.0.1", 7), ("10.0.0.3", 5), ("10.0.0.4", 5)]


def test_in_panic_localities_are_forgotten():
    found = nodes(
        locality(sick("10.0.0.1"), load_balancing_weight=1, locality={"zone": "a"}),
        locality(sick("10.0.0.2"), load_balancing_weight=5, locality={"zone": "b"}),
        cluster=WEIGHTED,
    )
    assert [weight for _, _, weight, _ in found] == [1, 1]


def test_large_weights_are_scaled_down():
    heavy = locality(lb_endpoint("10.0.0.1", load_balancing_weight=4_000_000_001), lb_endpoint("10.0.0.2"))
    found = cluster_outcome({}, [heavy])
    assert [node["weight"] for node in found.value["nodes"]] == [65535, 1]
    assert found.codes == ["EP-WEIGHT"]
    use = {"hash_policy": [{"connection_properties": {"source_ip": True}}]}
    hashed = cluster_outcome({"lb_policy": "MAGLEV"}, [heavy], uses=(use,)).value["nodes"]
    assert [node["weight"] for node in hashed] == [100, 1]
