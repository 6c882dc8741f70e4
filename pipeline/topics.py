"""Which topics a view needs, and what it takes to bring a log there. Pure; architecture.md section 2."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.log.contract import BrokenTopicError, TopicSpec
from schemas.keys import TopicKind, topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.log.contract import TopicState

HOUR_MS: Final = 3_600_000
MAX_MESSAGE_BYTES: Final = 8 << 20
CLEANUP_POLICY: Final = "cleanup.policy"

_COMMON: Final = {"max.message.bytes": str(MAX_MESSAGE_BYTES), "compression.type": "zstd"}
CONFIGS: Final[Mapping[TopicKind, Mapping[str, str]]] = {
    TopicKind.UNITS: {CLEANUP_POLICY: "compact", **_COMMON},
    TopicKind.BUNDLES: {
        CLEANUP_POLICY: "compact",
        "min.compaction.lag.ms": str(24 * HOUR_MS),
        "delete.retention.ms": str(7 * 24 * HOUR_MS),
        **_COMMON,
    },
    TopicKind.CONTROL: {CLEANUP_POLICY: "compact", **_COMMON},
    TopicKind.STATUS: {CLEANUP_POLICY: "compact,delete", "retention.ms": str(7 * 24 * HOUR_MS), **_COMMON},
}
"""What meshferry needs of each kind of topic."""


class Action(StrEnum):
    """What a change does."""

    CREATE = "create"
    CONFIGURE = "configure"
    REFUSE = "refuse"


class Setting(NamedTuple):
    """One configuration entry that differs; `found` is None where the topic has none or does not exist."""

    name: str
    found: str | None
    wanted: str


class Change(NamedTuple):
    """What has to happen to one topic.

    Attributes:
        reason: why the topic is refused, with the remedy; empty otherwise.
    """

    topic: str
    action: Action
    settings: tuple[Setting, ...] = ()
    reason: str = ""


def view_specs(prefix: str, view: str, replication_factor: int = 1) -> list[TopicSpec]:
    """Give the four topics of a view.

    Args:
        prefix: what every topic name starts with, usually `meshferry.`.
        view: the view's name.
        replication_factor: of topics that are created; -1 takes the broker's default.

    Raises:
        ValueError: the view name is not `[a-z0-9-]{1,40}`.
    """
    return [TopicSpec(topic(prefix, view, kind), config, replication_factor) for kind, config in CONFIGS.items()]


def plan(specs: Sequence[TopicSpec], states: Sequence[TopicState]) -> list[Change]:
    """Compare wanted and present topics; an empty list means that nothing is to be done.

    Args:
        specs: the topics wanted.
        states: the same topics as they are, in the same order (`Log.describe`).
    """
    changes = (_change(spec, state) for spec, state in zip(specs, states, strict=True))
    return [change for change in changes if change is not None]


def refuse_unfit(specs: Sequence[TopicSpec], states: Sequence[TopicState]) -> None:
    """Stop before anything is changed if a topic can only be made right by hand.

    Raises:
        BrokenTopicError: with every such topic, the reason and the remedy.
    """
    reasons = [change.reason for change in plan(specs, states) if change.action is Action.REFUSE]
    if reasons:
        raise BrokenTopicError("; ".join(reasons))


def _change(spec: TopicSpec, state: TopicState) -> Change | None:
    if not state.is_present:
        settings = tuple(Setting(name, None, wanted) for name, wanted in spec.config.items())
        return Change(spec.name, Action.CREATE, settings)
    reason = _refusal(spec, state)
    if reason:
        return Change(spec.name, Action.REFUSE, reason=reason)
    settings = tuple(
        Setting(name, state.config.get(name), wanted)
        for name, wanted in spec.config.items()
        if not _is_equal(name, state.config.get(name), wanted)
    )
    return Change(spec.name, Action.CONFIGURE, settings) if settings else None


def _refusal(spec: TopicSpec, state: TopicState) -> str:
    """Say why a topic cannot be used. Its records would be lost or reordered, so it is never changed silently."""
    if state.partition_count != 1:
        return (
            f"{spec.name}: has {state.partition_count} partitions, needs exactly 1; delete it and run "
            "`meshferry topics apply`, or use another log.prefix"
        )
    found, wanted = state.config.get(CLEANUP_POLICY), spec.config.get(CLEANUP_POLICY)
    if found is not None and wanted is not None and not _is_equal(CLEANUP_POLICY, found, wanted):
        return (
            f"{spec.name}: {CLEANUP_POLICY} is {found}, needs {wanted}; set it with kafka-configs after checking who "
            "else uses the topic, or use another log.prefix"
        )
    return ""


def _is_equal(name: str, found: str | None, wanted: str) -> bool:
    if found is not None and name == CLEANUP_POLICY:
        return _policies(found) == _policies(wanted)
    return found == wanted


def _policies(text: str) -> set[str]:
    return {policy.strip() for policy in text.split(",")}
