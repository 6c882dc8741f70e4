"""Topics of a Kafka cluster: describe, create, configure, truncate."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import PolicyViolationError, TopicAlreadyExistsError, for_code

from pipeline.log.contract import BrokenTopicError, TopicState
from pipeline.log.kafka_client import client_options, explained
from pipeline.log.kafka_producer import PARTITION
from pipeline.log.refusal import cannot_truncate
from pipeline.topics import Action, plan, refuse_unfit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pipeline.log.contract import TopicSpec
    from pipeline.log.kafka_url import KafkaAddress

TOPIC_CONFIG_SOURCE: Final = 1
"""DescribeConfigs: the value was set on the topic itself (DYNAMIC_TOPIC_CONFIG), not inherited."""
APPEAR_INTERVAL_S: Final = 0.05


@asynccontextmanager
async def open_admin(address: KafkaAddress, doing: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client; the errors of what is done with it are translated."""
    admin = AIOKafkaAdminClient(**client_options(address))
    try:
        async with explained(address, doing):
            await admin.start()
            yield admin
    finally:
        await admin.close()


async def describe(admin: AIOKafkaAdminClient, names: Sequence[str]) -> list[TopicState]:
    """Tell how topics are configured, inherited values included.

    All topics are asked for, because a question for one that is missing makes some brokers create it.
    """
    partition_counts = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    entries = await _config_entries(admin, [name for name in names if name in partition_counts])
    return [
        TopicState(
            name,
            is_present=name in partition_counts,
            partition_count=partition_counts.get(name, 0),
            config={entry[0]: entry[1] for entry in entries.get(name, ())},
        )
        for name in names
    ]


async def _config_entries(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Give (name, value, is read-only, source, …) of every configuration entry, by topic."""
    if not names:
        return {}
    found = {}
    for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for code, message, _kind, name, entries in answer.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = entries
    return found


async def apply(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    """Create topics and set their configuration; see `Log.apply`."""
    states = await describe(admin, [spec.name for spec in specs])
    refuse_unfit(specs, states)
    by_name = {spec.name: spec for spec in specs}
    changes = plan(specs, states)
    created = [by_name[change.topic] for change in changes if change.action is Action.CREATE]
    if created:
        await _create(admin, created)
    configured = {change.topic: by_name[change.topic].config for change in changes if change.action is Action.CONFIGURE}
    if configured:
        await _configure(admin, configured)


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    answer = await admin.create_topics(
        [NewTopic(spec.name, 1, spec.replication_factor, topic_configs=dict(spec.config)) for spec in specs]
    )
    for name, code, message in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise BrokenTopicError(f"{name}: the broker refused to create it: {message or for_code(code).__name__}")
    names = {spec.name for spec in specs}
    while not names <= {topic["topic"] for topic in await admin.describe_topics() if _has_leader(topic)}:  # noqa: ASYNC110 - only asking again tells
        await asyncio.sleep(APPEAR_INTERVAL_S)  # the controller knows the topic before every broker does


def _has_leader(topic: Mapping[str, Any]) -> bool:
    return bool(topic["partitions"]) and all(partition["leader"] >= 0 for partition in topic["partitions"])


async def _configure(admin: AIOKafkaAdminClient, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Alter configurations. The request replaces all of a topic's own entries, so those that stay are sent again."""
    entries = await _config_entries(admin, list(wanted))
    merged = {
        name: {entry[0]: entry[1] for entry in entries[name] if entry[3] == TOPIC_CONFIG_SOURCE} | dict(config)
        for name, config in wanted.items()
    }
    for answer in await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, config) for name, config in merged.items()]
    ):
        for code, message, _kind, name in answer.resources:
            if code:
                raise BrokenTopicError(
                    f"{name}: the broker refused the configuration: {message or for_code(code).__name__}"
                )


async def truncate(admin: AIOKafkaAdminClient, topic: str, before_offset: int) -> None:
    """Drop the records below an offset.

    Raises:
        BrokenTopicError: the topic is compacted only; brokers delete records of `delete` topics alone.
    """
    try:
        await admin.delete_records({TopicPartition(topic, PARTITION): RecordsToDelete(before_offset)})
    except PolicyViolationError as error:
        raise cannot_truncate(topic) from error
