"""Header mutations in steps, as Envoy evaluates them: removals, overwrites, appends (mapping.md section 14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from translators.format_string import FormatError, Piece, Side, parse, render

if TYPE_CHECKING:
    from schemas import xds
    from translators.findings import Findings
    from translators.where import Where

APPEND, ADD_IF_ABSENT, OVERWRITE, OVERWRITE_IF_EXISTS = 0, 1, 2, 3
"""HeaderValueOption.HeaderAppendAction, in the order of the enum."""
_FIELD_NAMES = {side: (f"{side}_headers_to_add", f"{side}_headers_to_remove") for side in ("request", "response")}


class Mutation(NamedTuple):
    """One HeaderValueOption, parsed.

    Attributes:
        name: lower-case.
        pieces: the value.
        action: a HeaderAppendAction.
        keeps_empty: write the header even if the value is empty.
        at: where it stands.
    """

    name: str
    pieces: tuple[Piece, ...]
    action: int
    keeps_empty: bool
    at: Where


class Step(NamedTuple):
    """Mutations that Envoy evaluates together: removals first, then overwrites, then appends."""

    removed: tuple[str, ...] = ()
    mutations: tuple[Mutation, ...] = ()

    def touches(self, name: str) -> bool:
        """Tell whether the step mutates a header, given in lower case."""
        return name in self.removed or any(mutation.name == name for mutation in self.mutations)


def read_option(
    option: xds.Message, side: Side, constants: dict[str, str], at: Where, findings: Findings
) -> Mutation | None:
    """Read a HeaderValueOption; None, with a diagnostic, when its value has no template."""
    name = option.header.key.lower()
    try:
        value = _value_of(option)
        pieces = parse(value, side, constants)
        if "%" in value:  # a text alone has a template
            render(pieces)
    except FormatError as error:
        findings.report("HDR-FORMAT", at, value=str(error))
        return None
    action = option.append_action
    if option.HasField("append"):
        action = APPEND if option.append.value else OVERWRITE
    return Mutation(name, pieces, action, option.keep_empty_value, at)


def _value_of(option: xds.Message) -> str:
    return str(option.header.value or option.header.raw_value.decode("utf-8", errors="replace"))


def read_level(holder: xds.Message, side: Side, constants: dict[str, str], at: Where, findings: Findings) -> Step:
    """Read `<side>_headers_to_remove` and `<side>_headers_to_add` of a route, virtual host, ….

    Args:
        holder: the message that has the fields.
        side: which of them.
        constants: format operators whose value is known.
        at: where the holder stands.
        findings: receives HDR-FORMAT.
    """
    field_name, removed_name = _FIELD_NAMES[side]
    options = getattr(holder, field_name)
    removed = getattr(holder, removed_name)
    mutations = [
        read_option(option, side, constants, at.item(field_name, option.header.key), findings) for option in options
    ]
    return Step(
        tuple(name.lower() for name in removed), tuple(mutation for mutation in mutations if mutation is not None)
    )
