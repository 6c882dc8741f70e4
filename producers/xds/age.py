"""How long ago each type was last heard of on a stream. Pure: the clock is an argument."""

from __future__ import annotations

from typing import Final

from schemas import xds

OTHER_TYPES: Final = "other types"
"""Stands for all that this build does not know, of which a control plane could name any number."""


class Ages:
    """Times of the last responses.

    Attributes:
        heard_s: when anything was last heard, the opening of the stream included; seconds of the caller's clock.
    """

    def __init__(self) -> None:
        self.heard_s = 0.0
        self._heard_s: dict[str, float] = {}

    def open(self, now_s: float) -> None:
        """Note that a stream was opened; what was heard on earlier ones keeps its age."""
        self.heard_s = now_s

    def hear(self, type_url: str, now_s: float) -> None:
        """Note a response of a type."""
        known = type_url if xds.is_known(type_url) else OTHER_TYPES
        self.heard_s = self._heard_s[known] = now_s

    def ages_s(self, now_s: float) -> dict[str, float]:
        """Give the age of every type that was ever heard of, in seconds, by type URL."""
        return {type_url: now_s - heard_s for type_url, heard_s in sorted(self._heard_s.items())}

    def described(self, now_s: float) -> str:
        """Say the ages, for people: `Cluster 61 s, Listener 75 s`."""
        ages = self.ages_s(now_s).items()
        return ", ".join(f"{type_url.rpartition('.')[2]} {age_s:.0f} s" for type_url, age_s in ages)
