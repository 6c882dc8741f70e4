"""A view that lies in several files: a file and those it subscribes to, or a directory of them.

Envoy's filesystem subscriptions name files of DiscoveryResponses in `path_config_source`; each is followed, also from
one of those files to the next. A part that is missing or broken has its last good state, as in Envoy, where each
subscription stands for itself. What has not changed on disk is not read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from producers.files.parse import ParsedFile, parse
from producers.files.reading import data_source_reader, read_file
from producers.source import Note, SourceProblem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from producers.source import ResourceChange

    Identity = tuple[int, ...]

ABSENT: Identity = ()
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
MAX_PARTS = 10_000


class Assembled(NamedTuple):
    """What the files hold now."""

    resources: tuple[ResourceChange, ...]
    notes: tuple[Note, ...]
    problems: tuple[SourceProblem, ...]
    is_whole: bool
    """Every part is good or has a last good state; otherwise `resources` must not be taken for everything."""


class _Part(NamedTuple):
    parsed: ParsedFile
    identities: dict[Path, Identity]
    """Of the file and of those it takes certificates and bodies from."""


class Assembly:
    """Reads the files of a view, again and again."""

    def __init__(self, path: Path, max_bytes: int, *, is_strict: bool) -> None:
        """Begin with nothing read.

        Args:
            path: a file, or a directory of them.
            max_bytes: a larger file is refused.
            is_strict: see `producers.files.parse.parse`.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._is_strict = is_strict
        self._parts: dict[Path, _Part] = {}
        self._good: dict[Path, ParsedFile] = {}
        self.identities: dict[Path, Identity] = {}
        """The state of everything that was looked at last."""

    def read(self) -> Assembled:
        """Read what has changed, and put everything together."""
        self.identities = {self._path: identity_of(self._path)}
        roots, problems = _roots(self._path)
        used: dict[Path, ParsedFile] = {}
        is_whole = not problems
        waiting = list(reversed(roots))
        while waiting and len(used) < MAX_PARTS:
            path = waiting.pop()
            if path in used:
                continue
            part = self._read_part(path)
            problems += part.parsed.problems
            good = self._good.get(path) if path != self._path else None
            used[path] = part.parsed if not part.parsed.problems or good is None else good
            is_whole &= not used[path].problems
            waiting.extend(path.parent / name for name in reversed(used[path].follows))
        self._good |= {path: parsed for path, parsed in used.items() if not parsed.problems}
        if is_whole:
            self._parts = {path: self._parts[path] for path in used}
            self._good = {path: self._good[path] for path in used}
        resources, clashes = _union(used.items())
        notes = (*(note for parsed in used.values() for note in parsed.notes), *clashes)
        return Assembled(resources, notes, tuple(problems), is_whole)

    def _read_part(self, path: Path) -> _Part:
        known = self._parts.get(path)
        if known is None or any(identity_of(one) != identity for one, identity in known.identities.items()):
            known = self._parts[path] = self._parse(path)
        self.identities |= known.identities
        return known

    def _parse(self, path: Path) -> _Part:
        identities = {path: identity_of(path)}
        read = data_source_reader(path.parent)

        def read_named(name: str) -> bytes:
            identities[path.parent / name] = identity_of(path.parent / name)
            return read(name)

        data = read_file(path, self._max_bytes)
        if isinstance(data, SourceProblem):
            return _Part(self._unreadable(path, data), identities)
        parsed = parse(data, str(path), read_named, is_strict=self._is_strict, is_part=path != self._path)
        return _Part(parsed, identities)

    def _unreadable(self, path: Path, problem: SourceProblem) -> ParsedFile:
        if self._is_strict or path == self._path:
            return ParsedFile((), (), (problem,))
        note = Note("CFG-INVALID", "", str(path), "", f"{problem.message}; what is in the file is missing here")
        return ParsedFile((), (note,), ())


def identity_of(path: Path) -> Identity:
    """Tell one state of a file from another; equal for a file that is absent both times."""
    try:
        status = path.stat()
    except OSError:
        return ABSENT
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _roots(path: Path) -> tuple[list[Path], list[SourceProblem]]:
    """Give where reading begins: a file, or the files of a directory but for hidden ones."""
    if not path.is_dir():
        return [path], []
    try:
        names = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and not one.name.startswith("."))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return [], [SourceProblem(str(path), reason, "check the path and its permissions")]
    files = [one for one in names if not one.is_dir()]
    if files:
        return files, []
    return [], [SourceProblem(str(path), "no .yaml, .yml or .json file in it", "put the resources there")]


def _union(parts: Iterable[tuple[Path, ParsedFile]]) -> tuple[tuple[ResourceChange, ...], list[Note]]:
    """Give every resource once; where two files differ about one, the first has it."""
    found: dict[tuple[str, str], ResourceChange] = {}
    clashes: list[Note] = []
    for path, parsed in parts:
        for change in parsed.resources:
            first = found.setdefault((change.type_url, change.name), change)
            if first is not change and first.body != change.body:
                text = f"{path} has it with different content than a file before; the first is used"
                clashes.append(Note("CFG-INVALID", change.type_url, change.name, "", text))
    return tuple(found.values()), clashes
