"""Read files once, for offline commands."""

from __future__ import annotations

from pathlib import Path

from producers.files.assembly import Assembly
from producers.files.parse import ParsedFile, parse
from producers.files.reading import MAX_FILE_BYTES, data_source_reader, too_large

STANDARD_INPUT = "<stdin>"


def load(path: Path | bytes, *, max_bytes: int = MAX_FILE_BYTES) -> ParsedFile:
    """Read an Envoy bootstrap, resource list, config_dump or DiscoveryResponse, or a directory of them.

    Files that one of them subscribes to are read, too; where they are on another machine, that is noted.

    Args:
        path: the file or directory, or the bytes of a file when they came from standard input.
        max_bytes: a larger file is refused.

    Returns:
        Resources, notes and problems; problems never hide the resources that could be read.
    """
    if isinstance(path, Path):
        found = Assembly(path, max_bytes, is_strict=False).read()
        return ParsedFile(found.resources, found.notes, found.problems)
    if len(path) > max_bytes:
        return ParsedFile((), (), (too_large(STANDARD_INPUT, max_bytes),))
    return parse(path, STANDARD_INPUT, data_source_reader(Path()))
