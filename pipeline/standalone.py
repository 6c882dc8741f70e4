"""APISIX's standalone file (apisix.yaml) from etcd objects. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

END = "#END\n"
"""APISIX reads the file only when its last line says that it is whole."""


def apisix_yaml(objects: Mapping[str, dict[str, Any]]) -> str:
    """Render objects as apisix.yaml.

    Args:
        objects: key below the etcd prefix (`/routes/<id>`) -> value.

    Returns:
        The text, ending in `#END`.
    """
    directories: dict[str, list[dict[str, Any]]] = {}
    for key in sorted(objects):
        _, directory, object_id = key.split("/", 2)
        directories.setdefault(directory, []).append({**objects[key], "id": object_id})
    body = yaml.dump(directories, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True) if directories else ""
    return body + END
