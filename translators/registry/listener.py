"""Rows of the family `listener`."""

from __future__ import annotations

from translators.registry.row import Row

ROWS: tuple[Row, ...] = ()
