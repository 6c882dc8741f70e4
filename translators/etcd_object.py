"""Build APISIX objects in canonical form: equal content gives equal bytes (mapping.md section 10)."""

from __future__ import annotations

from typing import Any

import orjson

from schemas.records import EtcdObject

ID_IN_VALUE = frozenset({"plugin_configs", "global_rules", "consumer_groups"})
"""Directories whose value must carry its id (mapping.md section 14.1)."""


def build_object(directory: str, object_id: str, value: dict[str, Any]) -> EtcdObject:
    """Serialise an object.

    Args:
        directory: the etcd directory, e.g. `routes`.
        object_id: its id.
        value: its JSON value; no timestamps, no private keys of ours (unknown keys invalidate the object).
    """
    if directory in ID_IN_VALUE:
        value = {**value, "id": object_id}
    return EtcdObject(f"/{directory}/{object_id}", orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
