"""Rows of the family `route`."""

from __future__ import annotations

from translators.registry.row import Row

ROWS: tuple[Row, ...] = ()
