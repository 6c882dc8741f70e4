from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agent.metrics import HELP, PREFIX, Facts, render

FACTS = Facts(7, 9, True, False, 1.5, 3, 2, 1, 4, 5, 600, 700, 8, 10)  # noqa: FBT003 - in the order of the facts


def test_every_fact_is_a_metric_with_its_help():
    families = {family.name: family for family in text_string_to_metric_families(render(FACTS).decode())}
    for name, value in FACTS._asdict().items():
        family = families[PREFIX + name.removesuffix("_total")]
        assert family.documentation == HELP[name]
        assert [sample.value for sample in family.samples if sample.name == PREFIX + name] == [float(value)]
    assert families["process_resident_memory_bytes"].samples[0].value > 0


def test_what_only_rises_is_a_counter():
    families = {family.name: family for family in text_string_to_metric_families(render(FACTS).decode())}
    assert families[PREFIX + "events_published"].type == "counter"
    assert families[PREFIX + "revision"].type == "gauge"


def test_every_metric_stands_in_the_document():
    document = (Path(__file__).parents[2] / "docs/agent.md").read_text()
    assert [name for name in HELP if f"`{PREFIX}{name}`" not in document] == []
