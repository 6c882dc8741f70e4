from __future__ import annotations

from producers.xds.age import Ages
from schemas import xds


def test_ages_are_told_by_type_and_outlive_a_stream():
    ages = Ages()
    ages.open(1.0)
    assert ages.heard_s == 1.0
    assert ages.described(9.0) == ""
    ages.hear(xds.LISTENER, 2.0)
    ages.hear(xds.CLUSTER, 3.0)
    ages.open(5.0)
    assert ages.heard_s == 5.0
    assert ages.ages_s(10.0) == {xds.CLUSTER: 7.0, xds.LISTENER: 8.0}
    assert ages.described(10.0) == "Cluster 7 s, Listener 8 s"


def test_types_that_nobody_knows_count_together():
    ages = Ages()
    for number in range(100):
        ages.hear(f"type.googleapis.com/made.up{number}", float(number))
    assert ages.ages_s(100.0) == {"other types": 1.0}
