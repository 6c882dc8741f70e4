"""Names of topics, record keys, and the one function that turns an offset into a revision."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from schemas.records import UnitKind

if TYPE_CHECKING:
    from schemas.records import HeldKind

GENESIS_KEY = "@genesis"
DEFAULT_PREFIX = "meshferry."
VIEW_NAME = re.compile(r"[a-z0-9-]{1,40}")


class TopicKind(StrEnum):
    """The four topics of a view, architecture.md section 2."""

    UNITS = "units"
    BUNDLES = "bundles"
    CONTROL = "control"
    STATUS = "status"


def topic(prefix: str, view: str, kind: TopicKind) -> str:
    """Name a view's topic.

    Raises:
        ValueError: the view name is not `[a-z0-9-]{1,40}`.
    """
    check_view(view)
    return f"{prefix}{view}.{kind}"


def check_view(view: str) -> None:
    """Refuse a view name that could not be a topic name.

    Raises:
        ValueError: the view name is not `[a-z0-9-]{1,40}`.
    """
    if not VIEW_NAME.fullmatch(view):
        raise ValueError(f"view name {view!r}: use 1 to 40 of a-z, 0-9 and '-'")


def unit_key(kind: UnitKind, *parts: str) -> str:
    """Build a unit key; `/` and `%` inside a part are percent-encoded, and a part that is just `*` becomes `%2A`.

    Args:
        kind: the unit kind.
        parts: names in the order of architecture.md section 4.
    """
    return "/".join((kind.value, *map(_escape, parts)))


def any_host_key(*parts: str) -> str:
    """Build the key of the unit that holds all prefix-wildcard and `*` domains of a route configuration.

    It ends in a bare `*`, which `unit_key` never writes: a virtual host really named `*` has a key of its own.

    Args:
        parts: listener, chain, scope if the chain has any, route configuration.
    """
    return unit_key(UnitKind.HTTP, *parts) + "/*"


def held_key(kind: HeldKind) -> str:
    """Name the control record of a hold; a view has at most one of each kind."""
    return f"held/{kind}"


def approval_key(fingerprint: str) -> str:
    """Name the control record of an approval; the producer that has dealt with it deletes it."""
    return f"approval/{fingerprint}"


def _escape(part: str) -> str:
    escaped = part.replace("%", "%25").replace("/", "%2F")
    return "%2A" if escaped == "*" else escaped


def revision_of(genesis_ms: int, offset: int) -> int:
    """Turn an offset of the bundles topic into an etcd revision (law 5). The only such function.

    Args:
        genesis_ms: creation time of the topic, Unix milliseconds, from its `@genesis` record.
        offset: the record's offset.

    Raises:
        ValueError: the result would not stay below 10^14, which Lua's JSON cannot carry (etcd-contract.md 4.7).
    """
    revision = genesis_ms + offset
    if not 0 < revision < 10**14:
        raise ValueError(f"revision {revision} is out of range: genesis {genesis_ms} ms, offset {offset}")
    return revision
