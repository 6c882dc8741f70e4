"""Rows of the family `cluster`."""

from __future__ import annotations

from translators.registry.row import Row

ROWS: tuple[Row, ...] = ()
