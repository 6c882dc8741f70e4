"""Which plugins the objects of a view use: a node skips one that is not on, silently (mapping.md section 1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.records import EtcdObject

_STREAM_DIRECTORY = "stream_routes"


class PluginUse(NamedTuple):
    """Names of plugins, sorted.

    Attributes:
        http: of routes, services, plugin_configs, global rules and consumers.
        stream: of stream routes.
        has_names: an upstream's node has a name instead of an address.
    """

    http: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    has_names: bool = False


def plugin_use(objects: Iterable[EtcdObject]) -> PluginUse:
    """Look for plugins in all objects of a view."""
    http: set[str] = set()
    stream: set[str] = set()
    has_names = False
    for found in objects:
        value: dict[str, Any] = orjson.loads(found.value)
        directory = found.key.split("/")[1]
        (stream if directory == _STREAM_DIRECTORY else http).update(value.get("plugins", ()))
        has_names |= directory == "upstreams" and any(_is_name(node) for node in value.get("nodes", ()))
    return PluginUse(tuple(sorted(http)), tuple(sorted(stream)), has_names)


def _is_name(node: Mapping[str, Any]) -> bool:
    host = str(node["host"])
    return ":" not in host and not host.replace(".", "").isdigit()
