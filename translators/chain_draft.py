"""What the network filters of an L4 filter chain contribute to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas import xds


@dataclass(slots=True)
class ChainDraft:
    """A stream route in the making.

    Attributes:
        clusters: the known clusters by name, without endpoints.
        upstream_id: where connections go; empty while no terminal filter was seen.
        plugins: stream plugins by name.
        is_closed: a filter restricts the chain in a way that cannot be kept: it is not served.
        needs_blackhole: the chain leads to a cluster that does not exist.
    """

    clusters: dict[str, xds.Message]
    upstream_id: str = ""
    plugins: dict[str, Any] = field(default_factory=dict)
    is_closed: bool = False
    needs_blackhole: bool = False
