"""How nginx reads and writes request targets (ngx_http_parse_complex_uri, ngx_escape_uri), bytes as latin-1 text."""

from __future__ import annotations

import re

_HEX = re.compile(r"%([0-9A-Fa-f]{2})")
_ESCAPED_IN_URI = re.compile(r"[\x00-\x20\x7f-\xff\"<>\\^`{|}%?#]")
"""What ngx_escape_uri(NGX_ESCAPE_URI) writes as %XX, checked against the `uri` table of ngx_string.c."""


class BadRequestError(ValueError):
    """Nginx answers 400."""


def normalised(path: str) -> str:
    """Give `$uri` of a path: decoded, slashes merged, dot segments resolved.

    Raises:
        BadRequestError: a broken escape, an escaped NUL, or a path that leaves the root.
    """
    if re.search(r"%(?![0-9A-Fa-f]{2})", path) or "%00" in path:
        raise BadRequestError(path)
    decoded = _HEX.sub(lambda found: chr(int(found[1], 16)), path.partition("#")[0])
    pieces = re.split("/+", decoded)[1:]
    kept: list[str] = []
    for index, piece in enumerate(pieces):
        is_last = index == len(pieces) - 1
        if piece in (".", ".."):
            if piece == ".." and not kept:
                raise BadRequestError(path)
            kept = kept[:-1] if piece == ".." else kept
            if is_last:
                kept.append("")
        else:
            kept.append(piece)
    return "/" + "/".join(kept)


def escaped(path: str) -> str:
    """Write a decoded path for the request line, as proxy-rewrite does."""
    return _ESCAPED_IN_URI.sub(lambda found: f"%{ord(found[0]):02X}", path)
