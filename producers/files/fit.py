"""Fit a plain tree to the descriptor of a message: find every field that this build does not know, not only the first.

protobuf's own JSON parser stops at the first field it does not know and cannot name a line. This walk drops unknown
fields and says where they were, and wraps an Any of an unknown type into xds.type.v3.TypedStruct, which keeps its name
for the diagnostics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.json_format import ParseError

from producers.files.document import MAX_DEPTH
from schemas import xds

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from producers.files.document import Path

TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct"
WELL_KNOWN = "google.protobuf."
ANY = "google.protobuf.Any"


class TooLargeError(ValueError):
    """Aliases make the tree larger than the file can justify, or it is nested too deeply."""


class Budget:
    """How many nodes may still be visited: aliases let a small file stand for an endless tree."""

    def __init__(self, node_count: int) -> None:
        self._node_count = node_count

    def spend(self, depth: int) -> None:
        """Account for one node.

        Raises:
            TooLargeError: none is left, or the tree is too deep.
        """
        self._node_count -= 1
        if self._node_count < 0 or depth > MAX_DEPTH:
            raise TooLargeError("aliases expand to an unreasonably large or deep document")


class Misfit(NamedTuple):
    """A place in a tree that does not fit its descriptor."""

    path: Path
    message: str


class Fitted(NamedTuple):
    """A message, and what was left out of it."""

    message: xds.Message | None
    """None when a value has a wrong type."""
    unknown_fields: tuple[Misfit, ...]
    wrong_values: tuple[Misfit, ...]


def fit(type_url: str, tree: Any, budget: Budget) -> Fitted:
    """Build a message from proto3 JSON data.

    Args:
        type_url: a known type.
        tree: the data.
        budget: bounds the work.

    Raises:
        TooLargeError: see `Budget`.
        schemas.xds.UnknownTypeError: no such message.
    """
    message = xds.message_class(type_url)()
    if not isinstance(tree, dict):
        return Fitted(None, (), (Misfit((), f"a mapping is expected, not {_kind(tree)}"),))
    walk = _Walk(budget)
    cleaned = walk.message(message.DESCRIPTOR, tree, ())
    try:
        xds.from_json(cleaned, message)
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        wrong = walk.wrong_values(message.DESCRIPTOR, cleaned, ())
        return Fitted(None, tuple(walk.unknown), tuple(wrong) or (Misfit((), _one_line(error)),))
    return Fitted(message, tuple(walk.unknown), ())


class _Walk:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.unknown: list[Misfit] = []

    def message(self, descriptor: Descriptor, tree: Any, path: Path) -> Any:
        """Copy what fits; values that are no mapping are left to the parser, which says what is wrong with them."""
        self._budget.spend(len(path))
        if descriptor.full_name == ANY:
            return self._any(tree, path)
        if descriptor.full_name.startswith(WELL_KNOWN) or not isinstance(tree, dict):
            return self._copy(tree, len(path))
        kept: dict[str, Any] = {}
        for key, value in tree.items():
            field = _field(descriptor, str(key))
            if field is None:
                self.unknown.append(Misfit((*path, str(key)), f"{descriptor.name} has no field {key}"))
            elif value is not None:
                kept[str(key)] = self._field(field, value, (*path, str(key)))
        return kept

    def _field(self, field: FieldDescriptor, value: Any, path: Path) -> Any:
        if field.message_type is None:
            return self._copy(value, len(path))
        if xds.is_map(field) and isinstance(value, dict):
            inner = field.message_type.fields_by_name["value"]
            return {_key(key): self._field(inner, item, (*path, _key(key))) for key, item in value.items()}
        if field.is_repeated and isinstance(value, list):
            return [self.message(field.message_type, item, (*path, index)) for index, item in enumerate(value)]
        return self.message(field.message_type, value, path)

    def _any(self, tree: Any, path: Path) -> Any:
        if not isinstance(tree, dict) or not isinstance(tree.get("@type"), str):
            return self._copy(tree, len(path))
        type_url, rest = tree["@type"], {key: value for key, value in tree.items() if key != "@type"}
        if not xds.is_known(type_url):
            wrapped = {"type_url": type_url, "value": self._copy(rest, len(path))}
            return {"@type": TYPED_STRUCT, **wrapped}
        descriptor = xds.message_class(type_url).DESCRIPTOR
        if descriptor.full_name.startswith(WELL_KNOWN):
            return self._copy(tree, len(path))
        return {"@type": type_url, **self.message(descriptor, rest, path)}

    def _copy(self, tree: Any, depth: int) -> Any:
        self._budget.spend(depth)
        if isinstance(tree, dict):
            return {_key(key): self._copy(value, depth + 1) for key, value in tree.items()}
        if isinstance(tree, list):
            return [self._copy(value, depth + 1) for value in tree]
        return tree

    def wrong_values(self, descriptor: Descriptor, tree: Any, path: Path) -> list[Misfit]:
        """Parse field by field to find those whose value has a wrong type."""
        found: list[Misfit] = []
        for key, value in tree.items() if isinstance(tree, dict) else ():
            field = _field(descriptor, key)
            if field is not None:
                found += self._wrong_field(descriptor, field, value, (*path, key))
        return found

    def _wrong_field(self, owner: Descriptor, field: FieldDescriptor, value: Any, path: Path) -> list[Misfit]:
        error = _parse_alone(owner, field, value)
        if error is None:
            return []
        inner = field.message_type
        found: list[Misfit] = []
        if inner is not None and xds.is_map(field) and isinstance(value, dict):
            inner = inner.fields_by_name["value"].message_type
            for key, item in value.items():
                found += self._wrong_message(inner, item, (*path, key))
        elif field.is_repeated and isinstance(value, list):
            for index, item in enumerate(value):
                if (item_error := _parse_alone(owner, field, [item])) is not None:
                    found += self._wrong_message(inner, item, (*path, index)) or [Misfit((*path, index), item_error)]
        else:
            found += self._wrong_message(inner, value, path)
        return found or [Misfit(path, error)]

    def _wrong_message(self, descriptor: Descriptor | None, tree: Any, path: Path) -> list[Misfit]:
        if descriptor is None or not isinstance(tree, dict):
            return []
        if descriptor.full_name == ANY and isinstance(tree.get("@type"), str) and xds.is_known(tree["@type"]):
            rest = {key: value for key, value in tree.items() if key != "@type"}
            return self.wrong_values(xds.message_class(tree["@type"]).DESCRIPTOR, rest, path)
        if descriptor.full_name.startswith(WELL_KNOWN):
            return []
        return self.wrong_values(descriptor, tree, path)


def _field(descriptor: Descriptor, key: str) -> FieldDescriptor | None:
    field: FieldDescriptor | None = descriptor.fields_by_name.get(key)
    if field is None:
        field = descriptor.fields_by_camelcase_name.get(key)
    return field


def _parse_alone(owner: Descriptor, field: FieldDescriptor, value: Any) -> str | None:
    """Parse one field into an otherwise empty message and give the reason why it does not go."""
    try:
        xds.from_json({field.name: value}, xds.message_class(owner.full_name)())
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return _one_line(error)
    return None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()).rpartition(" field: ")[2]
    return text.partition(" at ")[0].rstrip(".") or type(error).__name__


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _kind(tree: Any) -> str:
    return {list: "a list", str: "a text", type(None): "nothing"}.get(type(tree), f"a {type(tree).__name__}")
