"""The translation against the real Envoy: what differs is diagnosed or documented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.oracle.account import LIMITS, hcm_of, virtual_hosts_of
from tests.oracle.envoy_process import Upstreams
from tests.oracle.fidelity import oracle_route, translated
from tests.oracle.fidelity import run as run_cases
from tests.oracle.generate import CLUSTERS, generate

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = (1, 2, 3, 4)
SEED_COUNT = 50
FEWEST_EQUAL = {1: 1.0, 2: 0.87, 3: 0.86, 4: 0.77}
"""Share of requests with the very same outcome, where no filter is in the way: were everything diagnosed, nothing would
be compared."""
FEWEST_EQUAL_FILTERED = {1: 0.0, 2: 0.76, 3: 0.65, 4: 0.65}
"""The same where filters refuse, or fail closed, in words of their own; there are none at level 1."""


@pytest.mark.parametrize("level", LEVELS)
async def test_no_difference_is_silent(level: int, tmp_path: Path):
    report = await run_cases([(level, seed) for seed in range(SEED_COUNT)], tmp_path)
    assert not report.defects, "\n".join(str(defect) for defect in report.defects[:10])
    assert report.plain_equal_share >= FEWEST_EQUAL[level]
    assert report.filtered_equal_share >= FEWEST_EQUAL_FILTERED[level]


async def test_a_broken_translation_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The comparison sees a route that went to another cluster."""
    scene = generate(1, 0, [1, 2])
    assert translated(scene, []).node
    monkeypatch.setattr("tests.oracle.fidelity.translated", _with_swapped_clusters)
    report = await run_cases([(1, 0)], tmp_path)
    assert report.defects
    assert all("cluster" in defect.aspects for defect in report.defects)


def _with_swapped_clusters(scene, clusters):
    swapped = [{**one, "name": other["name"]} for one, other in zip(clusters, clusters[1:] + clusters[:1], strict=True)]
    for one in swapped:
        one["load_assignment"] = {**one["load_assignment"], "cluster_name": one["name"]}
    return translated(scene, swapped)


def test_draws_reach_every_weighted_cluster_and_no_other():
    """Envoy draws at random, so it can only tell that what it chose is possible; this is the other direction."""
    ports = {1000 + index: name for index, name in enumerate(CLUSTERS)}
    clusters = Upstreams({name: port for port, name in ports.items()}).clusters()
    checked = 0
    for seed in range(400):
        scene = generate(2, seed, [1, 2])
        (port,) = {request.port for request in scene.requests}
        routes = {route["name"]: route for one in virtual_hosts_of(scene, port) for route in one["routes"]}
        has_draw = any("runtime_fraction" in route["match"] for route in routes.values())
        if has_draw or len(hcm_of(scene, port)["http_filters"]) > 1:
            continue  # a draw of its own decides there which route is taken, or a filter may answer
        translation = translated(scene, clusters)
        for request in scene.requests:
            chosen = routes.get(oracle_route(scene, request), {}).get("route", {}).get("weighted_clusters")
            if chosen is not None:
                drawn = {ports.get(answer.upstream_port, "") for answer in translation.answers(request)}
                weighted = {entry["name"] for entry in chosen["clusters"] if entry["weight"]}
                assert drawn == weighted or _requires_tls(scene, port), (seed, request)
                checked += len(weighted) > 1
    assert checked > 50


def _requires_tls(scene, port):
    return any("require_tls" in one for one in virtual_hosts_of(scene, port))


@pytest.mark.parametrize("level", LEVELS)
def test_a_seed_is_a_case(level: int):
    assert generate(level, 7, [1, 2]) == generate(level, 7, [1, 2])
    assert generate(level, 7, [1, 2]) != generate(level, 8, [1, 2])


def test_every_limit_names_its_section():
    assert all(limit.section and limit.about for limit in LIMITS)
