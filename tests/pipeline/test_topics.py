from __future__ import annotations

import pytest

from pipeline.log import BrokenTopicError, TopicSpec
from pipeline.log.contract import TopicState
from pipeline.topics import Action, Change, Setting, plan, refuse_unfit, view_specs

SPECS = view_specs("meshferry.", "shop", 3)


def state(spec: TopicSpec, **changes: object) -> TopicState:
    """The topic of a spec as it should be, with the configuration a broker adds."""
    config = {"segment.bytes": "1073741824", **spec.config}
    return TopicState(spec.name, is_present=True, partition_count=1, config=config)._replace(**changes)


def test_a_view_has_the_four_topics_of_the_architecture():
    configs = {spec.name: dict(spec.config) for spec in SPECS}
    assert list(configs) == [f"meshferry.shop.{kind}" for kind in ("units", "bundles", "control", "status")]
    assert all(config["max.message.bytes"] == "8388608" for config in configs.values())
    assert all(spec.replication_factor == 3 for spec in SPECS)
    assert [config["cleanup.policy"] for config in configs.values()] == ["compact"] * 3 + ["compact,delete"]
    bundles = configs["meshferry.shop.bundles"]
    assert (bundles["min.compaction.lag.ms"], bundles["delete.retention.ms"]) == ("86400000", "604800000")
    assert int(configs["meshferry.shop.status"]["retention.ms"]) > 0


def test_a_bad_view_name_is_refused():
    with pytest.raises(ValueError, match="Shop!"):
        view_specs("meshferry.", "Shop!")


def test_nothing_is_planned_when_all_is_well():
    assert plan(SPECS, [state(spec) for spec in SPECS]) == []


def test_missing_topics_are_created_with_their_settings():
    states = [state(SPECS[0]), *(TopicState(spec.name, False, 0, {}) for spec in SPECS[1:])]  # noqa: FBT003 - as a row
    changes = plan(SPECS, states)
    assert [(change.topic, change.action) for change in changes] == [(spec.name, Action.CREATE) for spec in SPECS[1:]]
    assert Setting("min.compaction.lag.ms", None, "86400000") in changes[0].settings


def test_only_what_differs_is_configured():
    found = state(SPECS[1], config={**SPECS[1].config, "delete.retention.ms": "1", "retention.ms": "5"})
    assert plan(SPECS[1:2], [found]) == [
        Change(SPECS[1].name, Action.CONFIGURE, (Setting("delete.retention.ms", "1", "604800000"),))
    ]


def test_the_order_of_policies_does_not_matter():
    assert plan(SPECS[3:], [state(SPECS[3], config={**SPECS[3].config, "cleanup.policy": "delete, compact"})]) == []


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (state(SPECS[0], partition_count=6), r"has 6 partitions, needs exactly 1; delete it and run"),
        (
            state(SPECS[0], config={"cleanup.policy": "delete"}),
            r"cleanup\.policy is delete, needs compact; set it with",
        ),
        (
            state(SPECS[0], config={"cleanup.policy": "compact,delete"}),
            r"cleanup\.policy is compact,delete, needs compact",
        ),
    ],
)
def test_what_could_lose_records_is_refused_with_the_remedy(found: TopicState, reason: str):
    (change,) = plan(SPECS[:1], [found])
    assert (change.action, change.settings) == (Action.REFUSE, ())
    with pytest.raises(BrokenTopicError, match=rf"meshferry\.shop\.units: {reason}"):
        refuse_unfit(SPECS[:1], [found])


def test_every_unfit_topic_is_named():
    states = [state(spec, partition_count=2) for spec in SPECS]
    with pytest.raises(BrokenTopicError) as told:
        refuse_unfit(SPECS, states)
    assert all(spec.name in str(told.value) for spec in SPECS)
