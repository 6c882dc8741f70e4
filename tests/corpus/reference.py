"""Check objects against the JSON Schemas of a real APISIX, where a dump of them is at hand."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import orjson

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORIES = {
    "routes": "route",
    "upstreams": "upstream",
    "ssls": "ssl",
    "stream_routes": "stream_route",
    "plugin_configs": "plugin_config",
    "global_rules": "global_rule",
    "services": "service",
    "consumers": "consumer",
    "protos": "proto",
}


class Reference:
    """The schemas of one APISIX version: main objects, HTTP plugins, stream plugins.

    The dump was made from Lua tables, so an empty object may stand where an empty list was meant.
    """

    def __init__(self, dump: Path) -> None:
        self._dump = orjson.loads(dump.read_bytes())

    def errors(self, key: str, value: dict[str, Any]) -> list[str]:
        """Give what a real APISIX would refuse in an object."""
        directory = key.split("/")[1]
        found = self._errors("main", DIRECTORIES[directory], value)
        plugins = "stream_plugins" if directory == "stream_routes" else "plugins"
        for name, config in value.get("plugins", {}).items():
            if name not in self._dump[plugins]:
                if name not in self._dump["errors"]:
                    found.append(f"plugin {name} does not exist")
                continue
            part = "consumer_schema" if directory == "consumers" else "schema"
            found += [f"{name}: {error}" for error in self._errors(plugins, name, _without_meta(config), part)]
        return found

    @cache  # noqa: B019 - one instance a run
    def _validator(self, family: str, name: str, part: str) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for(_repaired(_schema_of(self._dump[family][name], part)))

    def _errors(self, family: str, name: str, value: dict[str, Any], part: str = "schema") -> list[str]:
        return [error.message for error in self._validator(family, name, part).iter_errors(value)]


def _schema_of(entry: dict[str, Any], part: str) -> dict[str, Any]:
    """Give the schema of an entry, which has a `type` of its own where it is a plugin that authenticates."""
    return entry if "properties" in entry else entry.get(part, entry)


def _without_meta(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "_meta"}


LISTS = frozenset({"required", "enum", "anyOf", "oneOf", "allOf", "examples", "default"})


def _repaired(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: [] if key in LISTS and value == {} and key in {"required", "enum"} else _repaired(value)
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [_repaired(item) for item in schema]
    return schema
