"""Draws docs/ads-session.md from the tables that drive the ADS session; `pipeline.docs` writes it."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

from producers.xds import phase
from producers.xds.delta import DeltaSession
from producers.xds.phase import Phase
from producers.xds.session import Session
from producers.xds.sotw import SotWSession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Table = Mapping[tuple[str, str], tuple[str, Callable[..., object]]]
    """What happens in a state: the next state, and what is done."""

_HEAD = """# The ADS session

A session takes events and gives commands; it has no clock and no socket (`producers/xds/session.py`). Two tables drive
it: one for the stream, the same in both variants, and one for each type on the stream, which differs
([state of the world](../producers/xds/sotw.py), [delta](../producers/xds/delta.py)). What is in neither picture nor
table cannot happen. Generated; do not edit.
"""
_DOUBT = """What a stream has said of a type so far (phase):

{phases}

What happens to it:

{heard}
"""
_VARIANTS: tuple[tuple[str, type[Session]], ...] = (  # type: ignore[type-arg]  # of whichever subscription
    ("State of the world", SotWSession),
    ("Delta", DeltaSession),
)


def session_document() -> str:
    """Describe the session: pictures and tables of both variants."""
    stream = {
        (state.name, event.__name__): (after.name, action)
        for (state, event), (after, action) in Session.transitions.items()
    }
    parts = [_HEAD, "## The stream\n", *_drawn(stream, "DISCONNECTED", "event")]
    parts += ["\n## A type on a stream\n", _DOUBT.format(phases=_meanings("Phase"), heard=_meanings("Heard"))]
    for title, variant in _VARIANTS:
        table = {
            (before.name, heard.name): (after.name, action)
            for (before, heard), (after, action) in variant.phases.items()
        }
        parts += [f"\n### {title}\n", *_drawn(table, Phase.UNASKED.name, "heard")]
    return "\n".join(parts) + "\n"


def _drawn(table: Table, first: str, happening: str) -> list[str]:
    """Give a picture and a table; an event that moves nothing is in the table only."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, event), (after, action) in table.items():
        if before != after or action.__name__ != "pass_over":
            arrows.setdefault((before, after), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in arrows.items()]
    lines += ["```", "", f"| state | {happening} | next state | what is done |", "|---|---|---|---|"]
    lines += [
        f"| {before} | {event} | {after} | {_summary(action)} |" for (before, event), (after, action) in table.items()
    ]
    return lines


def _summary(action: Callable[..., object]) -> str:
    first_line = (inspect.getdoc(action) or "").partition("\n")[0]
    return f"`{action.__name__.removeprefix('_')}`: {first_line}"


def _meanings(enum: str) -> str:
    """Give the members of an enumeration with the strings that stand under them."""
    (found,) = (
        statement
        for statement in ast.parse(inspect.getsource(phase)).body
        if isinstance(statement, ast.ClassDef) and statement.name == enum
    )
    names = [s.targets[0].id for s in found.body if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name)]
    texts = [str(s.value.value) for s in found.body if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)]
    return "\n".join(f"- {name}: {text}" for name, text in zip(names, texts[-len(names) :], strict=True))
