"""Rows of the family `stream`."""

from __future__ import annotations

from translators.registry.row import Row

ROWS: tuple[Row, ...] = ()
