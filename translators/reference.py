"""The schemas of a running APISIX (control API, `/v1/schema`), to validate objects exactly as its nodes do."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

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
_NEEDED = ("route", "upstream")
_LISTS = frozenset({"required", "enum"})
_MAPPINGS = frozenset({"properties", "patternProperties"})
_META = "_meta"


class SchemasError(ValueError):
    """What was read is not the schemas of an APISIX; one line."""


class Problem(NamedTuple):
    """What a node would refuse or skip, without quoting the object's content (it may hold a key)."""

    text: str
    is_missing_plugin: bool = False


class Reference:
    """The schemas of one APISIX: main objects, HTTP plugins, stream plugins.

    They were made from Lua tables, so an empty object may stand where an empty list was meant. Two of the same schemas
    are equal.
    """

    def __init__(self, dump: bytes) -> None:
        """Read a dump.

        Args:
            dump: JSON with `main`, `plugins` and `stream-plugins`; `errors` names plugins of which it is not known
                whether they exist.

        Raises:
            SchemasError: it is something else, or a schema in it is broken.
        """
        try:
            tree = orjson.loads(dump)
        except ValueError as error:
            raise SchemasError(f"not JSON: {error}") from error
        main = tree.get("main") if isinstance(tree, dict) else None
        if not isinstance(main, dict) or not all(isinstance(main.get(name), dict) for name in _NEEDED):
            raise SchemasError("no schemas of APISIX: `main.route` and `main.upstream` are wanted")
        self.digest = blake2b(dump, digest_size=8).hexdigest()
        self._unknown = tree.get("errors", {})
        self._schemas = {
            "main": main,
            "plugins": _tables(tree, "plugins"),
            "stream_plugins": _tables(tree, "stream-plugins") or _tables(tree, "stream_plugins"),
        }
        for family, schemas in self._schemas.items():
            for name in schemas:
                self._check(family, name)

    def __eq__(self, other: object) -> bool:
        """Compare by content, so that settings that are read again make no difference by themselves."""
        return isinstance(other, Reference) and other.digest == self.digest

    def __hash__(self) -> int:
        """Hash the content."""
        return hash(self.digest)

    def problems(self, key: str, value: dict[str, Any]) -> list[Problem]:
        """Give what a node of this APISIX would refuse or skip in an object.

        Args:
            key: `/routes/ID` and the like; what has no schema in the dump has no problems either.
            value: the object.
        """
        directory = key.split("/")[1]
        name = DIRECTORIES.get(directory)
        if name is None:
            return []
        found = self._errors("main", name, value) if name in self._schemas["main"] else []
        family = "stream_plugins" if directory == "stream_routes" else "plugins"
        for plugin, config in value.get("plugins", {}).items():
            if plugin in self._schemas[family]:
                own = {field: part for field, part in config.items() if field != _META}
                part = "consumer_schema" if directory == "consumers" else "schema"
                found += [Problem(f"{plugin}: {problem.text}") for problem in self._errors(family, plugin, own, part)]
            elif plugin not in self._unknown:
                found.append(Problem(f"plugin {plugin} is not enabled", is_missing_plugin=True))
        return found

    def _errors(self, family: str, name: str, value: dict[str, Any], part: str = "schema") -> list[Problem]:
        return [
            Problem(f"{_path(error.instance_path) or 'object'} breaks {_path(error.schema_path)}")
            for error in self._validator(family, name, part).iter_errors(value)
        ]

    def _check(self, family: str, name: str) -> None:
        try:
            self._validator(family, name, "schema")
        except (ValueError, TypeError) as error:
            raise SchemasError(f"{family}.{name} is no schema: {' '.join(str(error).split())}") from error

    @cache  # noqa: B019 - one instance a run
    def _validator(self, family: str, name: str, part: str) -> jsonschema_rs.Validator:
        """Make the validator of a part of an entry: plugins that authenticate have one for consumers too."""
        entry = self._schemas[family][name]
        is_wrapped = family != "main" and isinstance(entry, dict) and "properties" not in entry and part in entry
        return jsonschema_rs.validator_for(_repaired(entry[part] if is_wrapped else entry))


def _tables(tree: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the plugins' tables; Lua writes an empty table as a list or an object."""
    found = tree.get(name) or {}
    if not isinstance(found, dict):
        raise SchemasError(f"no schemas of APISIX: `{name}` is no mapping")
    return found


def _path(parts: Any) -> str:
    return "/".join(str(part) for part in parts)


def _repaired(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _repaired_part(key, value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_repaired(item) for item in schema]
    return schema


def _repaired_part(key: str, value: Any) -> Any:
    if key in _LISTS and value == {}:
        return []
    if key in _MAPPINGS and value == []:
        return {}
    return _repaired(value)
