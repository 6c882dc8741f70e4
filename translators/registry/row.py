"""The kinds of rows of the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from translators.findings import Findings
from translators.where import Where

Apply: TypeAlias = Callable[[Any, Any, Where, Findings], None]
"""(the message that holds the field, the draft it contributes to, where that message stands, findings)."""


class Fidelity(StrEnum):
    """How faithfully a feature is carried over, mapping.md section 0."""

    EXACT = "E"
    APPROXIMATED = "A"
    NOT_EXPRESSIBLE = "N"
    IGNORED = "I"


@dataclass(frozen=True, slots=True)
class Handled:
    """A field or extension with a mapping.

    Attributes:
        source: full name of the field (`package.Message.field`) or of the extension's message.
        apply: the mapping's function; None when the mapping reads the field together with another one.
        phase: fields of one message are applied in ascending phase, then in field order.
        codes: the diagnostics the mapping can raise.
        is_whole: what the mapping says of the field holds for all that stands below it, so that has no rows.
    """

    source: str
    apply: Apply | None = None
    fidelity: Fidelity = Fidelity.EXACT
    phase: int = 50
    codes: tuple[str, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """A field without data-plane meaning for APISIX (statistics, buffers, runtime keys)."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A field or extension that is not translated and says so.

    Attributes:
        code: its diagnostic.
        restricts: it limits who may reach what, so what it guards is blocked (fail closed).
        effect: instead of the code's general effect.
    """

    source: str
    code: str
    restricts: bool = False
    effect: str = ""
    remedy: str = ""
    unless: Callable[[Any], bool] | None = None
    """Given the field's value; true when this value means nothing (e.g. limits at their maximum)."""


Row = Handled | Ignored | Diagnosed


def ignored(message: str, reason: str, *fields: str) -> tuple[Ignored, ...]:
    """Rows for several ignored fields of one message."""
    return tuple(Ignored(f"{message}.{field}", reason) for field in fields)


def diagnosed(
    message: str, code: str, *fields: str, restricts: bool = False, effect: str = ""
) -> tuple[Diagnosed, ...]:
    """Rows for several diagnosed fields of one message."""
    return tuple(Diagnosed(f"{message}.{field}", code, restricts=restricts, effect=effect) for field in fields)


def lost(message: str, code: str, *fields: str) -> tuple[Handled, ...]:
    """Rows for fields that the mapping of the message reads itself, to say that they are lost as a whole."""
    return tuple(
        Handled(f"{message}.{field}", fidelity=Fidelity.NOT_EXPRESSIBLE, codes=(code,), is_whole=True)
        for field in fields
    )


def handled(message: str, *fields: str) -> tuple[Handled, ...]:
    """Rows for fields that the mapping of the message reads itself."""
    return tuple(Handled(f"{message}.{field}") for field in fields)
