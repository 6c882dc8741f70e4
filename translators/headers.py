"""Header mutations: the ordered mutations of Envoy folded into one final operation per header of APISIX.

Envoy evaluates level by level, and within a level removals, then overwrites, then appends (mapping.md section 14.3).
APISIX executes add, set and remove from maps without order. So the mutations are executed here symbolically, for both
cases that matter, the header being absent and being present; what both cases end in decides the operation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from translators.expr import ALWAYS, conjuncts, present
from translators.format_string import (
    NOTHING,
    HeaderReference,
    Piece,
    Side,
    Text,
    may_be_empty,
    render,
    text_of,
)
from translators.header_step import ADD_IF_ABSENT, APPEND, OVERWRITE, OVERWRITE_IF_EXISTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from translators.expr import Expr
    from translators.findings import Findings
    from translators.header_step import Mutation, Step
    from translators.where import Where

PLUGIN_HOST = re.compile(r"[0-9a-zA-Z.-]+(?::[0-9]{1,5})?\Z")
"""Hosts that proxy-rewrite.host accepts (mapping.md section 2)."""
_NO_DEFAULT = re.compile(r"[}$]|\?\?|\A\s|\s\Z|\A\Z")
"""What cannot stand behind `??` in a template."""
_HOST_NAMES = frozenset({"host", ":authority"})
_DROPPED_EMPTY = "where the value is empty the header is removed instead of kept"
_SENT_EMPTY = "where the value is empty an empty header is sent"
_FOLDED = "the combination of mutations of this header is approximated by its last ones"

_QUOTED = "the response may quote the request's header as it was before its mutation"


@dataclass(frozen=True, slots=True)
class _Original:
    """The value lines that the header had before all mutations."""


class _Value(NamedTuple):
    """One line that a mutation wrote.

    Attributes:
        pieces: the line.
        keeps_empty: Envoy writes it even if it is empty; else it skips the mutation.
        was_gone: the header had certainly no line when the mutation wrote it.
    """

    pieces: tuple[Piece, ...]
    keeps_empty: bool
    was_gone: bool = False

    @property
    def may_be_skipped(self) -> bool:
        """Tell whether Envoy skips the mutation on some requests."""
        return not self.keeps_empty and may_be_empty(self.pieces)


_ORIGINAL = _Original()
_Values: TypeAlias = tuple[_Original | _Value, ...]


class _State(NamedTuple):
    """What a header has become, by what it was."""

    if_absent: _Values = ()
    if_present: _Values = (_ORIGINAL,)

    def settled(self) -> _Values | None:
        """Give the values when they do not depend on what the header was."""
        return self.if_absent if self.if_absent == self.if_present else None

    def is_certain(self) -> bool:
        """Tell whether it is known which lines exist, apart from the original ones."""
        return not any(isinstance(v, _Value) and v.may_be_skipped for v in (*self.if_absent, *self.if_present))


@dataclass(slots=True)
class FoldedHeaders:
    """Final operations per header, as templates.

    Attributes:
        add: header -> lines added to those it has.
        set: header -> lines it has instead.
        remove: headers that go.
        condition: the operations apply only where this holds; empty = always.
        touched: all headers that are operated on.
        host: a new Host of the request; empty = unchanged.
    """

    add: dict[str, list[str]] = field(default_factory=dict)
    set: dict[str, list[str]] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    condition: list[Expr] = field(default_factory=list)
    touched: frozenset[str] = frozenset()
    host: str = ""

    def only_if(self, condition: Expr) -> FoldedHeaders:
        """Give the same operations under one more condition."""
        return self if condition == ALWAYS else replace(self, condition=conjuncts((*self.condition, condition)))

    def of_request(self) -> dict[str, Any]:
        """Give proxy-rewrite.headers; empty when there is nothing to do."""
        if not self.touched:
            return {}
        operations: dict[str, Any] = {}
        if self.add:
            operations["add"] = _single(self.add)
        if self.set:
            operations["set"] = _single(self.set)
        if self.remove:
            operations["remove"] = sorted(self.remove)
        return operations

    def of_response(self) -> dict[str, Any]:
        """Give response-rewrite.headers; empty when there is nothing to do."""
        if not self.touched:
            return {}
        added = [f"{name}: {line}" for name, lines in sorted(self.add.items()) for line in lines]
        return _without_empty(
            add=added, set={name: ", ".join(lines) for name, lines in self.set.items()}, remove=sorted(self.remove)
        )


def _single(lines_of: dict[str, list[str]]) -> dict[str, str | list[str]]:
    return {name: lines[0] if len(lines) == 1 else lines for name, lines in lines_of.items()}


def _without_empty(**operations: Any) -> dict[str, Any]:
    return {name: value for name, value in operations.items() if value}


def fold(
    steps: Iterable[Step],
    side: Side,
    at: Where,
    findings: Findings,
    *,
    is_alone: bool = True,
    request: FoldedHeaders | None = None,
) -> FoldedHeaders:
    """Fold mutations in the order in which Envoy evaluates them.

    Args:
        steps: in that order.
        side: what is mutated.
        at: where a finding about a header lies that no single mutation causes.
        findings: receives HDR-VALUE and HDR-ORDER.
        is_alone: the plugin does nothing else, so it may have a condition.
        request: what became of the request's headers, which a response may quote.
    """
    kept = [step for step in steps if step.removed or step.mutations]
    if not kept:
        return FoldedHeaders()
    plain = _written_once(kept, side)
    if plain is not None:
        return plain
    folder = _Folder(side, at, findings, request.touched if request else frozenset())
    for step in kept:
        folder.apply(step)
    return folder.folded(is_alone=is_alone)


def _written_once(steps: Sequence[Step], side: Side) -> FoldedHeaders | None:
    """Fold mutations that each write a text into a header of their own, which most do; None for all others."""
    folded = FoldedHeaders()
    names: set[str] = set()
    for step in steps:
        if step.removed:
            return None
        for name, pieces, action, _, _ in step.mutations:
            text = pieces[0].text if len(pieces) == 1 and isinstance(pieces[0], Text) else ""
            if not text or name in names or name in _HOST_NAMES or name.startswith(":"):
                return None
            if action == OVERWRITE:
                folded.set[name] = [render(pieces)]
            elif action == APPEND and side == "request":
                folded.add[name] = [render(pieces)]
            else:
                return None
            names.add(name)
    folded.touched = frozenset(names)
    return folded


class _Folder:
    """Executes mutations symbolically."""

    def __init__(self, side: Side, at: Where, findings: Findings, touched: frozenset[str]) -> None:
        self._side = side
        self._touched = touched
        self._at = at
        self._findings = findings
        self._states: dict[str, _State] = {}
        self._places: dict[str, Where] = {}
        self._readers: dict[str, set[str]] = {}
        self._host = ""

    def apply(self, step: Step) -> None:
        """Execute one step."""
        for name in step.removed:
            if self._is_plain(name, self._at):
                self._states[name] = _State((), ())
        overwrites: list[tuple[Mutation, _Value, _State]] = []
        appends: list[tuple[Mutation, _Value, _State]] = []
        for mutation in step.mutations:
            pieces = self._evaluated(mutation)
            is_skipped = text_of(pieces) == "" and not mutation.keeps_empty
            if is_skipped or not self._is_plain(mutation.name, mutation.at, pieces):
                continue
            self._places[mutation.name] = mutation.at
            state = self._state(mutation.name)
            if mutation.action in (ADD_IF_ABSENT, OVERWRITE_IF_EXISTS) and not state.is_certain():
                self._findings.report("HDR-ORDER", mutation.at)
            is_overwrite = mutation.action in (OVERWRITE, OVERWRITE_IF_EXISTS)
            value = _Value(pieces, mutation.keeps_empty, was_gone=state.settled() == ())
            (overwrites if is_overwrite else appends).append((mutation, value, state))
        self._overwrite(overwrites)
        self._append(appends)

    def _overwrite(self, overwrites: Sequence[tuple[Mutation, _Value, _State]]) -> None:
        for mutation, value, seen in overwrites:
            state = self._state(mutation.name)
            was_gone = state.settled() == ()
            written = (value if was_gone == value.was_gone else value._replace(was_gone=was_gone),)
            is_unconditional = mutation.action == OVERWRITE
            self._states[mutation.name] = _State(
                written if is_unconditional or seen.if_absent else state.if_absent,
                written if is_unconditional or seen.if_present else state.if_present,
            )

    def _append(self, appends: Sequence[tuple[Mutation, _Value, _State]]) -> None:
        for mutation, value, seen in appends:
            state = self._state(mutation.name)
            is_unconditional = mutation.action == APPEND
            self._states[mutation.name] = _State(
                (*state.if_absent, value) if is_unconditional or not seen.if_absent else state.if_absent,
                (*state.if_present, value) if is_unconditional or not seen.if_present else state.if_present,
            )

    def _state(self, name: str) -> _State:
        return self._states.get(name, _State())

    def _is_plain(self, name: str, at: Where, pieces: tuple[Piece, ...] = ()) -> bool:
        """Tell whether the name is a header's; the Host is set apart, other pseudo headers are refused."""
        if not name.startswith(":") and (name not in _HOST_NAMES or self._side == "response"):
            return True
        text = text_of(pieces)
        if name in _HOST_NAMES and self._side == "request" and text and PLUGIN_HOST.match(text):
            self._host = text
        else:
            self._findings.report("HDR-VALUE", at, value=name, effect=f"{name} is not mutated")
        return False

    def _evaluated(self, mutation: Mutation) -> tuple[Piece, ...]:
        """Replace references to headers whose value earlier mutations have settled."""
        pieces: list[Piece] = []
        for piece in mutation.pieces:
            if not isinstance(piece, HeaderReference) or piece.side != self._side:
                if isinstance(piece, HeaderReference) and piece.name in self._touched:
                    # Envoy quotes what was sent upstream; nginx what it was when a condition first looked at it.
                    self._findings.report("HDR-ORDER", mutation.at, value=piece.name, effect=_QUOTED)
                pieces.append(piece)
                continue
            values = self._states[piece.name].settled() if piece.name in self._states else None
            if values is None:
                self._readers.setdefault(piece.name, set()).add(mutation.name)
                if piece.name in self._states:
                    self._findings.report("HDR-ORDER", mutation.at)
                pieces.append(piece)
            elif values and isinstance(values[0], _Value):
                if not self._states[piece.name].is_certain():
                    self._findings.report("HDR-ORDER", mutation.at)
                pieces.extend(values[0].pieces)
        return tuple(pieces)

    def folded(self, *, is_alone: bool) -> FoldedHeaders:
        """Give the operations."""
        folded = FoldedHeaders(host=self._host, touched=frozenset(self._states))
        conditional: list[tuple[str, _Value]] = []
        for name, state in sorted(self._states.items()):
            if name in self._readers:
                self._check_readers(name)
            first = state.if_present[0] if state.if_present else None
            if first is _ORIGINAL:
                self._keep(name, state, folded)
            elif isinstance(first, _Value) and not state.if_absent and len(state.if_present) == 1:
                conditional.append((name, first))
            else:
                self._replace(name, state, folded)
        is_alone = is_alone and not (folded.add or folded.set or folded.remove or folded.host)
        self._only_present(conditional, folded, is_alone=is_alone)
        return folded

    def _check_readers(self, name: str) -> None:
        """Templates read a header whenever they are evaluated: another mutation of it may come before or after."""
        state = self._states[name]
        counts = [sum(isinstance(v, _Value) for v in values) for values in (state.if_absent, state.if_present)]
        is_alone = max(counts) <= 1
        for reader in sorted(self._readers[name]):
            if reader != name or not is_alone:
                self._findings.report("HDR-ORDER", self._places.get(reader, self._at))

    def _keep(self, name: str, state: _State, folded: FoldedHeaders) -> None:
        """Write what becomes of a header that keeps its original lines."""
        appended = state.if_present[1:]
        if state.if_absent == appended:
            if appended:
                self._add(name, appended, folded)
            return
        default = state.if_absent[0] if state.if_absent[1:] == appended else None
        text = text_of(default.pieces) if isinstance(default, _Value) else None
        if text is None or _NO_DEFAULT.search(text):
            self._refuse(name, "HDR-VALUE")
            return
        if appended and self._side == "response":
            self._refuse(name, "HDR-ORDER")
            return
        self._warn_of_skips(name, appended)
        reference = HeaderReference(name, self._side).variable().name
        folded.set[name] = [f"${{{reference} ?? {text}}}", *self._rendered(appended)]

    def _replace(self, name: str, state: _State, folded: FoldedHeaders) -> None:
        """Write what becomes of a header that loses its original lines."""
        values = state.settled()
        if values is None:
            values = state.if_present
            self._findings.report("HDR-ORDER", self._places.get(name, self._at), effect=_FOLDED)
        lines = self._rendered(values)
        if not any(lines):
            if lines:
                self._refuse(name, "HDR-VALUE", effect="the header is removed instead of sent empty")
            folded.remove.append(name)
            return
        if len(lines) > 1 and self._side == "response":
            self._findings.report("HDR-ORDER", self._places.get(name, self._at), effect="the values become one line")
        (only,) = values if len(values) == 1 else (None,)
        if isinstance(only, _Value):
            if may_be_empty(only.pieces) and (only.keeps_empty or not only.was_gone):
                self._refuse(name, "HDR-VALUE", effect=_DROPPED_EMPTY)
        else:
            self._warn_of_skips(name, values)
        folded.set[name] = lines

    def _warn_of_skips(self, name: str, values: _Values) -> None:
        """Report lines that Envoy does not write when they are empty; here they are written among others."""
        if any(isinstance(value, _Value) and value.may_be_skipped for value in values):
            self._refuse(name, "HDR-VALUE", effect=_SENT_EMPTY)

    def _add(self, name: str, appended: _Values, folded: FoldedHeaders) -> None:
        lines = self._rendered(appended)
        self._warn_of_skips(name, appended)
        if self._side == "response":
            lines = [f"{line}{NOTHING}" if line.endswith("/") else line for line in lines]
            if any(":" in line or not line for line in lines):
                self._refuse(name, "HDR-VALUE")
                lines = [line for line in lines if line and ":" not in line]
        if lines:
            folded.add[name] = lines

    def _only_present(self, conditional: list[tuple[str, _Value]], folded: FoldedHeaders, *, is_alone: bool) -> None:
        """Write overwrites that need the header to exist: a plugin has one condition for all it does."""
        if len(conditional) == 1 and is_alone:
            name, value = conditional[0]
            if may_be_empty(value.pieces):
                self._refuse(name, "HDR-VALUE", effect=_DROPPED_EMPTY)
            folded.set[name] = [render(value.pieces)]
            folded.condition = [present(HeaderReference(name, self._side).variable().name)]
            return
        for name, _ in conditional:
            self._refuse(name, "HDR-VALUE", remedy="let OVERWRITE_IF_EXISTS be the only mutation of the route")

    def _rendered(self, values: _Values) -> list[str]:
        return [render(value.pieces) for value in values if isinstance(value, _Value)]

    def _refuse(self, name: str, code: str, effect: str = "", remedy: str = "") -> None:
        self._findings.report(code, self._places.get(name, self._at), value=name, effect=effect, remedy=remedy)
