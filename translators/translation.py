"""What the translation of a unit yields beside its findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.records import EtcdObject
    from translators.where import Where


@dataclass(frozen=True, slots=True)
class Translation:
    """What a unit is translated into.

    Attributes:
        objects: in any order, unique by key.
        manifest: for the unit `view` the bootstrap manifest as JSON.
        origins: key of an object -> the place in the source that it stands for; what stands for no place is not there.
    """

    objects: list[EtcdObject] = field(default_factory=list)
    manifest: str = ""
    origins: dict[str, Where] = field(default_factory=dict)
