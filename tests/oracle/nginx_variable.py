"""Variables of nginx that are parts of a request: arguments, cookies, headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus


def argument(query: str, name: str) -> Any:
    """`arg_NAME`: decoded, the first one; a flag is true."""
    for piece in query.split("&"):
        key, mark, value = piece.partition("=")
        if unquote_plus(key) == name:
            return unquote_plus(value) if mark else True
    return None


def cookie(headers: list[tuple[str, str]], name: str) -> str | None:
    """`cookie_NAME`: the first one."""
    for piece in (joined(headers, "cookie") or "").split(";"):
        key, mark, value = piece.strip().partition("=")
        if mark and key == name:
            return value
    return None


def joined(headers: list[tuple[str, str]], name: str) -> str | None:
    """Repeated headers are one value to nginx; `-` and `_` are one to its variables."""
    values = [value for key, value in headers if key.replace("-", "_") == name]
    return ", ".join(values) if values else None
