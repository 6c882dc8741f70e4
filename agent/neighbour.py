"""What the APISIX beside an agent really has, from what its control API lists (`/v1/routes`, `/v1/upstreams`).

An agent knows what it has sent, not what the data plane has taken: an object may be refused by a schema, a watcher may
be dead (etcd-contract.md section 5.2). Each listed object carries the `modifiedIndex` it was loaded with, which is the
mod_revision it was told; compared with the image, that says which revision has really taken effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from schemas.records import NeighbourStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.store.history import History
    from agent.store.image import Image

PATHS = {"/routes/": "/v1/routes", "/upstreams/": "/v1/upstreams"}
"""Directory -> path of the control API that lists what APISIX has of it."""
MAX_NAMED = 3


class ForeignAnswerError(ValueError):
    """What answered is not the control API of an APISIX."""


def read_listing(body: bytes) -> dict[bytes, int]:
    """Read an answer of the control API.

    Returns:
        etcd key -> the mod_revision APISIX has loaded.

    Raises:
        ForeignAnswerError: it is no list of objects with `key` and `modifiedIndex`.
    """
    try:
        items: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ForeignAnswerError("it does not answer with JSON") from None
    if items == {}:  # how Lua writes an empty list
        return {}
    if not isinstance(items, list):
        raise ForeignAnswerError("it does not answer with a list of objects")
    try:
        return {item["key"].encode(): int(item["modifiedIndex"]) for item in items}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ForeignAnswerError("its objects have no key and modifiedIndex") from None


def judge(image: Image, history: History, prefix: str, listed: dict[bytes, int]) -> NeighbourStatus:
    """Tell which revision has taken effect in APISIX.

    Args:
        image: what is served.
        history: tells when what APISIX still has was deleted.
        prefix: the etcd prefix.
        listed: what APISIX has of the directories in PATHS.

    Returns:
        Its `applied_revision` is the newest one of which everything, and nothing since deleted, is in APISIX.
    """
    directories = tuple((prefix + name).encode() for name in PATHS)
    missing = {
        key: image.objects[key].mod_revision
        for key in image.keys
        if key.startswith(directories) and listed.get(key, 0) < image.objects[key].mod_revision
    }
    left_over = {key: _deleted_at(history, key) for key in listed if key not in image.objects}
    behind = {**missing, **left_over}
    applied = min(behind.values()) - 1 if behind else image.revision
    return NeighbourStatus(True, applied, len(behind), _reason(missing, left_over))  # noqa: FBT003 - in the order of the record


def unreachable(reason: str) -> NeighbourStatus:
    """Say that the control API gives no answer to compare with."""
    return NeighbourStatus(False, 0, 0, reason)  # noqa: FBT003 - in the order of the record


def _deleted_at(history: History, key: bytes) -> int:
    """Tell in which revision a key went; one before the history if that no longer tells."""
    revisions = (
        change.revision for change in history.after(history.floor) if any(event.key == key for event in change.events)
    )
    return max(revisions, default=history.floor)


def _reason(missing: Iterable[bytes], left_over: Iterable[bytes]) -> str:
    parts = (("it has not taken", sorted(missing)), ("it still has", sorted(left_over)))
    return "; ".join(f"{says} {_names(keys)}" for says, keys in parts if keys)


def _names(keys: list[bytes]) -> str:
    named = ", ".join(key.decode(errors="replace") for key in keys[:MAX_NAMED])
    return named if len(keys) <= MAX_NAMED else f"{named} and {len(keys) - MAX_NAMED} more"
