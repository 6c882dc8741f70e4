"""Print figures beside their budgets."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Figure(NamedTuple):
    """One line of a bench."""

    what: str
    ours: str
    peer: str
    budget: str
    holds: bool | None


def print_figures(title: str, figures: list[Figure]) -> None:
    """Print a table; a budget that is not met is marked, not hidden."""
    table = Table("what", "meshferry", "peer", "budget", "holds", title=title, title_justify="left", box=None)
    for figure in figures:
        verdict = "" if figure.holds is None else ("yes" if figure.holds else "NO")
        table.add_row(figure.what, figure.ours, figure.peer, figure.budget, verdict)
    Console(width=140).print(table)


def percentile(values: list[float], share: float) -> float:
    """Give the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
