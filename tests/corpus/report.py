"""Translate every configuration of a corpus and print what came of it, per control plane.

`python -m tests.corpus.report DIR`: DIR holds `*.tar.xz` archives (unpacked into build/corpus) or folders of JSON
files, one `{"resources": {type_url: […]}}` each. Where `DIR/../reference/apisix-3.18-schemas.json` exists, every object
is checked against the schemas of a real APISIX too. Placeholders for certificates are filled in
(tests/corpus/placeholder.py). Exits with 1 when an object is invalid or a case crashes. How many cases are served, and
what keeps the others from it, stands in a table of its own (tests/corpus/share.py).
"""

from __future__ import annotations

import sys
import tarfile
import traceback
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline.cli.offline import translate_offline
from producers.files.load import load
from producers.source import Changes
from tests.corpus.placeholder import filled
from tests.corpus.share import ALL_LEAST, HTTP_LEAST, Share, is_http
from translators.policy import DEFAULT
from translators.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

UNPACKED = Path("build/corpus")
REFERENCE = Path("reference/apisix-3.18-schemas.json")
MAX_SHOWN = 20
ERRORS = ("ERROR", "FATAL")


@dataclass
class Tally:
    """What the cases of one control plane came to."""

    cases: int = 0
    objects: int = 0
    unreadable: int = 0
    diagnostics: Counter[str] = field(default_factory=Counter)
    invalid: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    every: Share = field(default_factory=Share)
    http: Share = field(default_factory=Share)


def cases_of(corpus: Path) -> list[tuple[str, Path]]:
    """Give (control plane, file) of every case, unpacking archives first."""
    for archive in sorted(corpus.glob("*.tar.xz")):
        target = UNPACKED / archive.name.removesuffix(".tar.xz")
        if not target.is_dir():
            with tarfile.open(archive) as packed:
                packed.extractall(target, filter="data")
    roots = [UNPACKED] if list(corpus.glob("*.tar.xz")) else [corpus]
    found = [(path, root) for root in roots for path in sorted(root.rglob("*.json"))]
    return [
        (path.relative_to(root).parts[-2] if len(path.relative_to(root).parts) > 1 else root.name, path)
        for path, root in found
    ]


def translate_case(path: Path, reference: Reference | None, tally: Tally) -> None:
    """Translate one file and count."""
    tally.cases += 1
    parsed = load(path)
    tally.unreadable += len(parsed.problems)
    changes = Changes(filled(parsed.resources), is_complete=True, source=str(path), notes=parsed.notes)
    offline = translate_offline(changes, "corpus", DEFAULT)
    objects = offline.objects()
    tally.objects += len(objects)
    for found in offline.diagnostics():
        tally.diagnostics[f"{found['severity']} {found['code']}"] += 1
        if found["code"] == "OUT-SCHEMA":
            tally.invalid.append(f"{path}: {found['value']}")
    codes = {found["code"] for found in offline.diagnostics() if found["severity"] in ERRORS}
    tally.every.count(codes)
    if is_http(parsed.resources):
        tally.http.count(codes)
    for key, value in objects.items() if reference else ():
        tally.invalid += [f"{path}: {key}: {problem.text}" for problem in reference.problems(key, value)]


def report(corpus: Path) -> int:
    """Run all cases and print the tables."""
    dump = corpus.parent / REFERENCE
    reference = Reference(dump.read_bytes()) if dump.exists() else None
    tallies: dict[str, Tally] = defaultdict(Tally)
    cases = cases_of(corpus)
    console = Console(width=140)
    for plane, path in track(cases, "translating", console=Console(stderr=True), transient=True):
        try:
            translate_case(path, reference, tallies[plane])
        except Exception:  # noqa: BLE001 - a crash is what this looks for
            tallies[plane].crashes.append(f"{path}: {traceback.format_exc(limit=-3)}")
    print_tables(console, tallies)
    print_shares(console, tallies)
    checked = "the schemas of a real APISIX and our own" if reference else f"our own schemas ({dump} is not there)"
    invalid = [line for tally in tallies.values() for line in tally.invalid]
    crashes = [line for tally in tallies.values() for line in tally.crashes]
    console.print(
        f"{len(cases)} cases; objects checked against {checked}: {len(invalid)} invalid, {len(crashes)} crashes"
    )
    for line in (*invalid[:MAX_SHOWN], *crashes[:MAX_SHOWN]):
        console.print(line, markup=False)
    return 1 if invalid or crashes or not cases else 0


def print_tables(console: Console, tallies: dict[str, Tally]) -> None:
    """Print a line per control plane, and a line per diagnostic."""
    table = Table(
        "control plane", "cases", "objects", "ERROR", "WARN", "INFO", "unreadable", "invalid", "crashes", box=None
    )
    for plane, tally in sorted(tallies.items()):
        severities = [
            sum(count for code, count in tally.diagnostics.items() if code.startswith(s))
            for s in ("ERROR", "WARN", "INFO")
        ]
        numbers = (tally.cases, tally.objects, *severities, tally.unreadable, len(tally.invalid), len(tally.crashes))
        table.add_row(plane, *map(str, numbers))
    console.print(table)
    planes = sorted(tallies)
    codes = sorted({code for tally in tallies.values() for code in tally.diagnostics})
    by_code = Table("diagnostic", *planes, box=None)
    for code in codes:
        by_code.add_row(code, *_counts(code, (tallies[plane] for plane in planes)))
    console.print(by_code)


def print_shares(console: Console, tallies: dict[str, Tally]) -> None:
    """Print how many cases are served per control plane and in all, and the codes that keep the others from it."""
    head = ("cases", "no ERROR", "but limits", "but limits, faults")
    table = Table("control plane", *(f"HTTP: {name}" for name in head), *(f"all: {name}" for name in head), box=None)
    for plane, tally in sorted(tallies.items()):
        table.add_row(plane, *tally.http.columns(), *tally.every.columns())
    http, every = (sum((getattr(t, name) for t in tallies.values()), Share()) for name in ("http", "every"))
    table.add_row("in all", *http.columns(), *every.columns())
    table.add_row("wanted at least", "", "", "", f"{HTTP_LEAST:.0%}", "", "", "", f"{ALL_LEAST:.0%}")
    console.print(table)
    console.print("cases not served, by code:", ", ".join(f"{code} {n}" for code, n in every.spoilers.most_common()))


def _counts(code: str, tallies: Iterable[Tally]) -> list[str]:
    return [str(tally.diagnostics[code] or "") for tally in tallies]


def main(arguments: list[str]) -> int:
    """Check the argument and run."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m tests.corpus.report DIR (make corpus CORPUS=DIR)\n")
        return 64
    return report(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
