"""Cut an image into units, incrementally: a change re-cuts only the units that contain it (architecture.md section 4).

The cutter keeps facts about each resource and indexes of who refers to what. A delta updates the facts and marks units
as dirty; each dirty unit is cut from the facts and compared with what was written last. Marking too many units costs
time only, so the marks may be generous where a finer rule would be hard to read.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from producers.cut import cut, version_info
from producers.index import Index
from producers.kept_use import KeptUses
from producers.unit_key import RANKS, UnitName, name_of
from schemas.records import Provenance, Unit, UnitKind
from schemas.sealed import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producers.image import Delta, Image
    from schemas.records import Resource


USED_KINDS = frozenset({UnitKind.SECRET, UnitKind.CLUSTER})
"""Kinds of units that say what use is made of them."""


class Removal(NamedTuple):
    """A unit that is no more."""

    key: str


class Cutter:
    """Gives the units that differ from those written last."""

    def __init__(self, view: str, image: Image, published: Iterable[Unit] = ()) -> None:
        """Start from what is published.

        Args:
            view: name of the view.
            image: the image, which the caller replays changes into before each `apply`.
            published: the units as they are in the log, so that a restart writes only what differs.
        """
        self._index = Index(view, image)
        self._written: dict[UnitName, bytes] = {}
        self._kept_uses = KeptUses()
        self._unchecked: set[UnitName] = {UnitName(UnitKind.VIEW, (view,))}
        for unit in published:
            name = name_of(unit)
            self._written[name] = content_digest(unit.params, unit.resources)
            self._unchecked.add(name)
            self._remember(name, unit.resources)

    def apply(self, delta: Delta) -> list[Unit | Removal]:
        """Follow a replayed delta.

        Returns:
            What to write, in the order of law 1: adds and updates from secrets to the view, then removals the other
            way round, then clusters and secrets once more without the uses that nobody makes any more (a unit may come
            twice). A unit of a chain whose RouteConfiguration is not known yet is left as it is (warming).
        """
        dirty = self._index.replay(delta) | self._unchecked
        self._unchecked = set()
        updates, removals, settled = [], [], {}
        for name in sorted(dirty, key=lambda name: name.order):
            if self._index.is_warming(name):
                continue
            resources = cut(name, self._index)
            if resources is None:
                if self._written.pop(name, None) is not None:
                    self._forget(name)
                    removals.append(Removal(name.key))
                continue
            kept = self._kept_uses.beside(name, resources)
            if self._is_news(name, kept):
                updates.append(self._unit(name, kept))
            if kept != resources:
                settled[name] = resources
        return [*updates, *reversed(removals), *self._settle(settled)]

    def _settle(self, used: dict[UnitName, tuple[Resource, ...]]) -> list[Unit]:
        """Take the uses away that were kept for others; later, while routes wait for their RouteConfiguration."""
        if used and any(self._index.is_warming(name) for name in self._written):
            self._unchecked.update(used)
            return []
        ordered = sorted(used.items(), key=lambda item: -RANKS[item[0].kind])  # clusters name secrets
        return [self._unit(name, resources) for name, resources in ordered if self._is_news(name, resources)]

    def _is_news(self, name: UnitName, resources: tuple[Resource, ...]) -> bool:
        digest = content_digest(name.params, resources)
        if self._written.get(name) == digest:
            return False
        self._written[name] = digest
        self._remember(name, resources)
        return True

    def _remember(self, name: UnitName, resources: tuple[Resource, ...]) -> None:
        if name.kind is UnitKind.HTTP:
            self._index.routes.remember(name)
        elif name.kind in USED_KINDS:
            self._kept_uses.remember(name, resources)

    def _forget(self, name: UnitName) -> None:
        if name.kind is UnitKind.HTTP:
            self._index.routes.forget(name)
        elif name.kind in USED_KINDS:
            self._kept_uses.forget(name)

    def _unit(self, name: UnitName, resources: tuple[Resource, ...]) -> Unit:
        provenance = Provenance(version_info=version_info(name, self._index))
        return Unit(name.kind, name.key, name.params, resources, provenance)


def content_digest(params: dict[str, str], resources: tuple[Resource, ...]) -> bytes:
    """Digest a unit's content; lengths go in, so that no two contents have one form.

    The ciphertexts of sealed values stay out: a standby has sealed the same keys for itself.
    """
    hasher = blake2b(digest_size=16)
    for text in (*sorted(f"{name}={value}" for name, value in params.items()),):
        hasher.update(b"%d:" % len(text) + text.encode())
    for resource in resources:
        labels = (resource.role.encode(), resource.type_url.encode(), resource.name.encode())
        for part in (*labels, comparable(resource.body)):
            hasher.update(b"%d:" % len(part))
            hasher.update(part)
    return hasher.digest()
