"""What `/metrics` says of an agent, in the Prometheus text format: base units, no labels per resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
PREFIX = "meshferry_agent_"


class Facts(NamedTuple):
    """What is measured, at one moment; names ending in `_total` only ever rise while the process lives."""

    revision: int
    target_revision: int
    ready: bool
    live: bool
    last_known_good_age_seconds: float
    objects: int
    units: int
    units_rejected: int
    watchers: int
    connections: int
    history_bytes: int
    journal_bytes: int
    lines_published_total: int
    events_published_total: int


HELP = {
    "revision": "Header revision that is served.",
    "target_revision": "Newest revision known to be in the log.",
    "ready": "1 when there is a state to serve.",
    "live": "1 while the log answers and everything in it was read.",
    "last_known_good_age_seconds": "How long the log has not answered; 0 while it does.",
    "objects": "APISIX objects that are served, placeholders not counted.",
    "units": "Units in force.",
    "units_rejected": "Units whose newest bundle could not be taken: their last good state stays.",
    "watchers": "Open watches.",
    "connections": "Open connections.",
    "history_bytes": "What watchers can be told again, in memory.",
    "journal_bytes": "Journal of the state directory since its last base.",
    "lines_published_total": "Watch lines made, each once for all watchers of the same range.",
    "events_published_total": "Events published.",
}


class _Collector:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - only who asks pays

        for name, value in self._facts._asdict().items():
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield family(PREFIX + name, HELP[name], value=value)


def render(facts: Facts) -> bytes:
    """Render the answer; the library is loaded at the first call, so that an agent nobody scrapes stays small."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415 - as it says

    registry = CollectorRegistry()
    registry.register(_Collector(facts))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
