"""From the bytes of a file to a plain tree of dicts, lists and scalars, and back to line numbers."""

from __future__ import annotations

import re
from typing import Any

import orjson
import yaml

MAX_DEPTH = 200
MAX_MERGED_KEYS = 100_000
MERGE = "tag:yaml.org,2002:merge"
Path = tuple[str | int, ...]


class UnreadableDocumentError(ValueError):
    """The text is neither JSON nor YAML; `line` is 0 when unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class EnvoyLoader(yaml.CSafeLoader):
    """YAML as Envoy reads it: no dates, no base-60 numbers, no key twice; what `<<` brings in is counted."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._merged_count = 0
        self._flattened: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge `<<` keys.

        Raises:
            yaml.constructor.ConstructorError: a key stands twice, or aliases multiply the keys beyond reason.
        """
        if id(node) in self._flattened:
            return
        self._flattened.add(id(node))
        _refuse_repeated(node)
        for key, value in node.value:
            if key.tag == MERGE:
                self._count(node, sum(len(one.value) for one in _merged(value)))
        before_count = len(node.value)
        super().flatten_mapping(node)
        self._count(node, len(node.value) - before_count)

    def _count(self, node: yaml.MappingNode, merged_count: int) -> None:
        self._merged_count += max(merged_count, 0)
        if self._merged_count > MAX_MERGED_KEYS:
            raise yaml.constructor.ConstructorError(None, None, "aliases expand to too many keys", node.start_mark)


def _merged(node: yaml.Node) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]


def _refuse_repeated(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)


_KEPT = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:null", MERGE}
EnvoyLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
EnvoyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0x[0-9a-fA-F]+|0|[1-9][0-9]*)\Z"), list("-+0123456789")
)
EnvoyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z"),
    list("-+0123456789."),
)


def read_tree(data: bytes) -> Any:
    """Read JSON or YAML.

    Raises:
        UnreadableDocumentError: one line that says what is wrong, with the line number.
    """
    if not data.strip():
        raise UnreadableDocumentError("the file is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableDocumentError("not UTF-8 text", line) from error
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _read_yaml(text)


def line_of(data: bytes, path: Path) -> int:
    """Give the line of a path in a document that was read, or of the part of the path that exists.

    Returns:
        A line number from 1, or 0 when the text is JSON that is no YAML (a tab as indentation).
    """
    try:
        node = yaml.compose(data.decode("utf-8-sig").replace("\t", " "), Loader=EnvoyLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return 0
    line = 0
    for part in path:
        found = _child(node, part)
        if found is None:
            break
        key, node = found
        line = key.start_mark.line + 1
    return line


def shown(path: Path) -> str:
    """Write a path as people do: `static_resources.listeners[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader=EnvoyLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 0 if mark is None else mark.line + 1
        raise UnreadableDocumentError(f"not YAML: {error.problem or error.context}", line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableDocumentError(f"not YAML: {reason}") from error


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key, value
    return None
