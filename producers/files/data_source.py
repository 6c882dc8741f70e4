"""Files that a static configuration names: certificates, keys, bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.traversal import rewrite

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas import xds

DATA_SOURCE = "envoy.config.core.v3.DataSource"


def fill_data_sources(message: xds.Message, read: Callable[[str], bytes]) -> list[str]:
    """Replace file names by the files' content, in place.

    Args:
        message: a resource of a bootstrap.
        read: gives a file's content by the name in the DataSource; raises OSError.

    Returns:
        One line for each file that could not be read; its DataSource keeps the name.
    """
    failed: list[str] = []

    def fill(source: xds.Message) -> None:
        if source.WhichOneof("specifier") != "filename":
            return
        try:
            content = read(source.filename)
        except OSError as error:
            failed.append(f"cannot read {source.filename}: {error.strerror or type(error).__name__}")
            return
        try:
            source.inline_string = content.decode()
        except UnicodeDecodeError:
            source.inline_bytes = content

    rewrite(message, DATA_SOURCE, fill)
    return failed
