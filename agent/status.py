"""What an agent says of itself in the status topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.keys import revision_of
from schemas.records import NodeStatus, RejectedUnit

if TYPE_CHECKING:
    from agent.store.image import Image
    from schemas.records import NeighbourStatus

MAX_REJECTED = 100
"""A status record stays small; the first rejected units by key say enough."""


def build_status(
    image: Image,
    *,
    view: str,
    node: str,
    target_offset: int,
    watchers: int,
    is_live: bool,
    time_ms: int,
    build: str,
    last_good_age_ms: int = 0,
    apisix: NeighbourStatus | None = None,
) -> NodeStatus:
    """Build the status record.

    Args:
        image: what is served.
        view: the view.
        node: the node id, the record's key.
        target_offset: the newest offset known to be in the topic, -1 when unknown.
        watchers: open watches.
        is_live: whether the log answers.
        time_ms: now, Unix milliseconds.
        build: the version of the agent.
        last_good_age_ms: how long the log has not answered.
        apisix: what the APISIX beside the agent has, if it is asked.
    """
    target_revision = image.revision
    if image.provenance is not None and target_offset > image.provenance.offset:
        target_revision = revision_of(image.provenance.genesis_ms, target_offset) + image.shift
    rejected = tuple(RejectedUnit(key, image.rejected[key]) for key in sorted(image.rejected)[:MAX_REJECTED])
    return NodeStatus(
        node,
        view,
        image.revision,
        target_revision,
        watchers,
        is_live,
        time_ms,
        build,
        rejected,
        0 if is_live else last_good_age_ms,
        apisix,
    )
