"""Compaction in the background: brokers clean their topics by themselves, an embedded log has nobody else to do it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pipeline.log.contract import BrokenTopicError, LogUnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.log.contract import Log

logger = logging.getLogger(__name__)

INTERVAL_S = 600.0
"""A status record every ten seconds and node is what grows when nothing else happens."""


async def keep_compact(log: Log, topics: Sequence[str], interval_s: float = INTERVAL_S) -> None:
    """Compact topics every now and then, until cancelled.

    Args:
        log: the log; entered here.
        topics: names of topics.
        interval_s: seconds between two rounds; the first comes after one interval.
    """
    async with log:
        while True:
            await asyncio.sleep(interval_s)
            for topic in topics:
                try:
                    await log.compact(topic)
                except (LogUnreachableError, BrokenTopicError) as error:
                    logger.warning("%s: not compacted: %s; tried again in %.0f s", topic, error, interval_s)
