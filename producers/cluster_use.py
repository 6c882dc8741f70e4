"""Who names which cluster, and which distinct uses are made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.reference import References, Use
from producers.relation import Relation

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from producers.route_table import TableKey


class User(NamedTuple):
    """A virtual host of a table, or the L4 chains of a listener (then `table` is None)."""

    table: TableKey | None
    name: str


NOTHING = References(frozenset(), frozenset())


class ClusterUse:
    """The references of all users that traffic can reach."""

    def __init__(self) -> None:
        self._named: Relation[User, str] = Relation()
        self._uses: Relation[User, Use] = Relation()
        self._mirrors: Relation[User, str] = Relation()
        self._distinct: dict[str, set[Use]] = {}

    def replace(self, user: User, references: References) -> set[str]:
        """Set what a user refers to.

        Returns:
            The clusters whose distinct uses are others than before.
        """
        self._named.replace(user, references.clusters)
        self._mirrors.replace(user, references.mirrors)
        flipped = self._uses.replace(user, references.uses)
        for use in flipped:
            uses = self._distinct.setdefault(use.cluster, set())
            uses ^= {use}
            if not uses:
                del self._distinct[use.cluster]
        return {use.cluster for use in flipped}

    def users(self, cluster: str) -> frozenset[User]:
        """Give who names a cluster."""
        return self._named.owners(cluster)

    def mirroring(self, cluster: str) -> frozenset[User]:
        """Give who sends copies of requests to a cluster."""
        return self._mirrors.owners(cluster)

    def distinct(self, cluster: str) -> AbstractSet[Use]:
        """Give the distinct uses of a cluster."""
        return self._distinct.get(cluster, frozenset())
