"""What the translation of a unit yields beside its findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.records import EtcdObject


@dataclass(frozen=True, slots=True)
class Translation:
    """Objects (in any order, unique by key) and, for the unit `view`, the bootstrap manifest as JSON."""

    objects: list[EtcdObject] = field(default_factory=list)
    manifest: str = ""
