"""How Envoy and APISIX mutate headers, executed: the two sides of the model-based test of translators.headers.

Envoy: HeaderParser::evaluateHeaders (mapping.md section 14.3). APISIX: proxy-rewrite and response-rewrite execute add,
then set, then remove, each in no particular order; templates go through core.utils.resolve_var, whose variables are
cached at their first read (section 14.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from translators.format_string import HeaderReference, Text
from translators.header_step import ADD_IF_ABSENT, APPEND, OVERWRITE, OVERWRITE_IF_EXISTS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from translators.header_step import Mutation, Step

Headers = dict[str, list[str]]
_TEMPLATE = re.compile(r"(?<!\\)\$(\{\s*([^}]+?)\s*\}|([\w.]+))")


def copied(headers: Headers) -> Headers:
    return {name: list(lines) for name, lines in headers.items()}


def by_envoy(headers: Headers, steps: Sequence[Step]) -> Headers:
    """Execute steps as Envoy does."""
    headers = copied(headers)
    for step in steps:
        for name in step.removed:
            headers.pop(name, None)
        overwrites: list[tuple[str, str]] = []
        appends: list[tuple[str, str]] = []
        for mutation in step.mutations:
            value = _evaluated(mutation, headers)
            if not value and not mutation.keeps_empty:
                continue
            is_present = bool(headers.get(mutation.name))
            if mutation.action == APPEND or (mutation.action == ADD_IF_ABSENT and not is_present):
                appends.append((mutation.name, value))
            elif mutation.action == OVERWRITE or (mutation.action == OVERWRITE_IF_EXISTS and is_present):
                overwrites.append((mutation.name, value))
        for name, value in overwrites:
            headers[name] = [value]
        for name, value in appends:
            headers.setdefault(name, []).append(value)
    return headers


def _evaluated(mutation: Mutation, headers: Headers) -> str:
    value = ""
    for piece in mutation.pieces:
        if isinstance(piece, Text):
            value += piece.text
        elif isinstance(piece, HeaderReference):
            value += headers.get(piece.name, [""])[0]
        else:
            value += f"<{piece.name}>"
    return value


@dataclass
class Node:
    """A request or response at APISIX."""

    headers: Headers
    prefix: str
    order: random.Random
    cache: dict[str, str] = field(default_factory=dict)

    def variable(self, name: str) -> str | None:
        if name in self.cache:
            return self.cache[name]
        value: str | None = f"<{name}>"
        if name == "_":
            value = None
        elif name.startswith(self.prefix):
            lines = self.headers.get(name.removeprefix(self.prefix).replace("_", "-"))
            value = ", ".join(lines) if lines else None
        if value is not None:
            self.cache[name] = value
        return value

    def resolved(self, template: str) -> str:
        def expand(found: re.Match[str]) -> str:
            name, *default = re.split(r"\s*\?\?\s*", found[2] or found[3])
            value = self.variable(name)
            return value if value is not None else (default[0] if default else "")

        return _TEMPLATE.sub(expand, template)

    def shuffled(self, operations: dict[str, Any]) -> list[tuple[str, list[str]]]:
        listed = [(name, lines if isinstance(lines, list) else [lines]) for name, lines in operations.items()]
        self.order.shuffle(listed)
        return listed

    def rewrite(self, operations: dict[str, Any], condition: Sequence[Any] = ()) -> Headers:
        """Execute the `headers` of proxy-rewrite, or those of response-rewrite once `parsed` has read them."""
        if any(self.variable(variable) is None for variable, *_ in condition):
            return self.headers
        for name, lines in self.shuffled(operations.get("add", {})):
            for line in lines:
                self.headers.setdefault(name, []).append(self.resolved(line))
        for name, lines in self.shuffled(operations.get("set", {})):
            values = [self.resolved(line) for line in lines]
            if values == [""]:
                self.headers.pop(name, None)
            else:
                self.headers[name] = values
        for name in operations.get("remove", []):
            self.headers.pop(name, None)
        return self.headers


def parsed(operations: dict[str, Any]) -> dict[str, Any]:
    """Read response-rewrite.headers as the plugin does: `add` is a list of `Name: value` lines."""
    added: dict[str, list[str]] = {}
    for line in operations.get("add", []):
        found = re.match(r"([^:\s]+)\s*:\s*([^:]+)$", line)
        assert found, f"response-rewrite refuses {line}"
        added.setdefault(found[1], []).append(found[2])
    return {**operations, "add": added}


def joined(headers: Headers) -> dict[str, str]:
    """Give what a receiver reads: repeated lines are one list."""
    return {name: ", ".join(lines) for name, lines in headers.items()}
