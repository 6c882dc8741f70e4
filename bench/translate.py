"""How fast units become bundles, in one process on one core.

The figure beside ours is the floor of the same run: parse the unit's resources and write them as JSON with protobuf's
own converter, which is what any translator in Python has to do at least.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf.json_format import MessageToDict

from bench.ingest_peer import CLUSTER_COUNT, HTTP_LISTENER_COUNT, cluster_name, endpoints, view
from bench.table import Figure, print_figures
from producers.image import Image
from producers.intake import Intake
from producers.source import Changes, ResourceChange
from producers.units import Cutter
from schemas import xds
from schemas.records import Unit, UnitKind
from translators import translate
from translators.policy import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MIN_SECONDS = 1.5
CURVE = (100, 500, 1000, 5000, 10_000)
GROWTH_UNITS = 100_000
SMALL_VIEW_SERVICES = 100
MIB = 1 << 20
ROUTER = {"@type": xds.TYPE_URL_PREFIX + "envoy.extensions.filters.http.router.v3.Router"}


def units_of(resources: Iterable[xds.Message]) -> list[Unit]:
    """Cut resources into units."""
    image = Image()
    changes = tuple(ResourceChange(xds.type_url_of(one), name_of(one), one) for one in resources)
    admission = Intake(None).admit(Changes(changes, is_complete=True, source="bench"), 0)
    written = Cutter("bench", image).apply(image.replay(admission.replacements))
    return [unit for unit in written if isinstance(unit, Unit)]


def name_of(message: xds.Message) -> str:
    """Give a resource's name."""
    return str(message.cluster_name if "cluster_name" in message.DESCRIPTOR.fields_by_name else message.name)


def virtual_hosts(host_count: int, route_count: int) -> list[Unit]:
    """Give the units of virtual hosts: prefixes and exact paths, one in three routes with a header or a split."""
    hosts = [
        {
            "name": f"host-{number}",
            "domains": [f"host-{number}.example", f"*.host-{number}.example"],
            "routes": [route(number, index) for index in range(route_count)],
        }
        for number in range(host_count)
    ]
    hcm = {
        "@type": xds.HTTP_CONNECTION_MANAGER,
        "stat_prefix": "web",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": ROUTER}],
        "rds": {"route_config_name": "web", "config_source": {"ads": {}}},
    }
    listener = {
        "name": "web",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},  # noqa: S104 - data
        "filter_chains": [{"name": "main", "filters": [{"name": "hcm", "typed_config": hcm}]}],
    }
    clusters = [{"name": f"c{number}", "type": "STATIC", "connect_timeout": "1s"} for number in range(10)]
    built = [
        message(xds.LISTENER, listener),
        message(xds.ROUTE_CONFIGURATION, {"name": "web", "virtual_hosts": hosts}),
        *(message(xds.CLUSTER, cluster) for cluster in clusters),
    ]
    return [unit for unit in units_of(built) if unit.kind is UnitKind.HTTP and unit.params["virtual_host"] != "*"]


def route(host: int, index: int) -> dict[str, Any]:
    """Give the route of an index."""
    match: dict[str, Any] = {"prefix": f"/api/v{index}/"} if index % 5 else {"path": f"/exact/{index}"}
    action: dict[str, Any] = {"cluster": f"c{(host + index) % 10}", "timeout": "5s"}
    if index % 3 == 1:
        match["headers"] = [{"name": "x-canary", "string_match": {"exact": "always"}}]
    if index % 3 == 2:
        shares = [{"name": "c1", "weight": 90}, {"name": "c2", "weight": 10}]
        action = {"weighted_clusters": {"clusters": shares}, "prefix_rewrite": "/"}
    headers = [{"header": {"key": "x-route", "value": f"r{index}"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    return {"name": f"r{index}", "match": match, "route": action, "request_headers_to_add": headers}


def message(type_url: str, data: dict[str, Any]) -> xds.Message:
    """Build a message from proto3 JSON."""
    return xds.from_json(data, xds.message_class(type_url)())


def rate(step: Callable[[Unit], object], units: Sequence[Unit]) -> float:
    """Give units per second of CPU, over at least MIN_SECONDS."""
    for unit in units[:50]:
        step(unit)
    gc.collect()
    begin = time.process_time()
    for done, unit in enumerate(cycle(units), 1):
        step(unit)
        if done % 20 == 0 and time.process_time() - begin > MIN_SECONDS:
            return done / (time.process_time() - begin)
    raise ValueError("no units")


def translated(unit: Unit) -> object:
    """Translate under the default policy."""
    return translate(unit, DEFAULT)


def as_json(unit: Unit) -> object:
    """The floor: parse and write as JSON."""
    parsed = (xds.parse(resource.type_url, resource.body) for resource in unit.resources if resource.body)
    return [orjson.dumps(MessageToDict(one, descriptor_pool=xds.pool())) for one in parsed]


def seconds(step: Callable[[Unit], object], units: Sequence[Unit]) -> float:
    """Give the CPU seconds of one pass."""
    gc.collect()
    begin = time.process_time()
    for unit in units:
        step(unit)
    return time.process_time() - begin


def resident_bytes() -> int:
    """Give the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth_bytes(units: Sequence[Unit], total: int) -> int:
    """Give by how much memory grows while units are translated, after a tenth of them."""
    numbers = count()
    stream = cycle(units)
    before = 0
    for number in numbers:
        translated(next(stream))
        if number == total // 10:
            gc.collect()
            before = resident_bytes()
        if number >= total:
            break
    gc.collect()
    return resident_bytes() - before


def small_view() -> list[Unit]:
    """Give the units of an istiod-shaped view of a tenth of the size of bench/ingest.py's."""
    every = CLUSTER_COUNT // (SMALL_VIEW_SERVICES * CLUSTER_COUNT // 1000)
    kept: list[xds.Message] = []
    for resources in view(CLUSTER_COUNT):
        for number, resource in enumerate(resources):
            if xds.type_url_of(resource) == xds.ROUTE_CONFIGURATION:
                hosts = list(resource.virtual_hosts)[::every]
                del resource.virtual_hosts[:]
                resource.virtual_hosts.extend(hosts)
                kept.append(resource)
            elif number % every == 0 or number < HTTP_LISTENER_COUNT:
                kept.append(resource)
    return units_of(kept)


def speed_figures() -> list[Figure]:
    """Measure rates."""
    typical = virtual_hosts(400, 5)
    ours, floor = rate(translated, typical), rate(as_json, typical)
    names = [cluster_name(number) for number in range(200)]
    clusters = next(iter(view(200)))
    changed = units_of([*clusters, *(endpoints(name, 9000) for name in names)])
    endpoint_units = [unit for unit in changed if unit.kind is UnitKind.CLUSTER]
    update, update_floor = rate(translated, endpoint_units), rate(as_json, endpoint_units)
    whole = small_view()
    whole_s, whole_floor_s = seconds(translated, whole), seconds(as_json, whole)
    return [
        Figure("virtual hosts of 5 routes", f"{ours:,.0f}/s", f"{floor:,.0f}/s", ">= 2,000/s", ours >= 2000),
        Figure("endpoint updates", f"{update:,.0f}/s", f"{update_floor:,.0f}/s", ">= 5,000/s", update >= 5000),
        Figure(
            f"a view of {SMALL_VIEW_SERVICES} services, {len(whole)} units",
            f"{whole_s:.2f} s",
            f"{whole_floor_s:.2f} s",
            "<= 2 s",
            whole_s <= 2,
        ),
    ]


def curve_figures() -> list[Figure]:
    """Measure one virtual host of many routes; doubling the routes must not quadruple the time."""
    figures: list[Figure] = []
    before: tuple[int, float] | None = None
    for route_count in CURVE:
        units = virtual_hosts(1, route_count)
        ours_s, floor_s = seconds(translated, units), seconds(as_json, units)
        is_good = route_count != 5000 or ours_s <= 3
        if before is not None and before[1] > 0.05:
            is_good = is_good and ours_s / before[1] < (route_count / before[0]) ** 1.5
        before = route_count, ours_s
        budget = "<= 3 s" if route_count == 5000 else "below quadratic"
        figures.append(
            Figure(
                f"one virtual host of {route_count:,} routes", f"{ours_s:.2f} s", f"{floor_s:.2f} s", budget, is_good
            )
        )
    return figures


def main() -> None:
    """Parse the arguments, run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--growth-units", type=int, default=GROWTH_UNITS, help="0 leaves the memory out")
    options = parser.parse_args()
    figures = [*speed_figures(), *curve_figures()]
    if options.growth_units:
        grown = growth_bytes(virtual_hosts(200, 5), options.growth_units)
        what = f"memory over {options.growth_units:,} units"
        figures.append(Figure(what, f"{grown / MIB:+.1f} MiB", "-", "no growth", grown < 4 * MIB))
    print_figures("Translation on one core, beside parsing and writing JSON", figures)


if __name__ == "__main__":
    main()
