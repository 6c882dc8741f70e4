"""Reading of files of bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.source import SourceProblem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_FILE_BYTES = 64 << 20
MAX_DATA_SOURCE_BYTES = 1 << 20


def read_file(path: Path, max_bytes: int) -> bytes | SourceProblem:
    """Read a file of bounded size; what goes wrong becomes a problem."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return SourceProblem(str(path), reason, "check the path and its permissions")
    return data if len(data) <= max_bytes else too_large(str(path), max_bytes)


def too_large(source: str, max_bytes: int) -> SourceProblem:
    """Refuse a file for its size."""
    message = f"larger than {max_bytes / (1 << 20):g} MiB"
    return SourceProblem(source, message, "split the view over several files and views, or use an xds source")


def data_source_reader(base: Path) -> Callable[[str], bytes]:
    """Make the function that reads files named inside a configuration, relative to the configuration's folder."""

    def read(name: str) -> bytes:
        with (base / name).open("rb") as file:
            content = file.read(MAX_DATA_SOURCE_BYTES + 1)
        if len(content) > MAX_DATA_SOURCE_BYTES:
            raise OSError(0, f"larger than {MAX_DATA_SOURCE_BYTES >> 20} MiB")
        return content

    return read
